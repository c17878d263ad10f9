import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { Kafka, logLevel } from "kafkajs";
import { compilePeers, cPeer } from "../../bench/peers.ts";
import type { RequestFault } from "../../src/broker/faults.ts";
import { cacheDirectory } from "../brokers.ts";
import { readCapture } from "../capture-frames.ts";
import { BrokerProcess, startEmbeddedBroker } from "../embedded-broker.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { countRecords, runProgram, runPython } from "./other-programs.ts";
import { consume, publish } from "./pcapts-process.ts";

/*
 * Clients that nobody wrote for this broker, each by its own program.
 */

let broker: BrokerProcess;
let bootstrap = "";
before(async () => {
  broker = await BrokerProcess.start(["--partitions", "1"]);
  ({ bootstrap } = broker);
});
after(() => broker.remove());

const numbers = (count: number): string =>
  Array.from({ length: count }, (_, index) => `${index + 1}\n`).join("");

async function kcat(args: readonly string[], input = ""): Promise<string> {
  return (await runProgram(["kcat", "-b", bootstrap, ...args], input)).stdout.toString();
}

/** Runs one of Kafka's own tools. @returns its standard output */
async function kafkaTool(name: string, args: readonly string[], input = ""): Promise<string> {
  const jars = path.join(cacheDirectory, "kafka-4.3.0");
  const classPath = readdirSync(jars)
    .filter((jar) => jar.endsWith(".jar"))
    .map((jar) => path.join(jars, jar))
    .join(":");
  const java = [
    "java",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xmx256m",
    "-cp",
    classPath,
  ];
  const command = [...java, `org.apache.kafka.tools.${name}`, "--bootstrap-server", bootstrap];
  return (await runProgram([...command, ...args], input)).stdout.toString();
}

for (const codec of ["none", "gzip", "snappy", "lz4", "zstd"]) {
  test(`kcat writes idempotently and reads with ${codec}`, async () => {
    const topic = `kcat-${codec}`;
    const properties = ["-X", `compression.codec=${codec}`, "-X", "enable.idempotence=true"];
    await kcat(["-P", "-t", topic, ...properties], numbers(3000));
    assert.equal(await kcat(["-C", "-e", "-q", "-t", topic]), numbers(3000));
  });
}

test("kcat lists the broker and the topic, and finds an offset by time", async () => {
  await kcat(["-P", "-t", "times"], numbers(10));
  await new Promise((resolve) => setTimeout(resolve, 50));
  const betweenMs = Date.now();
  await new Promise((resolve) => setTimeout(resolve, 50));
  await kcat(["-P", "-t", "times"], numbers(10));
  assert.match(await kcat(["-L", "-t", "times"]), /topic "times" with 1 partitions/);
  assert.match(await kcat(["-Q", "-t", `times:0:${betweenMs}`]), /offset 10\n/);
  assert.match(await kcat(["-Q", "-t", "times:0:-1"]), /offset 20\n/);
  assert.match(await kcat(["-Q", "-t", "times:0:1"]), /offset 0\n/);
});

test("kcat reads as a group, which goes on where it left off, also after a restart of the broker", async () => {
  const asGroup = ["-G", "readers", "-q", "-e", "-X", "auto.offset.reset=earliest", "grouped"];
  await kcat(["-P", "-t", "grouped"], numbers(100));
  assert.equal(await kcat(asGroup), numbers(100));
  assert.equal(await broker.kill("SIGTERM"), 0);
  await broker.start();
  await kcat(["-P", "-t", "grouped"], "more\n");
  assert.equal(await kcat(asGroup), "more\n");
});

const PYTHON = `
import sys
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, ConfigResource

bootstrap = sys.argv[1]
admin = AdminClient({"bootstrap.servers": bootstrap})
for future in admin.create_topics([NewTopic("python", 3, 1, config={"retention.ms": "1000000"})]).values():
    future.result()
(config,) = admin.describe_configs([ConfigResource("topic", "python")]).values()
print(config.result()["retention.ms"].value)
failed = []
producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 2})
for n in range(5000):
    producer.produce("python", key=str(n), value=b"v" * 100, callback=lambda error, _: error and failed.append(error))
    producer.poll(0)
producer.flush()
print(len(failed))

# Two members share three partitions.
members = [Consumer({"bootstrap.servers": bootstrap, "group.id": "two", "auto.offset.reset": "earliest",
                     "session.timeout.ms": 6000, "enable.auto.commit": False}) for _ in range(2)]
for member in members:
    member.subscribe(["python"])
seen = set()
shares = []
while len(seen) < 5000 or shares != [1, 2]:
    for member in members:
        for message in member.consume(500, 0.2):
            if message.error():
                raise KafkaException(message.error())
            seen.add(message.key())
    shares = sorted(len(member.assignment()) for member in members)
for member in members:
    # All was read; a rebalance may have made this member forget how far.
    ends = [TopicPartition(p.topic, p.partition, member.get_watermark_offsets(p)[1]) for p in member.assignment()]
    member.commit(offsets=ends, asynchronous=False)
print(len(seen), shares)
for member in members:
    member.close()
print(sum(p.offset for p in Consumer({"bootstrap.servers": bootstrap, "group.id": "two"}).committed(
    [TopicPartition("python", n) for n in range(3)], 10)))

try:
    Producer({"bootstrap.servers": bootstrap, "transactional.id": "t"}).init_transactions(10)
except KafkaException as error:
    print(error.args[0].name())
`;

