import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import kafkajs from "kafkajs";
import { KAFKA_ERROR_CODE } from "../../src/kafka-wire/error-codes.ts";
import { persistently } from "../../src/kafka/persistently.ts";
import { Publisher } from "../../src/kafka/publisher.ts";
import type { PublisherSetup } from "../../src/kafka/publisher-setup.ts";
import type { PublishableTopic } from "../../src/kafka/topic.ts";
import { prepareTopic } from "../../src/kafka/topic.ts";
import { TopicWatch } from "../../src/kafka/topic-watch.ts";
import type { Transport } from "../../src/kafka/transport.ts";
import { silentLogger } from "../../src/logger.ts";
import { randomTopicName, sharedBroker } from "../brokers.ts";
import { eventually } from "../integration/pcapts-process.ts";
import { PASSING_ERRORS } from "../outages/error-trouble.ts";
import { assertOnceAndInOrder } from "./delivered-frames.ts";
import { connectTo, FaultyBroker, IMPATIENT, readPartition, readTopic } from "./faulty-broker.ts";
import { numberedFrames } from "./numbered-frames.ts";
import { HeardLogger, publisherSetup, SMALL_BATCHES } from "./publisher-setup.ts";

const { Kafka, logLevel } = kafkajs;

let broker: FaultyBroker;
let transport: Transport;
before(async () => {
  broker = await FaultyBroker.start();
  transport = await broker.connect();
});
after(() => broker.remove());

test("each error that may pass is got over, whether the batch was appended or not", async () => {
  for (const { code, name } of PASSING_ERRORS) {
    for (const isAppended of [false, true]) {
      broker.faults = {};
      const topic = await broker.newTopic(transport, 2);
      let left = 3;
      broker.faults = {
        onBatch: () => (left-- > 0 ? { errorCode: code, isAppended } : undefined),
      };
      const publisher = await Publisher.open(publisherSetup(transport, topic));
      await publisher.publish(numberedFrames(0, 200));
      assert.equal(await publisher.flush(), true, name);
      publisher.close();
      assert.deepEqual(publisher.counters, { acknowledged: 200, failed: 0, unknown: 0 }, name);
      assertOnceAndInOrder(await readTopic(transport, topic), 200, name);
    }
  }
});

// While the others were written nothing was ever said of it.
test("a partition without a leader is named once while the others are written, and once that it is back", async () => {
  broker.faults = {};
  const topic = await broker.newTopic(transport, 2);
  const logger = new HeardLogger();
  const publisher = await Publisher.open(publisherSetup(transport, topic, { logger }));
  let isAway = true;
  const away = KAFKA_ERROR_CODE.NOT_LEADER_OR_FOLLOWER;
  broker.faults = {
    isLeaderless: (_topic, partition) => isAway && partition === 1,
    onBatch: ({ partition }) =>
      isAway && partition === 1 ? { errorCode: away, isAppended: false } : undefined,
  };
  let next = 0;
  const publishMore = async (): Promise<void> => {
    await publisher.publish(numberedFrames(next, 10));
    next += 10;
  };
  await eventually("the warning", async () => {
    await publishMore();
    return logger.matching(/WARN/).length > 0;
  });
  const acknowledged = (): number => publisher.counters.acknowledged;
  const soFar = acknowledged();
  await eventually("frames of the other partition", async () => {
    await publishMore();
    return acknowledged() > soFar + 50;
  });
  isAway = false;
  assert.equal(await publisher.flush(), true);
  publisher.close();
  assert.deepEqual(
    logger.lines.map((line) =>
      line.replace(/": \w.*; trying/, '": …; trying').replace(/\d+ s$/, "n s"),
    ),
    [
      `WARN: Cannot write to partition 1 of topic "${topic.name}": …; trying again`,
      `INFO: Can write to topic "${topic.name}" again, after n s`,
    ],
  );
  assertOnceAndInOrder(await readTopic(transport, topic), next);
});

test("a broker that does not answer is named long before its time is up", async () => {
  broker.faults = {};
  const topic = await broker.newTopic(transport, 1);
  const logger = new HeardLogger();
  let answer = (): void => {};
  const answered = new Promise<void>((resolve) => (answer = resolve));
  broker.faults = { onRequest: ({ api }) => (api === "Produce" ? { until: answered } : undefined) };
  const publisher = await Publisher.open(publisherSetup(transport, topic, { logger }));
  await publisher.publish(numberedFrames(0, 10));
  await eventually("the warning", () => logger.matching(/has not answered for 5 s/).length > 0);
  answer();
  assert.equal(await publisher.flush(), true);
  publisher.close();
  assert.equal(logger.matching(/WARN/).length, 1);
  assert.equal(logger.matching(/INFO: Can write .* again/).length, 1);
  assert.equal((await readPartition(transport, topic, 0)).values.length, 10);
});

/** On a Kafka that is real: it decides what becomes of a producer's sequences. */
async function onKafka(
  partitions: number,
): Promise<{ way: Transport; topic: PublishableTopic; admin: ReturnType<typeof adminOf> }> {
  const { bootstrap } = await sharedBroker();
  const way = await connectTo(Number(bootstrap.split(":")[1]));
  const admin = adminOf(bootstrap);
  await admin.connect();
  const name = randomTopicName("outage");
  const topic = await prepareTopic(way, name, partitions, IMPATIENT, silentLogger);
  return { way, topic, admin };
}

const adminOf = (bootstrap: string) =>
  new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING }).admin();

