import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { createTopic, freePort, randomTopicName } from "../brokers.ts";
import { runPcapts } from "../integration/pcapts-process.ts";
import { type Mechanism, MECHANISMS, sharedSecureCluster } from "../secure-cluster.ts";
import {
  certificateProperties,
  type Properties,
  saslProperties,
  sslProperties,
} from "./properties.ts";
import {
  bothRefusals,
  consumerLine,
  numberedCapture,
  producerLine,
  refusalOf,
  usageErrorOf,
} from "./secure-runs.ts";

/*
 * Who is refused by whom and why: TLS, login, and listeners that are spoken to in the wrong way. What
 * Kerberos has to say is in kerberos.test.ts, access lists in authorization.test.ts.
 */

const cluster = await sharedSecureCluster();
const env = cluster.realm.environment();

/** Both modes are refused, each in one sentence that matches all patterns. */
async function assertRefused(
  properties: Properties,
  ...patterns: readonly RegExp[]
): Promise<void> {
  for (const sentence of await bothRefusals(properties, { env })) {
    for (const pattern of patterns) assert.match(sentence, pattern);
  }
}

test("a broker's certificate that has expired is refused with that reason", async () => {
  await assertRefused(
    sslProperties(cluster, "EXPIRED"),
    new RegExp(cluster.bootstrap.EXPIRED),
    /certificate has expired/,
  );
});

test("a broker's certificate for another host is refused with the names it is for", async () => {
  await assertRefused(
    sslProperties(cluster, "ELSEWHERE"),
    /certificate is for another host/,
    /elsewhere\.example/,
    /ssl\.endpoint\.identification\.algorithm/,
  );
});

test("a broker's certificate from an unknown authority is refused, and ssl.ca.location is named", async () => {
  const properties = sslProperties(cluster, "SSL");
  await assertRefused(
    { ...properties, "ssl.ca.location": cluster.stranger },
    /authority that is not trusted/,
    /ssl\.ca\.location/,
  );
  const { "ssl.ca.location": _, ...withoutAuthority } = properties;
  await assertRefused(withoutAuthority, /authority that is not trusted/, /ssl\.ca\.location/);
});

test("a broker that demands a certificate says so where there is none", async () => {
  await assertRefused(
    sslProperties(cluster, "CLIENT_CERT"),
    new RegExp(cluster.bootstrap.CLIENT_CERT),
    /demands a certificate/,
    /ssl\.certificate\.location/,
  );
});

test("a wrong password of the key or the keystore is refused before Kafka is contacted", async () => {
  const key = certificateProperties(cluster, "encrypted key");
  const keystore = certificateProperties(cluster, "PKCS#12");
  await assertUsage({ ...key, "ssl.key.password": "nonsense" }, /ssl\.key\.(password|location)/);
  const { "ssl.key.password": _, ...withoutPassword } = key;
  await assertUsage(withoutPassword, /ssl\.key\.password/);
  await assertUsage(
    { ...keystore, "ssl.keystore.password": "nonsense" },
    /ssl\.keystore\.(password|location)/,
  );
});

test("a file that is not there, or is not what it is said to be, is named with its property", async () => {
  const ssl = sslProperties(cluster, "SSL");
  const missing = path.join(tmpdir(), "no-such-file.pem");
  await assertUsage({ ...ssl, "ssl.ca.location": missing }, /ssl\.ca\.location/, /no-such-file/);
  const text = path.join(cluster.realm.directory, "not-pem.txt");
  writeFileSync(text, "hello\n");
  await assertUsage({ ...ssl, "ssl.ca.location": text }, /ssl\.ca\.location/, /not-pem\.txt/);
  const certificate = certificateProperties(cluster, "key");
  await assertUsage(
    { ...certificate, "ssl.key.location": cluster.clientCertificates.visitor.key },
    /ssl\.(key|certificate)\.location/,
  );
});

/** The value of a property is wrong, which needs no broker to be seen. */
async function assertUsage(properties: Properties, ...patterns: readonly RegExp[]): Promise<void> {
  const bootstrap = `127.0.0.1:${await freePort()}`;
  const line = producerLine({ ...properties, "bootstrap.servers": bootstrap }, "pcap-none");
  const sentence = await usageErrorOf(line, { env });
  for (const pattern of patterns) assert.match(sentence, pattern);
}

