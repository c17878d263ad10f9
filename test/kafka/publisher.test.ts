import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { after, before, test } from "node:test";
import type {
  BatchFault,
  BrokerFaults,
  FaultyRequest,
  RequestFault,
} from "../../src/broker/faults.ts";
import { decompressBatch, loadCodec } from "../../src/kafka-wire/compression.ts";
import type { CodecName, RecordCodec } from "../../src/kafka-wire/compression.ts";
import { KAFKA_ERROR_CODE } from "../../src/kafka-wire/error-codes.ts";
import { readRecordBatchHeader } from "../../src/kafka-wire/record-batch-reader.ts";
import { forEachDelivered } from "../../src/kafka/delivery.ts";
import type { Delivery } from "../../src/kafka/delivery.ts";
import { createPartitioner } from "../../src/kafka/partitioner.ts";
import { Publisher } from "../../src/kafka/publisher.ts";
import type { PublisherSetup } from "../../src/kafka/publisher-setup.ts";
import type { PublishableTopic } from "../../src/kafka/topic.ts";
import type { Transport } from "../../src/kafka/transport.ts";
import { silentLogger } from "../../src/logger.ts";
import type { FrameChunk } from "../../src/packet/frame-chunk.ts";
import { FaultyBroker, readPartition, readTopic, valuesOf } from "./faulty-broker.ts";
import { numberedFrames, numberOf, randomFrom } from "./numbered-frames.ts";
import { publisherSetup, SMALL_BATCHES } from "./publisher-setup.ts";

let broker: FaultyBroker;
let transport: Transport;
before(async () => {
  broker = await FaultyBroker.start();
  transport = await broker.connect();
});
after(() => broker.remove());

/** A topic for one test, and what goes wrong meanwhile. */
function newTopic(partitions: number, faults: BrokerFaults = {}): Promise<PublishableTopic> {
  broker.faults = faults;
  return broker.newTopic(transport, partitions);
}

const defaults = SMALL_BATCHES;
const setupFor = (topic: PublishableTopic, changes?: Partial<PublisherSetup>): PublisherSetup =>
  publisherSetup(transport, topic, changes);

/** Batches that come are not dealt with before it is opened. */
class Gate implements BrokerFaults {
  open: () => void = () => {};
  readonly #opened = new Promise<void>((resolve) => (this.open = resolve));

