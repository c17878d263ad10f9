import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { parsePropertyAssignment, resolveKafkaSettings } from "../../src/config/kafka-settings.ts";
import type { KafkaSettings } from "../../src/config/kafka-settings.ts";
import { readSystemAuthorities } from "../../src/config/security-files.ts";
import { PcaptsError } from "../../src/errors.ts";
import type { SecurityOptions } from "../../src/kafka/security-options.ts";
import { Certificates } from "../certificates.ts";

const directory = mkdtempSync(path.join(tmpdir(), "pcapts-security-settings-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const certificates = new Certificates(directory);
certificates.createAuthorities();
const alice = certificates.createClient("alice");
const bob = certificates.createClient("bob");

const resolve = (properties: readonly string[], origin = "conf"): KafkaSettings =>
  resolveKafkaSettings({
    mode: "producer",
    properties: properties.map((text) => parsePropertyAssignment(text, origin)),
    brokers: "localhost",
    connectTimeoutMs: 1000,
  });

const security = (...properties: readonly string[]): SecurityOptions =>
  resolve(properties).client.security!;

function refused(properties: readonly string[], message: RegExp): void {
  assert.throws(
    () => resolve(properties),
    (error) => {
      assert.ok(error instanceof PcaptsError && error.code === "USAGE", String(error));
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /hush/);
      return true;
    },
  );
}

const file = (name: string, content: string | Buffer): string => {
  const at = path.join(directory, name);
  writeFileSync(at, content);
  return at;
};

test("security.protocol is taken in any case, and GSSAPI for the service kafka is the default", () => {
  for (const protocol of ["SASL_PLAINTEXT", "sasl_plaintext", "Sasl_Plaintext"]) {
    assert.deepEqual(security(`security.protocol=${protocol}`), {
      protocol: "sasl_plaintext",
      tls: undefined,
      sasl: { mechanism: "GSSAPI", serviceName: "kafka", principal: undefined, keytab: undefined },
    });
  }
});

test("PLAIN and SCRAM need a user and a password", () => {
  for (const mechanism of ["PLAIN", "SCRAM-SHA-256", "scram-sha-512"]) {
    const given = ["security.protocol=sasl_plaintext", `sasl.mechanism=${mechanism}`];
    refused(given, /^sasl\.mechanism=\S+ needs sasl\.username: give it with -X sasl\.username=$/);
    refused(
      [...given, "sasl.username=alice"],
      /needs sasl\.password: give it in the file of --config, or as PCAPTS_X_SASL_PASSWORD$/,
    );
    assert.deepEqual(security(...given, "sasl.username=alice", "sasl.password=a=b").sasl, {
      mechanism: mechanism.toUpperCase(),
      username: "alice",
      password: "a=b",
    });
  }
});

test("a keytab that is not there or is none is a usage error that names it", () => {
  const given = ["security.protocol=sasl_plaintext"];
  refused(
    [...given, "sasl.kerberos.keytab=/nowhere/k"],
    /^conf sasl\.kerberos\.keytab: cannot read "\/nowhere\/k": no such file or directory$/,
  );
  const text = file("text.keytab", "alice");
  refused(
    [...given, `sasl.kerberos.keytab=${text}`],
    /text\.keytab" is not a keytab; "kadmin ktadd/,
  );
  const keytab = file("empty.keytab", Buffer.from([5, 2]));
  const { sasl } = security(
    ...given,
    `sasl.kerberos.keytab=${keytab}`,
    "sasl.kerberos.principal=a",
  );
  assert.deepEqual(sasl, {
    mechanism: "GSSAPI",
    serviceName: "kafka",
    principal: "a",
    keytab,
  });
});

test("OAUTHBEARER needs a token, or all that its endpoint is asked with", () => {
  const given = ["security.protocol=sasl_ssl", "sasl.mechanism=OAUTHBEARER"];
  refused(given, /^sasl\.mechanism=OAUTHBEARER needs a token: say sasl\.oauthbearer\.method=oidc/);
  const token = security(
    ...given,
    "sasl.oauthbearer.token=t",
    "sasl.oauthbearer.extensions=a=1,b=2",
  );
  assert.deepEqual(token.sasl, {
    mechanism: "OAUTHBEARER",
    token: { kind: "static", token: "t" },
    extensions: { a: "1", b: "2" },
  });
  const oidc = [...given, "sasl.oauthbearer.method=OIDC"];
  refused(oidc, /^sasl\.oauthbearer\.method=oidc needs sasl\.oauthbearer\.token\.endpoint\.url/);
  const url = "sasl.oauthbearer.token.endpoint.url=";
  refused([...oidc, `${url}ftp://x`], /expects an address that begins with https/);
  refused([...oidc, `${url}https://x`], /needs sasl\.oauthbearer\.client\.id/);
  refused(
    [...oidc, `${url}https://x`, "sasl.oauthbearer.client.id=a"],
    /needs sasl\.oauthbearer\.client\.secret: give it in the file of --config/,
  );
});

// An authority of the company's own, in the system's store, was not known at the token endpoint; one
// that was named came beside all that Node knows.
test("a token endpoint's certificate comes from the authorities that are named, or from the system's", () => {
  const given = [
    "security.protocol=sasl_ssl",
    "sasl.mechanism=OAUTHBEARER",
    "sasl.oauthbearer.method=oidc",
    "sasl.oauthbearer.token.endpoint.url=https://x",
    "sasl.oauthbearer.client.id=a",
    "sasl.oauthbearer.client.secret=hush",
  ];
  const authorities = (...more: readonly string[]): readonly string[] | undefined => {
    const { sasl } = security(...given, ...more);
    assert.ok(sasl?.mechanism === "OAUTHBEARER" && sasl.token.kind === "endpoint");
    return sasl.token.ca;
  };
  assert.deepEqual(authorities(), readSystemAuthorities());
  assert.deepEqual(authorities("https.ca.location=probe"), readSystemAuthorities());
  const own = file("own-ca.pem", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n");
  assert.equal(authorities(`https.ca.location=${own}`)?.length, 1);
});

test("sasl.oauthbearer.config makes unsigned tokens, once they are asked for", () => {
  const given = [
    "security.protocol=sasl_plaintext",
    "sasl.mechanism=OAUTHBEARER",
    "enable.sasl.oauthbearer.unsecure.jwt=true",
  ];
  const { sasl } = security(
    ...given,
    "sasl.oauthbearer.config=principal=alice scope=a,b lifeSeconds=60 extension_rack=7",
  );
  assert.deepEqual(sasl, {
    mechanism: "OAUTHBEARER",
    token: { kind: "unsigned", claims: { sub: "alice", scope: ["a", "b"] }, lifeSeconds: 60 },
    extensions: { rack: "7" },
  });
  refused(given, /needs sasl\.oauthbearer\.config/);
  refused([...given, "sasl.oauthbearer.config=scope=a"], /needs principal=NAME/);
  refused([...given, "sasl.oauthbearer.config=principle=hush"], /"principle" is none of/);
  refused([...given, "sasl.oauthbearer.config=principal=a lifeSeconds=x"], /whole number/);
});

test("a certificate without its key, a key without its certificate and one of each too many are refused", () => {
  const given = ["security.protocol=ssl"];
  const certificate = `ssl.certificate.location=${alice.certificate}`;
  const key = `ssl.key.location=${alice.key}`;
  refused([...given, certificate], /^ssl\.certificate\.location needs ssl\.key\.location/);
  refused([...given, key], /^ssl\.key\.location needs ssl\.certificate\.location/);
  refused(
    [...given, certificate, key, `ssl.keystore.location=${alice.pkcs12}`],
    /^ssl\.keystore\.location holds certificate and key: leave it out/,
  );
  refused(
    [...given, `ssl.ca.location=${certificates.authority}`, "ssl.ca.pem=x"],
    /^ssl\.ca\.location and ssl\.ca\.pem say the same/,
  );
  assert.equal(security(...given, certificate, key).tls?.subject, "CN=alice,O=pcapts");
});

test("a key of another certificate, a wrong password and a file that is no keystore are said in words", () => {
  const given = ["security.protocol=ssl", `ssl.certificate.location=${alice.certificate}`];
  refused(
    [...given, `ssl.key.location=${bob.key}`],
    /^ssl\.certificate\.location, ssl\.key\.location: the private key does not belong to the certificate/,
  );
  for (const password of [[], ["ssl.key.password=hush"]]) {
    refused(
      [...given, `ssl.key.location=${alice.encryptedKey}`, ...password],
      // One wrong password in 256 makes something of it that is no key.
      /(the key's password is missing or|its password is) wrong \(ssl\.key\.password\)/,
    );
  }
  assert.ok(
    security(
      ...given,
      `ssl.key.location=${alice.encryptedKey}`,
      `ssl.key.password=${alice.password}`,
    ).tls?.context.key,
  );
  const keystore = ["security.protocol=ssl", `ssl.keystore.location=${alice.pkcs12}`];
  refused(
    [...keystore, "ssl.keystore.password=hush"],
    /^ssl\.keystore\.location: its password is wrong/,
  );
  assert.ok(security(...keystore, `ssl.keystore.password=${alice.password}`).tls?.context.pfx);
  refused(
    ["security.protocol=ssl", `ssl.keystore.location=${alice.certificate}`],
    /it is no PKCS#12 file; a JKS keystore becomes one/,
  );
});

test("authorities come from a file, a directory, PEM text with \\n for line ends, or the system", () => {
  const given = "security.protocol=ssl";
  const { tls } = security(given, `ssl.ca.location=${certificates.authority}`);
  const [authority] = tls!.context.ca as string[];
  assert.match(authority!, /BEGIN CERTIFICATE/);
  const folded = authority!.trim().replaceAll("\n", "\\n");
  assert.deepEqual(security(given, `ssl.ca.pem=${folded}`).tls?.context.ca, [authority!.trim()]);
  assert.ok(
    (security(given, `ssl.ca.location=${directory}`).tls!.context.ca as string[]).length > 2,
  );
  assert.doesNotThrow(() => security(given, "ssl.ca.location=probe"));
  const text = file("none.pem", "nothing");
  refused([given, `ssl.ca.location=${text}`], /there is no certificate in ".*none\.pem"/);
  refused([given, "ssl.ca.location=/nowhere"], /cannot read "\/nowhere"/);
});

test("verification is on unless it is switched off, which is a warning", () => {
  const on = security("security.protocol=ssl").tls!;
  assert.deepEqual([on.verifyCertificate, on.verifyHost], [true, true]);
  const { client, notes } = resolve([
    "security.protocol=ssl",
    "enable.ssl.certificate.verification=false",
    "ssl.endpoint.identification.algorithm=none",
  ]);
  const off = client.security!.tls!;
  assert.deepEqual([off.verifyCertificate, off.verifyHost], [false, false]);
  assert.deepEqual(
    notes.map(({ level }) => level),
    ["warn"],
  );
});

test("properties of a login that security.protocol does not use are named in a warning", () => {
  const { notes } = resolve(["sasl.username=alice", "sasl.password=hush", "ssl.ca.pem=x"]);
  assert.deepEqual(notes, [
    {
      level: "warn",
      text: "ssl.ca.pem: not used with security.protocol=plaintext; -X security.protocol=ssl or sasl_ssl uses it",
    },
    {
      level: "warn",
      text: "sasl.username, sasl.password: not used with security.protocol=plaintext; -X security.protocol=sasl_plaintext or sasl_ssl uses it",
    },
  ]);
});

test("a secret on the command line is a line of INFO without its value, one from elsewhere is none", () => {
  const properties = [
    "security.protocol=sasl_plaintext",
    "sasl.mechanism=PLAIN",
    "sasl.username=alice",
    "sasl.password=hush",
  ];
  assert.deepEqual(resolve(properties).notes, []);
  const { notes } = resolve(properties, "-X");
  assert.equal(notes.length, 1);
  assert.match(notes[0]!.text, /^-X sasl\.password: other users of this machine can read it/);
  assert.doesNotMatch(notes[0]!.text, /hush/);
});

test("ciphers that OpenSSL does not know are refused", () => {
  refused(
    ["security.protocol=ssl", "ssl.cipher.suites=nonsense"],
    /^ssl\.cipher\.suites: OpenSSL knows none/,
  );
});

// "cannot read" quoted the key, or the password of the address.
test("a key where a path was expected, and the password of an address, are not printed", () => {
  const pem = "-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----";
  for (const name of ["ssl.key.location", "ssl.certificate.location", "ssl.keystore.location"]) {
    refused(
      ["security.protocol=ssl", `${name}=${pem}`],
      /expects the path of a file, not PEM text/,
    );
  }
  refused(["security.protocol=ssl", `ssl.ca.location=${pem}`], /expects the path of a file/);
  refused(
    [
      "security.protocol=sasl_ssl",
      "sasl.mechanism=OAUTHBEARER",
      "sasl.oauthbearer.method=oidc",
      "sasl.oauthbearer.token.endpoint.url=ftp://me:hush@login/token",
    ],
    /not "ftp:\/\/…@login\/token"/,
  );
});

// Both were told to run openssl pkcs12 -export, which does nothing for a key.
test("a key in an old encryption, and one that is no PEM text, are told apart", () => {
  const { certificate, key } = alice;
  const binary = path.join(directory, "binary.key");
  execFileSync("openssl", ["pkey", "-in", key, "-outform", "DER", "-out", binary]);
  const old = path.join(directory, "old.key");
  const legacy =
    "pkcs8 -topk8 -v1 PBE-MD5-DES -provider legacy -provider default -passout pass:hush";
  execFileSync("openssl", [...legacy.split(" "), "-in", key, "-out", old]);
  const given = ["security.protocol=ssl", `ssl.certificate.location=${certificate}`];
  refused(
    [...given, `ssl.key.location=${old}`, "ssl.key.password=hush"],
    /OpenSSL 3 no longer reads; openssl pkey -provider legacy/,
  );
  refused(
    [...given, `ssl.key.location=${binary}`],
    /the key is no PEM text, or its password is wrong/,
  );
});
