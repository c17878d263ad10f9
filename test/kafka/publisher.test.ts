import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { test } from "node:test";
import { loadCodec } from "../../src/kafka-wire/compression.ts";
import type { CodecName } from "../../src/kafka-wire/compression.ts";
import { KAFKA_ERROR_CODE } from "../../src/kafka-wire/error-codes.ts";
import type { PublisherOptions } from "../../src/kafka/client-options.ts";
import { forEachDelivered } from "../../src/kafka/delivery.ts";
import type { Delivery } from "../../src/kafka/delivery.ts";
import { createPartitioner } from "../../src/kafka/partitioner.ts";
import { Publisher } from "../../src/kafka/publisher.ts";
import type { PublisherSetup } from "../../src/kafka/publisher-setup.ts";
import { silentLogger } from "../../src/logger.ts";
import type { FrameChunk } from "../../src/packet/frame-chunk.ts";
import { MemoryBroker } from "./memory-broker.ts";
import type { BatchFate, Faults } from "./memory-broker.ts";

const defaults: PublisherOptions = {
  idempotence: undefined,
  acks: -1,
  batchBytes: 600,
  lingerMs: 1,
  queueBytes: 1 << 20,
  maxMessageBytes: 1_000_000,
  messageTimeoutMs: 60_000,
  ackTimeoutMs: 1000,
  maxInFlight: 5,
  compression: "none",
  compressionLevel: undefined,
};

const healthy: Faults = {
  batchFate: () => ({ kind: "append" }),
  loseConnection: () => undefined,
};

/** Ethernet frames whose last four bytes are their number; the conversation is number % flows. */
function numberedFrames(first: number, count: number, flows = 5): FrameChunk {
  const frames: Buffer[] = [];
  for (let number = first; number < first + count; number++) {
    const frame = Buffer.alloc(16 + 14 + 20 + 8 + 4);
    frame.writeUInt32LE(1_700_000_000, 0);
    frame.writeUInt32LE(number, 4);
    frame.writeUInt32LE(frame.length - 16, 8);
    frame.writeUInt32LE(frame.length - 16, 12);
    frame.writeUInt16BE(0x0800, 16 + 12);
    frame[30] = 0x45;
    frame.writeUInt16BE(32, 32);
    frame[39] = 17;
    frame.writeUInt32BE(0x0a000001, 42);
    frame.writeUInt32BE(0x0a000002, 46);
    frame.writeUInt16BE(1000 + (number % flows), 50);
    frame.writeUInt16BE(53, 52);
    frame.writeUInt32BE(number, frame.length - 4);
    frames.push(frame);
  }
  return {
    bytes: Buffer.concat(frames),
    frameCount: count,
    bigEndian: false,
    nanosecond: false,
    interfaces: [{ sensor: "", name: "", linkType: 1, snapLengthBytes: 262_144 }],
  };
}

function setupFor(broker: MemoryBroker, changes: Partial<PublisherSetup> = {}): PublisherSetup {
  return {
    transport: broker,
    topic: {
      name: "t",
      leaders: broker.logs.map(() => 0),
      maxMessageBytes: undefined,
      retentionMs: undefined,
    },
    options: defaults,
    client: { retryBackoffMs: 1, retryBackoffMaxMs: 4 },
    partitioner: "flow",
    headers: { all: false, nameInterface: false },
    recordTimestamp: "publish",
    logger: silentLogger,
    stopSignal: new AbortController().signal,
    flushTimeoutMs: 10_000,
    ...changes,
  };
}

const numberOf = (value: Buffer): number => value.readUInt32BE(value.length - 4);