  onRequest({ api }: FaultyRequest): RequestFault | undefined {
    return api === "Produce" ? { until: this.#opened } : undefined;
  }
}

const RETRIABLE = [
  KAFKA_ERROR_CODE.NOT_LEADER_OR_FOLLOWER,
  KAFKA_ERROR_CODE.REQUEST_TIMED_OUT,
  KAFKA_ERROR_CODE.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
  KAFKA_ERROR_CODE.NETWORK_EXCEPTION,
];

test("every frame is in the log once and in order through lost connections, errors and refusals", async () => {
  const firstSeed = Math.floor(Math.random() * 2 ** 31);
  for (let seed = firstSeed; seed < firstSeed + 60; seed++) {
    await randomRound(seed);
  }
});

for (const codec of ["gzip", "snappy", "lz4", "zstd"] as const) {
  test(`and so it is when batches are compressed with ${codec}`, async () => {
    const firstSeed = Math.floor(Math.random() * 2 ** 31);
    for (let seed = firstSeed; seed < firstSeed + 20; seed++) {
      await randomRound(seed, codec);
    }
  });
}

async function randomRound(seed: number, compression?: CodecName): Promise<void> {
  const random = randomFrom(seed);
  const total = 200 + Math.floor(random() * 600);
  // Refused for good, whenever they come.
  const refused = new Set<number>();
  for (let i = Math.floor(random() * 6); i > 0; i--) refused.add(Math.floor(random() * total));
  const named = random() < 0.5;
  const troubles = random() * 0.3;
  const codec = compression && (await loadCodec(compression));
  const drops = ["before", "after", "half-answered"] as const;
  // Every batch above it is too large, whenever it comes; one frame never is.
  const largest = random() < 0.2 ? 300 : Infinity;
  const topic = await newTopic(3);
  broker.faults = {
    onRequest: ({ api }) => {
      if (api !== "Produce" || random() >= troubles) return undefined;
      if (random() < 0.5) return { drop: drops[Math.floor(random() * drops.length)]! };
      return random() < 0.1 ? { throttleMs: 5 } : undefined;
    },
    onBatch: ({ bytes }): BatchFault | undefined => {
      if (bytes.length > largest) {
        return { errorCode: KAFKA_ERROR_CODE.MESSAGE_TOO_LARGE, isAppended: false };
      }
      const bad = valuesIn(bytes, codec).flatMap((value, index) =>
        refused.has(numberOf(value)) ? [index] : [],
      );
      if (bad.length > 0) return refusalOf(named ? bad : []);
      if (random() >= troubles) return undefined;
      const errorCode = RETRIABLE[Math.floor(random() * RETRIABLE.length)]!;
      const isAppended = errorCode !== KAFKA_ERROR_CODE.NOT_LEADER_OR_FOLLOWER && random() < 0.7;
      return { errorCode, isAppended };
    },
  };
  const options = { ...defaults, compression: compression ?? ("none" as const) };
  // Little memory at times, so that publish() waits for it.
  if (random() < 0.3) options.queueBytes = 4000;
  const publisher = await Publisher.open(setupFor(topic, { options }));
  for (let next = 0; next < total;) {
    const count = Math.min(total - next, 1 + Math.floor(random() * 60));
    assert.equal(await publisher.publish(numberedFrames(next, count)), count);
    next += count;
    if (random() < 0.3) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(await publisher.flush(), true, `seed ${seed}`);
  publisher.close();
  broker.faults = {};
  const partitions = await readTopic(transport, topic);
  if (compression !== undefined) {
    assert.ok(
      partitions.some(({ compressedBatches }) => compressedBatches > 0),
      `seed ${seed}: none was`,
    );
  }

  const logged = partitions.map(({ values }) => values.map(numberOf));
  for (const [partition, numbers] of logged.entries()) {
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
      `seed ${seed}: order of partition ${partition}`,
    );
  }
  const expected = Array.from({ length: total }, (_, number) => number).filter(
    (number) => !refused.has(number),
  );
  assert.deepEqual(
    logged.flat().toSorted((a, b) => a - b),
    expected,
    `seed ${seed}: each frame once`,
  );
  assert.deepEqual(
    publisher.counters,
    { acknowledged: expected.length, failed: refused.size, unknown: 0 },
    `seed ${seed}: counters`,
  );
}

/** Values of a batch on its way into the log. */
function valuesIn(bytes: Buffer, codec: RecordCodec | undefined): Buffer[] {
  const { compression } = readRecordBatchHeader(bytes, 0, bytes.length, false)!;
  return valuesOf(compression === "none" ? bytes : decompressBatch(bytes, codec!));
}

/** Records are refused for good; named, as Produce version 8 does, or not. */
const refusalOf = (records: readonly number[]): BatchFault => ({
  errorCode: KAFKA_ERROR_CODE.INVALID_TIMESTAMP,
  isAppended: false,
  records,
});

test("a broker that forgot the producer gets every frame under a new epoch", async () => {
  let forgotten = false;
  const topic = await newTopic(1, {
    onBatch: ({ bytes }) => {
      if (forgotten || numberOf(valuesOf(bytes)[0]!) < 50) return undefined;
      forgotten = true;
      return { errorCode: KAFKA_ERROR_CODE.UNKNOWN_PRODUCER_ID, isAppended: false };
    },
  });
  const publisher = await Publisher.open(setupFor(topic));
  await publisher.publish(numberedFrames(0, 200));
  assert.equal(await publisher.flush(), true);
  publisher.close();
  assert.ok(forgotten);
  assert.deepEqual(
    (await readPartition(transport, topic, 0)).values.map(numberOf),
    Array.from({ length: 200 }, (_, number) => number),
  );
});

test("publish() waits while the memory is full, and the memory stays within its bound", async () => {
  const gate = new Gate();
  const topic = await newTopic(1, gate);
  const options = { ...defaults, batchBytes: 16_384, queueBytes: 65_536 };
  const publisher = await Publisher.open(setupFor(topic, { options }));
  let published = false;
  const publishing = publisher.publish(numberedFrames(0, 3000)).then(() => (published = true));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(published, false);
  const { unsent, unanswered } = publisher.countHeld();
  assert.ok((unsent + unanswered) * 46 <= 65_536, `${unsent + unanswered} frames are held`);
  gate.open();
  await publishing;
  assert.equal(await publisher.flush(), true);
  publisher.close();
  assert.equal((await readPartition(transport, topic, 0)).values.length, 3000);
});

test("frames whose message.timeout.ms is over are failed when never sent, unknown when not answered", async () => {
  const topic = await newTopic(1, {
    onBatch: () => ({
      errorCode: KAFKA_ERROR_CODE.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
      isAppended: false,
    }),
  });
  const options = { ...defaults, messageTimeoutMs: 300, maxInFlight: 1 };
  const publisher = await Publisher.open(setupFor(topic, { options }));
  await publisher.publish(numberedFrames(0, 100));
  assert.equal(await publisher.flush(), true);
  publisher.close();
  const { acknowledged, failed, unknown } = publisher.counters;
  assert.equal(acknowledged, 0);
  assert.equal(failed + unknown, 100);
  assert.ok(unknown > 0 && failed > 0, `failed ${failed}, unknown ${unknown}`);
});

test("after a stop flush() gives up in time, and what was not answered counts as unknown", async () => {
  const gate = new Gate();
  const topic = await newTopic(1, gate);
  const stopping = new AbortController();
  const publisher = await Publisher.open(
    setupFor(topic, { stopSignal: stopping.signal, flushTimeoutMs: 30 }),
  );
  await publisher.publish(numberedFrames(0, 5));
  stopping.abort();
  assert.equal(await publisher.flush(), false);
  publisher.close();
  assert.deepEqual(publisher.counters, { acknowledged: 0, failed: 0, unknown: 5 });
  gate.open();
});

test("a frame above message.max.bytes fails here, and the others go on", async () => {
  const topic = await newTopic(1);
  const messages: string[] = [];
  const publisher = await Publisher.open(
    setupFor(topic, {
      options: { ...defaults, maxMessageBytes: 1000 },
      logger: { ...silentLogger, error: (message) => void messages.push(message) },
    }),
  );
  const large = Buffer.alloc(16 + 2000);
  large.writeUInt32LE(2000, 8);
  large.writeUInt32LE(2000, 12);
  const chunk = numberedFrames(0, 2);
  await publisher.publish({
    ...chunk,
    bytes: Buffer.concat([chunk.bytes, large, numberedFrames(2, 1).bytes]),
    frameCount: 4,
  });
  assert.equal(await publisher.flush(), true);
  publisher.close();
  assert.deepEqual(publisher.counters, { acknowledged: 3, failed: 1, unknown: 0 });
  assert.match(messages.join("\n"), /this side's message\.max\.bytes \(1000\)/);
});

test("a batch that compression would make larger is sent as it is", async () => {
  const topic = await newTopic(1);
  const options = { ...defaults, compression: "gzip" as const, batchBytes: 140 };
  const publisher = await Publisher.open(setupFor(topic, { options }));
  const chunk = numberedFrames(0, 1);
  await publisher.publish({ ...chunk, bytes: randomBytesOf(chunk.bytes) });
  assert.equal(await publisher.flush(), true);
  publisher.close();
  const { values, compressedBatches } = await readPartition(transport, topic, 0);
  assert.equal(compressedBatches, 0);
  assert.equal(values.length, 1);
});

/** The frame with bytes in it that nothing compresses. */
function randomBytesOf(frame: Buffer): Buffer {
  const copy = Buffer.from(frame);
  randomFillSync(copy, 16);
  return copy;
}

test("batches whose time is up while they are compressed are dropped, and their memory is free", async () => {
  const gate = new Gate();
  const topic = await newTopic(1, gate);
  const options = {
    ...defaults,
    compression: "gzip" as const,
    messageTimeoutMs: 1,
    queueBytes: 1200,
    maxInFlight: 1,
  };
  const publisher = await Publisher.open(setupFor(topic, { options }));
  // More than the memory holds: it comes to an end only if dropped batches give theirs back.
  assert.equal(await publisher.publish(numberedFrames(0, 60)), 60);
  publisher.close();
  gate.open();
});

test("deliveries of compressed batches are told with their records", async () => {
  const topic = await newTopic(1);
  const lengths: number[] = [];
  const options = { ...defaults, compression: "lz4" as const };
  const onDelivery = (delivery: Delivery): void =>
    forEachDelivered(delivery, (_index, _offset, _micros, length) => lengths.push(length));
  const publisher = await Publisher.open(setupFor(topic, { options, onDelivery }));
  await publisher.publish(numberedFrames(0, 100));
  assert.equal(await publisher.flush(), true);
  publisher.close();
  assert.deepEqual(lengths, Array<number>(100).fill(46));
});

test("answers that come after close() change no count, and nothing more is sent", async () => {
  const gate = new Gate();
  const topic = await newTopic(1, gate);
  const stopping = new AbortController();
  const publisher = await Publisher.open(
    setupFor(topic, { stopSignal: stopping.signal, flushTimeoutMs: 30 }),
  );
  await publisher.publish(numberedFrames(0, 100));
  stopping.abort();
  assert.equal(await publisher.flush(), false);
  publisher.close();
  const counted = { ...publisher.counters };
  gate.open();
  // Its answer comes behind those to the publisher, the second one behind what they may have it send.
  await readPartition(transport, topic, 0);
  await new Promise((resolve) => setTimeout(resolve, 50));
  const { values } = await readPartition(transport, topic, 0);
  assert.deepEqual(publisher.counters, counted);
  assert.equal(values.length, counted.unknown);
  assert.ok(values.length > 0);
});

test("flush() ends when the last batch is refused whole, although another partition has no leader", async () => {
  const topic = await newTopic(2, {
    isLeaderless: (_topic, partition) => partition === 0,
    onBatch: ({ bytes }) => refusalOf([...valuesOf(bytes).keys()]),
  });
  assert.equal(topic.leaders[0], -1);
  const publisher = await Publisher.open(setupFor(topic));
  // Flows of partition 1 alone.
  const chunks = Array.from({ length: 20 }, (_, flow) => numberedFrames(flow, 1, 1000));
  let published = 0;
  for (const chunk of chunks) {
    if (partitionOf(chunk) !== 1) continue;
    published += await publisher.publish(chunk);
  }
  assert.ok(published > 0);
  assert.equal(await publisher.flush(), true);
  publisher.close();
  assert.deepEqual(publisher.counters, { acknowledged: 0, failed: published, unknown: 0 });
});

// Rights that were taken away while a partition had no leader were asked for until message.timeout.ms
// was over, and what failed was never said.
test("a topic that may not be described any more while leaders are asked for ends publishing", async () => {
  const errorCode = KAFKA_ERROR_CODE.TOPIC_AUTHORIZATION_FAILED;
  const topic = await newTopic(1, { isLeaderless: () => true });
  const refused = await broker.connect();
  broker.faults = { onRequest: ({ api }) => (api === "Metadata" ? { errorCode } : undefined) };
  const publisher = await Publisher.open(setupFor(topic, { transport: refused }));
  await publisher.publish(numberedFrames(0, 1));
  await assert.rejects(publisher.flush(), {
    code: "AUTHORIZATION_FAILED",
    message: new RegExp(`DESCRIBE on topic "${topic.name}" is not allowed for User:ANONYMOUS`),
  });
  publisher.close();
});

function partitionOf({ bytes }: FrameChunk): number {
  return createPartitioner("flow", 2)(bytes, 16, bytes.length, 1, 0);
}
