import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { createTopic, randomTopicName } from "../brokers.ts";
import { runPcapts, startPcapts } from "../integration/pcapts-process.ts";
import { MECHANISMS, sharedSecureCluster } from "../secure-cluster.ts";
import { fetchIssuedTokens, fetchToken } from "../token-server.ts";
import { formsOf } from "./secret-forms.ts";
import { certificateProperties, flags, type Properties, saslProperties } from "./properties.ts";
import {
  consumerLine,
  numberedCapture,
  producerLine,
  publishWith,
  readWith,
} from "./secure-runs.ts";

/*
 * Everything that pcapts prints when it is told to print all it can, and no secret in it, in
 * whatever form: as it is, quoted, encoded, as a list of numbers.
 */

const LOUD = ["-ll", "DEBUG", "-X", "debug=all"];
const WRONG = "wrong=secret,5f1e0c";

const cluster = await sharedSecureCluster();
const env = cluster.realm.environment();

const staticToken = await fetchToken(cluster.tokens, "packets");
const everyWay: Properties[] = [
  ...MECHANISMS.map((mechanism) => saslProperties(cluster, "SASL_SSL", mechanism)),
  certificateProperties(cluster, "key"),
  certificateProperties(cluster, "encrypted key"),
  certificateProperties(cluster, "PKCS#12"),
  {
    "bootstrap.servers": cluster.bootstrap.CLIENT_CERT,
    "security.protocol": "SSL",
    "ssl.ca.location": cluster.authority,
    "ssl.certificate.location": cluster.clientCertificates.packets.certificate,
    "ssl.key.pem": readFileSync(cluster.clientCertificates.packets.key, "utf8"),
  },
  {
    "bootstrap.servers": cluster.bootstrap.SASL_PLAINTEXT,
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanisms": "OAUTHBEARER",
    "sasl.oauthbearer.token": staticToken,
  },
];

/** Secrets by what they are; tokens that were given out meanwhile come on top. */
async function allSecrets(): Promise<[string, Buffer][]> {
  const { packets, visitor } = cluster.clientCertificates;
  // A keytab ends with its last key, 256 bits, and a number of four bytes.
  const key = (file: string): Buffer => readFileSync(file).subarray(-36, -4);
  const body = (file: string): Buffer =>
    Buffer.from(readFileSync(file, "utf8").replace(/-----.*-----|\s/g, ""), "base64");
  const tokens = await fetchIssuedTokens(cluster.tokens);
  assert.ok(tokens.includes(staticToken));
  return [
    ["password of packets", Buffer.from(cluster.passwords.packets)],
    ["password of visitor", Buffer.from(cluster.passwords.visitor)],
    ["wrong password", Buffer.from(WRONG)],
    ["client secret", Buffer.from(cluster.tokens.clientSecret)],
    ["password of the key", Buffer.from(packets.password)],
    ["password of the other key", Buffer.from(visitor.password)],
    ["key of the certificate", body(packets.key)],
    ["key of the keytab", key(cluster.keytabs.packets)],
    ["key of the other keytab", key(cluster.keytabs.visitor)],
    // Header and claims are no secret, the signature is what makes a token one.
    ...tokens.flatMap((token): [string, Buffer][] => [
      ["signature of a token", Buffer.from(token.split(".")[2] ?? "", "base64url")],
      ["end of a token", Buffer.from(token.slice(-48))],
    ]),
  ];
}

async function assertNoSecret(printed: string): Promise<void> {
  for (const [what, secret] of await allSecrets()) {
    for (const [form, text] of formsOf(secret)) {
      const at = printed.indexOf(text);
      const around = printed.slice(Math.max(0, at - 200), at + 200);
      assert.equal(at, -1, `${what}, ${form}, stands in what was printed: …${around}…`);
    }
  }
}