test("what a listener expects is named where it is spoken to in another way", async () => {
  const tls = /TLS|SSL/;
  const { SSL, SASL_PLAINTEXT, SASL_SSL, PLAINTEXT } = cluster.bootstrap;
  const ssl = sslProperties(cluster, "SSL");
  const login = saslProperties(cluster, "SASL_PLAINTEXT", "PLAIN");
  // Plaintext to TLS.
  await assertRefused({ "bootstrap.servers": SSL }, new RegExp(SSL), tls, /security\.protocol/);
  await assertRefused({ ...login, "bootstrap.servers": SASL_SSL }, tls, /security\.protocol/);
  // TLS to plaintext.
  await assertRefused({ ...ssl, "bootstrap.servers": PLAINTEXT }, tls, /security\.protocol/);
  await assertRefused({ ...ssl, "bootstrap.servers": SASL_PLAINTEXT }, tls, /security\.protocol/);
  // No login where one is demanded, and the reverse.
  await assertRefused(
    { "bootstrap.servers": SASL_PLAINTEXT },
    new RegExp(SASL_PLAINTEXT),
    /login|SASL/i,
    /security\.protocol/,
  );
  await assertRefused({ ...login, "bootstrap.servers": PLAINTEXT }, /login|SASL/i);
});

const PASSWORD_MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] as const;

for (const mechanism of PASSWORD_MECHANISMS) {
  test(`a wrong password of ${mechanism} is refused in the broker's words, with mechanism and principal`, async () => {
    const properties = saslProperties(cluster, "SASL_SSL", mechanism);
    await assertRefused(
      { ...properties, "sasl.password": "nonsense" },
      new RegExp(`\\b${mechanism}\\b`),
      /User:packets\b/,
      /Authentication failed.*[Ii]nvalid (username or password|credentials)/,
    );
    const nobody = { ...properties, "sasl.username": "nobody" };
    const sentence = await refusalOf(producerLine(nobody, "pcap-none"));
    assert.match(sentence, /User:nobody\b/);
  });
}

test("a mechanism that the listener does not have is refused with those it has", async () => {
  const others = MECHANISMS.filter(
    (mechanism): mechanism is Mechanism => mechanism !== "SCRAM-SHA-512",
  );
  for (const mechanism of others) {
    await assertRefused(
      saslProperties(cluster, "SCRAM_ONLY", mechanism),
      new RegExp(`\\b${mechanism}\\b`),
      /SCRAM-SHA-512/,
    );
  }
});

test("a token endpoint that refuses the secret is named with its status and the client", async () => {
  const properties = saslProperties(cluster, "SASL_PLAINTEXT", "OAUTHBEARER");
  await assertRefused(
    { ...properties, "sasl.oauthbearer.client.secret": "nonsense" },
    new RegExp(cluster.tokens.url),
    /401/,
    /invalid_client/,
    /packets/,
  );
});

test("a token endpoint that is not there, or is none, is named", async () => {
  const properties = saslProperties(cluster, "SASL_PLAINTEXT", "OAUTHBEARER");
  const dead = `http://127.0.0.1:${await freePort()}/token`;
  await assertRefused(
    { ...properties, "sasl.oauthbearer.token.endpoint.url": dead },
    new RegExp(dead),
    /refused/,
  );
  const none = `${cluster.tokens.url}/nothing`;
  await assertRefused(
    { ...properties, "sasl.oauthbearer.token.endpoint.url": none },
    new RegExp(none),
    /404/,
  );
});

test("a token that the broker does not take is refused with its words and the principal", async () => {
  const { "bootstrap.servers": bootstrap = "" } = saslProperties(
    cluster,
    "SASL_PLAINTEXT",
    "OAUTHBEARER",
  );
  const forged = [
    { alg: "RS256" },
    { sub: "packets", iat: 1, exp: 4_000_000_000, scope: "packets" },
  ]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .concat("c2lnbmF0dXJl")
    .join(".");
  await assertRefused(
    {
      "bootstrap.servers": bootstrap,
      "security.protocol": "SASL_PLAINTEXT",
      "sasl.mechanisms": "OAUTHBEARER",
      "sasl.oauthbearer.token": forged,
    },
    /OAUTHBEARER/,
    /invalid_token/,
    /User:packets\b/,
  );
});

test("a broker whose certificate is wrong is taken where the user says that it does not matter", async () => {
  const capture = numberedCapture(5);
  const chances: Properties[] = [
    { ...sslProperties(cluster, "ELSEWHERE"), "ssl.endpoint.identification.algorithm": "none" },
    { ...sslProperties(cluster, "EXPIRED"), "enable.ssl.certificate.verification": "false" },
    {
      ...sslProperties(cluster, "SSL"),
      "ssl.ca.location": cluster.stranger,
      "enable.ssl.certificate.verification": "false",
    },
  ];
  for (const properties of chances) {
    const topic = randomTopicName("pcap");
    await createTopic(cluster.bootstrap.PLAINTEXT, topic);
    const produced = await runPcapts(producerLine(properties, topic), { input: capture });
    assert.equal(produced.status, 0, produced.stderr);
    const consumed = await runPcapts(consumerLine(properties, topic));
    assert.deepEqual(consumed.stdout, capture);
  }
});
