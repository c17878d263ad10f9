import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createTopic, randomTopicName, runKafkaTool } from "../brokers.ts";
import { readLedger, runPcapts } from "../integration/pcapts-process.ts";
import { type RunningSecureCluster, startSecureCluster } from "../secure-cluster.ts";
import { certificateProperties, flags, saslProperties } from "../security/properties.ts";
import {
  numberedCapture,
  publishWith,
  readWith,
  refusalOf,
  succeed,
} from "../security/secure-runs.ts";

/*
 * Kafka 2.7.2 with ZooKeeper and AclAuthorizer: before 2.8, Write on a topic does not allow a producer
 * id, so the access lists of Pycapa's README refuse it.
 */

const FRAMES = 500;
const capture = numberedCapture(FRAMES);

let cluster: RunningSecureCluster;
before(async () => {
  cluster = await startSecureCluster("2.7.2");
});
after(() => cluster.remove());

/** A principal with the README's two access lists, made by its commands, and its command line. */
async function metron(): Promise<{ topic: string; group: string; line: string[]; name: string }> {
  const [name, topic, group] = ["metron", "pycapa", "pycapa-group"].map(randomTopicName);
  assert.ok(name !== undefined && topic !== undefined && group !== undefined);
  const principal = cluster.realm.addPrincipal(name);
  await createTopic(cluster.bootstrap.PLAINTEXT, topic, { partitions: 1 });
  for (const resource of [
    ["--topic", topic],
    ["--group", group],
  ]) {
    runKafkaTool("2.7.2", "kafka.admin.AclCommand", [
      "--authorizer",
      "kafka.security.auth.SimpleAclAuthorizer",
      "--authorizer-properties",
      `zookeeper.connect=127.0.0.1:${cluster.broker.controllerPort}`,
      "--add",
      "--allow-principal",
      `User:${name}`,
      ...resource,
    ]);
  }
  const line = ["--kafka-broker", cluster.bootstrap.SASL_PLAINTEXT, "--kafka-topic", topic];
  line.push("-X", "security.protocol=SASL_PLAINTEXT");
  line.push("-X", `sasl.kerberos.keytab=${cluster.realm.keytab(name)}`);
  line.push("-X", `sasl.kerberos.principal=${principal}`);
  return { topic, group, line, name };
}

test("Pycapa's two access lists are enough: without idempotence, after one warning that names the right", async () => {
  const { group, line, name } = await metron();
  const env = cluster.realm.environment();
  const produced = await runPcapts(["--producer", "-r", "-", ...line], { input: capture, env });
  assert.equal(produced.status, 0, produced.stderr);
  assert.equal(readLedger(produced.stderr).acknowledged, FRAMES);
  const warnings = produced.stderr.split("\n").filter((text) => / WARN: /.test(text));
  assert.equal(warnings.length, 1, produced.stderr);
  assert.match(warnings[0] ?? "", /idempoten/i);
  assert.match(warnings[0] ?? "", /IDEMPOTENT_?WRITE/i);
  assert.ok(warnings[0]?.includes(`User:${name}`), warnings[0]);

  const consumer = ["--consumer", "-o", "begin", "-e", "-X", `group.id=${group}`, ...line];
  assert.deepEqual(succeed(await runPcapts(consumer, { env })).stdout, capture);
});

test("enable.idempotence=true is refused there, with operation and principal", async () => {
  const { line, name } = await metron();
  const env = cluster.realm.environment();
  const demanding = ["--producer", "-r", "-", ...line, "-X", "enable.idempotence=true"];
  const sentence = await refusalOf(demanding, { env });
  assert.match(sentence, /IDEMPOTENT_?WRITE/i);
  assert.ok(sentence.includes(`User:${name}`), sentence);
});

test("a capture comes back byte for byte through Kerberos, PLAIN and certificates of an old broker", async () => {
  const env = cluster.realm.environment();
  const ways = [
    saslProperties(cluster, "SASL_SSL", "GSSAPI"),
    saslProperties(cluster, "SASL_SSL", "PLAIN"),
    saslProperties(cluster, "REAUTH", "GSSAPI"),
    certificateProperties(cluster, "PKCS#12"),
  ];
  for (const properties of ways) {
    const topic = randomTopicName("pcap");
    await createTopic(cluster.bootstrap.PLAINTEXT, topic);
    await publishWith({ ...properties, "enable.idempotence": "false" }, topic, capture, env);
    assert.deepEqual(await readWith(properties, topic, env), capture, flags(properties).join(" "));
  }
});