/** Runs pcapts and gives back all it printed but frames. */
async function printedBy(
  line: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<string> {
  const input = numberedCapture(20);
  const { stderr, stdout } = await runPcapts(line, { input, env: { ...env, ...environment } });
  return stderr + (line.includes("-c") ? "" : stdout.toString());
}

test("no secret is printed at DEBUG by any mechanism, producer and consumer, text and JSON", async () => {
  const printed: string[] = [];
  for (const properties of everyWay) {
    const topic = randomTopicName("pcap");
    await createTopic(cluster.bootstrap.PLAINTEXT, topic);
    const produced = await printedBy([...producerLine(properties, topic), ...LOUD]);
    assert.match(produced, /acknowledged 20/, "the run is one that works");
    assert.match(produced, /DEBUG/);
    const reading = [...consumerLine(properties, topic), ...LOUD, "--log-format", "json"];
    const consumed = await printedBy(reading);
    assert.match(consumed, /written 20 frame/);
    printed.push(produced, consumed);
  }
  await assertNoSecret(printed.join("\n"));
});

test("no secret is printed by any refusal of a login, a certificate or an access list", async () => {
  const topic = randomTopicName("pcap");
  const closed = randomTopicName("closed");
  await createTopic(cluster.bootstrap.PLAINTEXT, closed);
  const lines = everyWay.flatMap((properties, n) => {
    const wrong = Object.fromEntries(
      Object.entries(properties).map(([name, value]) => [
        name,
        /password|secret/.test(name) ? WRONG : value,
      ]),
    );
    const elsewhere = { ...properties, "bootstrap.servers": cluster.bootstrap.SCRAM_ONLY };
    // In turns, because every refusal is one of the same code in both modes.
    return n % 2 === 0
      ? [
          producerLine(wrong, topic),
          consumerLine(elsewhere, topic),
          producerLine(properties, closed),
        ]
      : [
          consumerLine(wrong, topic),
          producerLine(elsewhere, topic),
          consumerLine(properties, closed),
        ];
  });
  const printed: string[] = [];
  for (const line of lines)
    printed.push(await printedBy([...line, ...LOUD, "--connect-timeout", "1"]));
  for (const text of printed)
    assert.match(text, / ERROR: |pcapts: error: |acknowledged 20|written \d+ frame/);
  await assertNoSecret(printed.join("\n"));
});

test("no secret is printed when it stands in a wrong place: misspelt names, broken files, variables", async () => {
  const secret = cluster.passwords.packets;
  const broken = path.join(cluster.realm.directory, `${randomTopicName("broken")}.conf`);
  writeFileSync(broken, `sasl.password ${secret}\n`);
  const misspelt = path.join(cluster.realm.directory, `${randomTopicName("misspelt")}.conf`);
  writeFileSync(misspelt, `sasl.passwort=${secret}\nsasl.oauthbearer.client.secrets=${secret}\n`);
  const line = ["-p", "-r", "-", "-t", "pcap", ...LOUD, "--connect-timeout", "1"];
  const printed = [
    await printedBy([...line, "-X", `sasl.passwort=${secret}`]),
    await printedBy([...line, "-X", `sasl.password${secret}`]),
    await printedBy([...line, "-X", `ssl.key.pasword=${secret}`]),
    await printedBy([...line, "-X", `sasl.jaas.config=password="${secret}"`]),
    await printedBy([...line, "--config", broken]),
    await printedBy([...line, "--config", misspelt]),
    await printedBy(line, { PCAPTS_X_SASL_PASSWORT: secret }),
    await printedBy([...line, "--help", "all"], { PCAPTS_X_SASL_PASSWORD: secret }),
    await printedBy(["--version", "-X", `sasl.password=${secret}`]),
    // A secret that is not used, because the listener wants none.
    await printedBy([...line, "-X", `sasl.password=${secret}`, "-k", cluster.bootstrap.PLAINTEXT]),
  ];
  assert.ok(printed.slice(0, 7).every((text) => text !== ""));
  await assertNoSecret(printed.join("\n"));
});

test("secrets of a property file and of variables work, and stand in no process list", async () => {
  const properties = saslProperties(cluster, "SASL_SSL", "SCRAM-SHA-256");
  const { "sasl.password": password = "", ...rest } = properties;
  const config = path.join(cluster.realm.directory, `${randomTopicName("secret")}.conf`);
  writeFileSync(config, `# who we are\nsasl.password=${password}\n`);
  const capture = numberedCapture(20);
  const sources: { args: string[]; variables: NodeJS.ProcessEnv }[] = [
    { args: ["--config", config], variables: {} },
    { args: [], variables: { PCAPTS_X_SASL_PASSWORD: password } },
    { args: [], variables: { PCAPTS_CONFIG: config } },
  ];
  for (const { args, variables } of sources) {
    const topic = randomTopicName("pcap");
    await createTopic(cluster.bootstrap.PLAINTEXT, topic);
    const environment = { ...env, ...variables };
    const producer = startPcapts(["-p", "-r", "-", "-t", topic, ...flags(rest), ...args], {
      env: environment,
    });
    producer.child.stdin.write(capture);
    await producer.says(/Starting packet capture/);
    assertNotInProcessList(producer.child.pid ?? 0, password);
    producer.child.stdin.end();
    assert.equal((await producer.ended).status, 0, producer.stderr);
    const reading = [...consumerLine(rest, topic), ...args];
    const { status, stdout, stderr } = await runPcapts(reading, { env: environment });
    assert.equal(status, 0, stderr);
    assert.deepEqual(stdout, capture);
  }
});

/** Looks at the command lines of a process and of those that it started. */
function assertNotInProcessList(pid: number, secret: string): void {
  const lines = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => name === String(pid) || parentOf(name) === pid)
    .map((name) => readFileSync(`/proc/${name}/cmdline`, "utf8"));
  assert.ok(lines.some((line) => line.includes("sasl.username=packets")));
  for (const line of lines) assert.ok(!line.includes(secret), line);
}

function parentOf(pid: string): number {
  try {
    return Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  } catch {
    return 0;
  }
}

test("the line wins over variables, and they over the property file", async () => {
  const properties = saslProperties(cluster, "SASL_PLAINTEXT", "PLAIN");
  const { "sasl.password": password = "", ...rest } = properties;
  const topic = randomTopicName("pcap");
  await createTopic(cluster.bootstrap.PLAINTEXT, topic);
  const capture = numberedCapture(20);
  await publishWith(properties, topic, capture, { ...env, PCAPTS_X_SASL_PASSWORD: WRONG });
  const wrongFile = path.join(cluster.realm.directory, `${randomTopicName("order")}.conf`);
  writeFileSync(wrongFile, `sasl.password=${WRONG}\n`);
  const variables = { ...env, PCAPTS_CONFIG: wrongFile, PCAPTS_X_SASL_PASSWORD: password };
  assert.deepEqual(await readWith(rest, topic, variables), capture);
});