/** mulberry32: the rounds can be run again from their seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
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
  const faults: Faults = {
    loseConnection: () =>
      random() < troubles / 2 ? (random() < 0.5 ? "before" : "after") : undefined,
    batchFate: (_partition, records): BatchFate => {
      const bad = new Set(
        [...records.keys()].filter((index) => refused.has(numberOf(records[index]!.value))),
      );
      if (bad.size > 0) return { kind: "refuse", records: bad, named };
      if (random() >= troubles) return { kind: "append" };
      const code = RETRIABLE[Math.floor(random() * RETRIABLE.length)]!;
      const appended = code !== KAFKA_ERROR_CODE.NOT_LEADER_OR_FOLLOWER && random() < 0.7;
      return { kind: "error", code, appended };
    },
  };
  const codec = compression && (await loadCodec(compression));
  const broker = new MemoryBroker(3, faults, codec);
  const options = { ...defaults, compression: compression ?? ("none" as const) };
  // Little memory at times, so that publish() waits for it.
  if (random() < 0.3) options.queueBytes = 4000;
  const publisher = await Publisher.open(setupFor(broker, { options }));
  for (let next = 0; next < total;) {
    const count = Math.min(total - next, 1 + Math.floor(random() * 60));
    assert.equal(await publisher.publish(numberedFrames(next, count)), count);
    next += count;
    if (random() < 0.3) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(await publisher.flush(), true, `seed ${seed}`);
  publisher.close();
  if (compression !== undefined) assert.ok(broker.compressedBatches > 0, `seed ${seed}: none was`);

  const logged = broker.logs.map((log) => log.map(({ value }) => numberOf(value)));
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

test("a broker that forgot the producer gets every frame under a new epoch", async () => {
  let forgotten = false;
  const broker = new MemoryBroker(1, {
    ...healthy,
    batchFate: (_partition, records) => {
      if (forgotten || numberOf(records[0]!.value) < 50) return { kind: "append" };
      forgotten = true;
      return { kind: "error", code: KAFKA_ERROR_CODE.UNKNOWN_PRODUCER_ID, appended: false };
    },
  });
  const publisher = await Publisher.open(setupFor(broker));
  await publisher.publish(numberedFrames(0, 200));
  assert.equal(await publisher.flush(), true);
  publisher.close();
  assert.deepEqual(
    broker.logs[0]!.map(({ value }) => numberOf(value)),
    Array.from({ length: 200 }, (_, number) => number),
  );
});

test("publish() waits while the memory is full, and the memory stays within its bound", async () => {
  let release = (): void => {};
  const gate = new Promise<void>((resolve) => (release = resolve));
  const broker = new MemoryBroker(1, healthy);
  const connection = await broker.connectionTo();
  const send = connection.send.bind(connection);
  connection.send = async (request) => {
    if (request.api === "Produce") await gate;
    return send(request);
  };
  const options = { ...defaults, batchBytes: 16_384, queueBytes: 65_536 };
  const publisher = await Publisher.open(setupFor(broker, { options }));
  let published = false;
  const publishing = publisher.publish(numberedFrames(0, 3000)).then(() => (published = true));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(published, false);
  const { unsent, unanswered } = publisher.countHeld();
  assert.ok((unsent + unanswered) * 46 <= 65_536, `${unsent + unanswered} frames are held`);
  release();
  await publishing;
  assert.equal(await publisher.flush(), true);
  publisher.close();
  assert.equal(broker.logs[0]!.length, 3000);
});

test("frames whose message.timeout.ms is over are failed when never sent, unknown when not answered", async () => {
  const broker = new MemoryBroker(1, {
    ...healthy,
    batchFate: () => ({
      kind: "error",
      code: KAFKA_ERROR_CODE.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
      appended: false,
    }),
  });
  const options = { ...defaults, messageTimeoutMs: 300, maxInFlight: 1 };
  const publisher = await Publisher.open(setupFor(broker, { options }));
  await publisher.publish(numberedFrames(0, 100));
  assert.equal(await publisher.flush(), true);
  publisher.close();
  const { acknowledged, failed, unknown } = publisher.counters;
  assert.equal(acknowledged, 0);
  assert.equal(failed + unknown, 100);
  assert.ok(unknown > 0 && failed > 0, `failed ${failed}, unknown ${unknown}`);
});

test("after a stop flush() gives up in time, and what was not answered counts as unknown", async () => {
  const broker = new MemoryBroker(1, healthy);
  const connection = await broker.connectionTo();
  const send = connection.send.bind(connection);
  connection.send = (request) =>
    request.api === "Produce" ? new Promise(() => {}) : send(request);
  const stopping = new AbortController();
  const publisher = await Publisher.open(
    setupFor(broker, { stopSignal: stopping.signal, flushTimeoutMs: 30 }),
  );
  await publisher.publish(numberedFrames(0, 5));
  stopping.abort();
  assert.equal(await publisher.flush(), false);
  publisher.close();
  assert.deepEqual(publisher.counters, { acknowledged: 0, failed: 0, unknown: 5 });
});

test("a frame above message.max.bytes fails here, and the others go on", async () => {
  const broker = new MemoryBroker(1, healthy);
  const messages: string[] = [];
  const publisher = await Publisher.open(
    setupFor(broker, {
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
  const broker = new MemoryBroker(1, healthy, await loadCodec("gzip"));
  const options = { ...defaults, compression: "gzip" as const, batchBytes: 140 };
  const publisher = await Publisher.open(setupFor(broker, { options }));
  const chunk = numberedFrames(0, 1);
  await publisher.publish({ ...chunk, bytes: randomBytesOf(chunk.bytes) });
  assert.equal(await publisher.flush(), true);
  publisher.close();
  assert.equal(broker.compressedBatches, 0);
  assert.equal(broker.logs[0]!.length, 1);
});

/** The frame with bytes in it that nothing compresses. */
function randomBytesOf(frame: Buffer): Buffer {
  const copy = Buffer.from(frame);
  randomFillSync(copy, 16);
  return copy;
}