test("confluent-kafka creates a topic, writes, shares it among two members, and is told that there are no transactions", async () => {
  assert.deepEqual((await runPython(PYTHON, bootstrap)).trim().split("\n"), [
    "1000000",
    "0",
    "5000 [1, 2]",
    "5000",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
  ]);
});

test("Kafka's own tools create, describe, write, read as a group, describe and reset it, and delete", async () => {
  const topic = ["--topic", "java"];
  const group = ["--group", "java-readers"];
  await kafkaTool("TopicCommand", ["--create", ...topic, "--partitions", "2"]);
  const described = await kafkaTool("TopicCommand", ["--describe", ...topic]);
  assert.match(described, /PartitionCount: 2\s+ReplicationFactor: 1/);
  await kafkaTool("ConsoleProducer", topic, numbers(500));
  const all = [...topic, ...group, "--from-beginning", "--max-messages", "500"];
  const read = await kafkaTool("consumer.ConsoleConsumer", all);
  assert.deepEqual(
    read
      .trim()
      .split("\n")
      .map(Number)
      .toSorted((a, b) => a - b),
    Array.from({ length: 500 }, (_, index) => index + 1),
  );
  const groups = "consumer.group.ConsumerGroupCommand";
  assert.match(await kafkaTool(groups, ["--list"]), /^java-readers$/m);
  assert.match(await kafkaTool(groups, ["--describe", ...group]), /java-readers\s+java\s+0/);
  const reset = ["--reset-offsets", "--to-earliest", "--execute", ...group, ...topic];
  assert.match(await kafkaTool(groups, reset), /java\s+1\s+0/);
  await kafkaTool("TopicCommand", ["--delete", ...topic]);
  assert.doesNotMatch(await kafkaTool("TopicCommand", ["--list"]), /^java$/m);
});

test("kafkajs creates a topic, writes idempotently, and reads as a group", async () => {
  const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: "kafkajs", numPartitions: 2 }] });
  const producer = kafka.producer({ idempotent: true });
  await producer.connect();
  const messages = Array.from({ length: 400 }, (_, index) => ({ value: String(index) }));
  for (let round = 0; round < 3; round++) await producer.send({ topic: "kafkajs", messages });
  await producer.disconnect();
  const consumer = kafka.consumer({ groupId: "kafkajs-readers" });
  await consumer.connect();
  await consumer.subscribe({ topic: "kafkajs", fromBeginning: true });
  let seen = 0;
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        eachBatch: async ({ batch }) => {
          seen += batch.messages.length;
          if (seen === 1200) resolve();
        },
      })
      .catch(reject);
  });
  await consumer.disconnect();
  const { groups } = await admin.listGroups();
  assert.ok(groups.some(({ groupId }) => groupId === "kafkajs-readers"));
  await admin.deleteTopics({ topics: ["kafkajs"] });
  await admin.disconnect();
});

test("the C program on librdkafka writes idempotently, and every frame is there once and in order, also when answers are lost", async () => {
  const FRAMES = 8000;
  const folder = mkdtempSync(path.join(tmpdir(), "pcapts-c-producer-"));
  const drops = ["before", "after", "half-answered"] as const;
  let lost = 0;
  const faults = {
    onRequest: ({ api, number }: { api: string; number: number }): RequestFault | undefined =>
      api === "Produce" && number % 5 === 3 ? { drop: drops[lost++ % drops.length]! } : undefined,
  };
  const careless = await startEmbeddedBroker({ faults });
  try {
    compilePeers(["produce"], folder);
    const file = path.join(folder, "in.pcap");
    const frames = Array.from({ length: FRAMES }, (_, n) => ({
      bytes: buildUdpFrame(n, 60 + (n % 900)),
      seconds: 1_700_000_000 + n,
    }));
    const capture = buildCapture({ frames });
    writeFileSync(file, capture);
    const expected = readCapture(capture).frames.map(({ bytes }) => bytes.toString("hex"));
    const pauses = ["retry.backoff.ms=1", "reconnect.backoff.ms=1", "reconnect.backoff.max.ms=5"];
    for (const [to, codec, properties] of [
      [bootstrap, "none", []],
      [bootstrap, "lz4", []],
      [careless.bootstrap, "none", ["batch.num.messages=200", ...pauses]],
    ] as const) {
      const topic = `c-${codec}`;
      const args = [to, topic, file, `compression.codec=${codec}`, ...properties];
      await runProgram([cPeer("produce", folder), ...args]);
      const read = readCapture(await consume(to, topic)).frames;
      assert.deepEqual(
        read.map(({ bytes }) => bytes.toString("hex")),
        expected,
      );
    }
    assert.ok(lost >= drops.length, `${lost} answers were lost`);
  } finally {
    await careless.remove();
    rmSync(folder, { recursive: true, force: true });
  }
});

test("pcapts publishes to it and gets the same frames back, alone and as a group", async () => {
  const frames = Array.from({ length: 5000 }, (_, n) => ({
    bytes: buildUdpFrame(n, 60 + (n % 900)),
  }));
  const capture = buildCapture({ frames });
  const expected = readCapture(capture).frames.map(({ bytes }) => bytes.toString("hex"));
  for (const compression of ["none", "lz4"]) {
    const topic = `frames-${compression}`;
    await publish(bootstrap, topic, capture, "-X", `compression.codec=${compression}`);
    assert.equal(await countRecords(bootstrap, topic), 5000);
    for (const args of [[], ["-X", `group.id=${topic}`, "-o", "begin"]]) {
      const read = readCapture(await consume(bootstrap, topic, ...args)).frames;
      assert.deepEqual(
        read.map(({ bytes }) => bytes.toString("hex")).toSorted(),
        expected.toSorted(),
      );
    }
  }
});
