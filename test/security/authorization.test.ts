import assert from "node:assert/strict";
import { test } from "node:test";
import { Kafka, logLevel } from "kafkajs";
import { createTopic, randomTopicName } from "../brokers.ts";
import { type Grant, grant, MECHANISMS, revoke, sharedSecureCluster } from "../secure-cluster.ts";
import {
  eventually,
  publish,
  readLedger,
  runPcapts,
  startPcapts,
} from "../integration/pcapts-process.ts";
import { certificateProperties, saslProperties } from "./properties.ts";
import {
  bothRefusals,
  consumerLine,
  numberedCapture,
  producerLine,
  readWith,
  refusalOf,
} from "./secure-runs.ts";

/*
 * The broker's access lists say no. `visitor` may do what a test allows it, and nothing else; names
 * of topics here do not begin with "pcap-", where `packets` may do everything.
 */

const cluster = await sharedSecureCluster();
const env = cluster.realm.environment();
const visitor = saslProperties(cluster, "SASL_PLAINTEXT", "PLAIN", "visitor");
const plaintext = cluster.bootstrap.PLAINTEXT;
const capture = numberedCapture(20);

/** A topic with 20 frames, of which the visitor may do what `operations` say. */
async function newTopic(...operations: readonly Grant["operation"][]): Promise<string> {
  const topic = randomTopicName("closed");
  await createTopic(plaintext, topic);
  await publish(plaintext, topic, capture);
  await allow(topic, ...operations);
  return topic;
}

async function allow(topic: string, ...operations: readonly Grant["operation"][]): Promise<void> {
  if (operations.length === 0) return;
  await grant(
    plaintext,
    ...operations.map((operation) => ({
      principal: "visitor",
      resource: "topic" as const,
      name: topic,
      operation,
    })),
  );
}

function assertNames(sentence: string, operation: RegExp, resource: string): void {
  assert.match(sentence, operation);
  assert.match(sentence, /User:visitor\b/);
  assert.ok(sentence.includes(resource), `${resource} is named: ${sentence}`);
}

test("a producer that may describe but not write is told: Write, the topic, the principal", async () => {
  const topic = await newTopic("DESCRIBE");
  const sentence = await refusalOf(producerLine(visitor, topic), { env });
  assertNames(sentence, /\bwrite\b/i, topic);
});

test("a producer that may not even see the topic is told so", async () => {
  const topic = await newTopic();
  const sentence = await refusalOf(producerLine(visitor, topic), { env });
  assertNames(sentence, /\b(describe|write)\b/i, topic);
});

test("a consumer that may describe but not read is told: Read, the topic, the principal", async () => {
  const topic = await newTopic("DESCRIBE");
  const sentence = await refusalOf(consumerLine(visitor, topic), { env });
  assertNames(sentence, /\bread\b/i, topic);
});

test("a consumer that may not even see the topic is told so", async () => {
  const topic = await newTopic();
  const sentence = await refusalOf(consumerLine(visitor, topic), { env });
  assertNames(sentence, /\b(describe|read)\b/i, topic);
});

test("a producer that may not create the topic it misses is told: Create, the topic, the principal", async () => {
  const topic = randomTopicName("closed");
  await allow(topic, "DESCRIBE", "WRITE");
  const sentence = await refusalOf(producerLine(visitor, topic), { env });
  assertNames(sentence, /\bcreate\b/i, topic);
});

test("a group that a consumer may not use is named: Read, the group, the principal", async () => {
  const topic = await newTopic("DESCRIBE", "READ");
  const group = randomTopicName("closed-group");
  const line = consumerLine({ ...visitor, "group.id": group }, topic);
  const sentence = await refusalOf(line, { env });
  assertNames(sentence, /\bread\b/i, group);
});

test("a group that a consumer may use, of a topic that it may not read, is refused for the topic", async () => {
  const topic = await newTopic("DESCRIBE");
  const group = randomTopicName("closed-group");
  await grant(plaintext, {
    principal: "visitor",
    resource: "group",
    name: group,
    operation: "READ",
  });
  const line = consumerLine({ ...visitor, "group.id": group }, topic);
  const sentence = await refusalOf(line, { env });
  assertNames(sentence, /\bread\b/i, topic);
});

test("writing and reading need no other right than Write and Read on the topic", async () => {
  const topic = await newTopic("WRITE", "READ");
  const produced = await runPcapts(producerLine(visitor, topic), { input: capture, env });
  assert.equal(produced.status, 0, produced.stderr);
  assert.equal(readLedger(produced.stderr).acknowledged, 20);
  // Its settings are the one thing that it cannot see.
  const warnings = produced.stderr.split("\n").filter((line) => / WARN: /.test(line));
  assert.equal(warnings.length, 1, produced.stderr);
  assert.match(warnings[0] ?? "", /settings of topic .* DESCRIBE_CONFIGS .* User:visitor/);
  const twice = numberedCapture(20).subarray(24);
  assert.deepEqual(await readWith(visitor, topic, env), Buffer.concat([capture, twice]));
});

for (const mechanism of MECHANISMS) {
  test(`the principal of ${mechanism} is named in a refusal`, async () => {
    const topic = await newTopic("DESCRIBE");
    const properties = saslProperties(cluster, "SASL_SSL", mechanism, "visitor");
    const [producer, consumer] = await bothRefusals(properties, { env }, topic);
    assertNames(producer, /\bwrite\b/i, topic);
    assertNames(consumer, /\bread\b/i, topic);
  });
}

test("the subject of a certificate is named in a refusal", async () => {
  const topic = await newTopic("DESCRIBE");
  const properties = certificateProperties(cluster, "key", "visitor");
  const [producer, consumer] = await bothRefusals(properties, { env }, topic);
  for (const sentence of [producer, consumer]) assert.match(sentence, /CN=visitor/);
  assert.match(producer, /\bwrite\b/i);
  assert.match(consumer, /\bread\b/i);
});

test("rights that are taken away while a producer runs end it with the operation and the principal", async () => {
  const topic = await newTopic("WRITE");
  const producer = startPcapts(producerLine(visitor, topic), { env });
  producer.child.stdin.write(capture);
  await eventually("40 frames in the topic", async () => (await endOf(topic)) === 40);
  await revoke(plaintext, topic);
  // Goes on from where the file header and 20 frames end.
  const more = numberedCapture(40).subarray(capture.length);
  producer.child.stdin.end(more);
  const { status, stderr } = await producer.ended;
  assert.equal(status, 1, stderr);
  assertNames(stderr, /\bwrite\b/i, topic);
  assert.equal(readLedger(stderr).acknowledged, 20);
  assert.equal(await endOf(topic), 40);
});

test("rights that are taken away while a consumer runs end it with the operation and the principal", async () => {
  const topic = await newTopic("READ");
  const line = consumerLine(visitor, topic).filter((flag) => flag !== "-e");
  const consumer = startPcapts(line, { env });
  await consumer.writes((stdout) => stdout.length === capture.length);
  await revoke(plaintext, topic);
  const { status, stderr } = await consumer.ended;
  assert.equal(status, 1, stderr);
  assertNames(stderr, /\bread\b/i, topic);
});

/** How many records a topic with one partition holds. */
async function endOf(topic: string): Promise<number> {
  const admin = new Kafka({ brokers: [plaintext], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    return Number((await admin.fetchTopicOffsets(topic))[0]?.high);
  } finally {
    await admin.disconnect();
  }
}