/** A Kafka that has just started has no producer ids yet. */
const openPatiently = (setup: PublisherSetup): Promise<Publisher> =>
  persistently("get a producer id", IMPATIENT, undefined, () => Publisher.open(setup));

async function deleteTopic({
  admin,
  topic,
  way,
}: Awaited<ReturnType<typeof onKafka>>): Promise<void> {
  await admin.deleteTopics({ topics: [topic.name] });
  await eventually("the end of the topic", async () => {
    const found = await way.lookUpTopic(topic.name);
    return "errorCode" in found;
  });
}

test("a topic that is deleted and created anew gets all that comes from then on, in order, and it is said", async () => {
  const on = await onKafka(2);
  const { way, topic, admin } = on;
  try {
    const logger = new HeardLogger();
    const publisher = await openPatiently(publisherSetup(way, topic, { logger }));
    await publisher.publish(numberedFrames(0, 500));
    await eventually("all", () => publisher.counters.acknowledged === 500);
    await deleteTopic(on);
    await publisher.publish(numberedFrames(500, 500));
    await eventually("the warning", () => logger.matching(/WARN: Cannot write/).length > 0);
    await prepareTopic(way, topic.name, 2, IMPATIENT, silentLogger);
    assert.equal(await publisher.flush(), true);
    publisher.close();
    assert.deepEqual(publisher.counters, { acknowledged: 1000, failed: 0, unknown: 0 });
    assert.equal(logger.matching(/goes on at offset 0, \d+ was expected/).length, 2);
    const now = await readTopic(way, topic);
    const shifted = now.map(({ values, compressedBatches }) => ({
      compressedBatches,
      values: values.map((value) => {
        value.writeUInt32BE(value.readUInt32BE(value.length - 4) - 500, value.length - 4);
        return value;
      }),
    }));
    assertOnceAndInOrder(shifted, 500);
  } finally {
    await admin.disconnect();
    await way.close();
  }
});

test("a topic that comes back with fewer partitions ends the run with both counts", async () => {
  const on = await onKafka(3);
  const { way, topic, admin } = on;
  try {
    const publisher = await openPatiently(publisherSetup(way, topic));
    await deleteTopic(on);
    await prepareTopic(way, topic.name, 1, IMPATIENT, silentLogger);
    await publisher.publish(numberedFrames(0, 100, 50));
    await assert.rejects(publisher.flush(), {
      code: "TOPIC_UNSUITABLE",
      message:
        /it has 1 partition\(s\), this run began with 3, so it was created anew; start again/,
    });
    publisher.close();
  } finally {
    await admin.disconnect();
    await way.close();
  }
});

test("partitions that are added during a run are said once, and get nothing", async () => {
  const { way, topic, admin } = await onKafka(2);
  try {
    const logger = new HeardLogger();
    const watch = new TopicWatch(topic.name, 2, way, logger);
    await admin.createPartitions({ topicPartitions: [{ topic: topic.name, count: 4 }] });
    await eventually("the partitions", async () => {
      const found = await watch.look();
      return "leaders" in found && found.leaders.length === 4;
    });
    await watch.look();
    assert.deepEqual(logger.lines, [
      `INFO: Topic "${topic.name}" has 4 partitions now: this run began with 2 and stays with them, ` +
        "the next one uses all",
    ]);
  } finally {
    await admin.disconnect();
    await way.close();
  }
});

// It was waited for until --connect-timeout, and then nothing was captured.
test("a run begins although one partition has no leader", async () => {
  broker.faults = {};
  const { name } = await broker.newTopic(transport, 3);
  broker.faults = { isLeaderless: (_topic, partition) => partition === 2 };
  const topic = await prepareTopic(transport, name, 3, IMPATIENT, silentLogger);
  assert.equal(topic.leaders[2], -1);
  const options = { ...SMALL_BATCHES, messageTimeoutMs: 300 };
  const publisher = await Publisher.open(publisherSetup(transport, topic, { options }));
  await publisher.publish(numberedFrames(0, 60, 30));
  assert.equal(await publisher.flush(), true);
  publisher.close();
  const { acknowledged, failed, unknown } = publisher.counters;
  assert.equal(acknowledged + failed, 60);
  assert.equal(unknown, 0);
  assert.ok(acknowledged > 0 && failed > 0);
});