test("batches whose time is up while they are compressed are dropped, and their memory is free", async () => {
  const broker = new MemoryBroker(1, healthy, await loadCodec("gzip"));
  const connection = await broker.connectionTo();
  const send = connection.send.bind(connection);
  connection.send = (request) =>
    request.api === "Produce" ? new Promise(() => {}) : send(request);
  const options = {
    ...defaults,
    compression: "gzip" as const,
    messageTimeoutMs: 1,
    queueBytes: 1200,
    maxInFlight: 1,
  };
  const publisher = await Publisher.open(setupFor(broker, { options }));
  // A connection that is waited for keeps a process alive; this one has no socket.
  const alive = setInterval(() => {}, 1000);
  // More than the memory holds: it comes to an end only if dropped batches give theirs back.
  assert.equal(await publisher.publish(numberedFrames(0, 60)), 60);
  clearInterval(alive);
  publisher.close();
});

test("deliveries of compressed batches are told with their records", async () => {
  const broker = new MemoryBroker(1, healthy, await loadCodec("lz4"));
  const lengths: number[] = [];
  const options = { ...defaults, compression: "lz4" as const };
  const onDelivery = (delivery: Delivery): void =>
    forEachDelivered(delivery, (_index, _offset, _micros, length) => lengths.push(length));
  const publisher = await Publisher.open(setupFor(broker, { options, onDelivery }));
  await publisher.publish(numberedFrames(0, 100));
  assert.equal(await publisher.flush(), true);
  publisher.close();
  assert.deepEqual(lengths, Array<number>(100).fill(46));
});

test("answers that come after close() change no count, and nothing more is sent", async () => {
  const broker = new MemoryBroker(1, healthy);
  const connection = await broker.connectionTo();
  const send = connection.send.bind(connection);
  let release = (): void => {};
  const gate = new Promise<void>((resolve) => (release = resolve));
  connection.send = async (request) => {
    if (request.api === "Produce") await gate;
    return send(request);
  };
  const stopping = new AbortController();
  const publisher = await Publisher.open(
    setupFor(broker, { stopSignal: stopping.signal, flushTimeoutMs: 30 }),
  );
  await publisher.publish(numberedFrames(0, 100));
  stopping.abort();
  assert.equal(await publisher.flush(), false);
  publisher.close();
  const counted = { ...publisher.counters };
  release();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(publisher.counters, counted);
  assert.equal(broker.logs[0]!.length, counted.unknown);
});

test("flush() ends when the last batch is refused whole, although another partition has no leader", async () => {
  const broker = new MemoryBroker(2, {
    ...healthy,
    batchFate: (_partition, records) => ({
      kind: "refuse",
      records: new Set(records.keys()),
      named: true,
    }),
  });
  broker.lookUpTopic = async () => ({ leaders: [-1, 0] });
  const topic = { name: "t", leaders: [-1, 0], maxMessageBytes: undefined, retentionMs: undefined };
  const publisher = await Publisher.open(setupFor(broker, { topic }));
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
  const broker = new MemoryBroker(1, healthy);
  broker.lookUpTopic = async () => ({ errorCode: KAFKA_ERROR_CODE.TOPIC_AUTHORIZATION_FAILED });
  const topic = { name: "t", leaders: [-1], maxMessageBytes: undefined, retentionMs: undefined };
  const publisher = await Publisher.open(setupFor(broker, { topic }));
  await publisher.publish(numberedFrames(0, 1));
  await assert.rejects(publisher.flush(), {
    code: "AUTHORIZATION_FAILED",
    message: /DESCRIBE on topic "t" is not allowed for User:ANONYMOUS/,
  });
  publisher.close();
});

function partitionOf({ bytes }: FrameChunk): number {
  return createPartitioner("flow", 2)(bytes, 16, bytes.length, 1, 0);
}
