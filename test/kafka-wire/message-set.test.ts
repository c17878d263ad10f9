import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32, gzipSync } from "node:zlib";
import fc from "fast-check";
import { loadCodec } from "../../src/kafka-wire/compression.ts";
import { readFetchedHeader, readFetchedRecords } from "../../src/kafka-wire/fetched-records.ts";
import { decodePlainBatches } from "../../src/kafka-wire/plain-records.ts";
import { RecordBatchError, RecordCursor } from "../../src/kafka-wire/record-batch-reader.ts";
import { FrameDecoder } from "../../src/kafka/frame-decoder.ts";
import type { FetchedChunk } from "../../src/kafka/frame-decoder.ts";

/*
 * Messages of the formats 0 and 1, made here by Kafka's documentation ("Old Message Format").
 * test/long/old-message-formats.test.ts has those that Kafka itself wrote.
 */

interface TestMessage {
  readonly magic: 0 | 1;
  readonly offset: number;
  /** Bits 0-2: codec, 3: the broker's time. */
  readonly attributes?: number;
  readonly timestampMs?: number;
  readonly key?: Buffer | null;
  readonly value: Buffer | null;
}

const CODEC = { gzip: 1, snappy: 2, lz4: 3 } as const;
const LOG_APPEND_TIME = 8;

function encodeBytes(bytes: Buffer | null): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(bytes?.length ?? -1);
  return Buffer.concat([length, bytes ?? Buffer.alloc(0)]);
}

function encodeMessage({
  magic,
  offset,
  attributes = 0,
  timestampMs = -1,
  key = null,
  value,
}: TestMessage): Buffer {
  const time = Buffer.alloc(magic === 0 ? 0 : 8);
  if (magic === 1) time.writeBigInt64BE(BigInt(timestampMs));
  const parts = [Buffer.from([magic, attributes]), time, encodeBytes(key), encodeBytes(value)];
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(16);
  head.writeBigInt64BE(BigInt(offset));
  head.writeInt32BE(4 + body.length, 8);
  head.writeUInt32BE(crc32(body), 12);
  return Buffer.concat([head, body]);
}

function keyOf(micros: number): Buffer {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(BigInt(micros));
  return key;
}

/** Frame number `n`: captured at second n, of n bytes. */
function frame(magic: 0 | 1, offset: number, n: number): Buffer {
  const key = keyOf(n * 1_000_000);
  return encodeMessage({ magic, offset, timestampMs: n * 1000, key, value: Buffer.alloc(n, n) });
}

/** An LZ4 frame of one block that is not compressed. */
function lz4Frame(data: Buffer, headerChecksum: number): Buffer {
  const block = Buffer.alloc(4);
  block.writeUInt32LE(0x8000_0000 + data.length);
  const head = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, headerChecksum]);
  return Buffer.concat([head, block, data, Buffer.alloc(4)]);
}

interface Read {
  /** Of each frame: its offset and number. */
  readonly frames: readonly (readonly [number, number])[];
  readonly foreign: readonly string[];
  readonly nextOffset: number;
  readonly failure: string | undefined;
}

async function* decode(
  bytes: Buffer,
  from: number,
  until?: number,
  foreign: string[] = [],
): AsyncGenerator<FetchedChunk, void, void> {
  const decoder = new FrameDecoder({
    nanosecond: false,
    readCommitted: true,
    withOffsets: true,
    onForeignRecord: (_partition, offset, reason) => foreign.push(`${offset}: ${reason}`),
  });
  const fetched = {
    partition: 0,
    errorCode: 0,
    highWatermark: 0n,
    lastStableOffset: 0n,
    abortedTransactions: [],
    recordsStart: 0,
    recordsEnd: bytes.length,
  };
  const end = until === undefined ? undefined : BigInt(until);
  yield* decoder.decode(Buffer.from(bytes), fetched, BigInt(from), end);
}

async function read(bytes: Buffer, from = 0, until?: number): Promise<Read> {
  const foreign: string[] = [];
  const frames: [number, number][] = [];
  let nextOffset = from;
  let failure: string | undefined;
  for await (const chunk of decode(bytes, from, until, foreign)) {
    let at = 0;
    for (const offset of chunk.offsets!) {
      const length = chunk.bytes.readUInt32LE(at + 8);
      const seconds = chunk.bytes.readUInt32LE(at);
      const data = chunk.bytes.subarray(at + 16, at + 16 + length);
      assert.ok(data.equals(Buffer.alloc(seconds, seconds)), `frame ${seconds}`);
      frames.push([Number(offset), seconds]);
      at += 16 + length;
    }
    assert.equal(at, chunk.bytes.length);
    nextOffset = Number(chunk.nextOffset);
    failure = chunk.failure?.message;
  }
  return { frames, foreign, nextOffset, failure };
}

for (const magic of [0, 1] as const) {
  test(`messages of format ${magic} are frames, and what is none is named`, async () => {
    const set = Buffer.concat([
      frame(magic, 7, 60),
      frame(magic, 8, 0),
      encodeMessage({ magic, offset: 10, key: null, value: Buffer.from("{}") }),
      encodeMessage({ magic, offset: 11, key: keyOf(5), value: null }),
      frame(magic, 12, 61),
    ]);
    const all = await read(set, 7);
    assert.deepEqual(all.frames, [
      [7, 60],
      [8, 0],
      [12, 61],
    ]);
    assert.deepEqual(all.foreign, ["10: it has no key", "11: it has no value"]);
    assert.equal(all.nextOffset, 13);
    // The last one is cut, as at the end of an answer.
    const cut = await read(set.subarray(0, -1), 8);
    assert.deepEqual([cut.frames, cut.nextOffset], [[[8, 0]], 12]);
    const some = await read(set, 8, 12);
    assert.deepEqual([some.frames, some.nextOffset], [[[8, 0]], 12]);
  });
}

for (const [codec, compress] of [
  ["gzip", (set: Buffer) => gzipSync(set)],
  ["snappy", async (set: Buffer) => (await loadCodec("snappy")).compress(set)],
  // The checksum of this header is 0x82; old clients computed 0x1a.
  ["lz4", (set: Buffer) => lz4Frame(set, 0x1a)],
] as const) {
  test(`a ${codec} message of format 0 holds messages with offsets of the log`, async () => {
    const within = Buffer.concat([frame(0, 100, 1), frame(0, 103, 2), frame(0, 104, 3)]);
    const value = Buffer.from(await compress(within));
    const set = encodeMessage({ magic: 0, offset: 104, attributes: CODEC[codec], value });
    const { frames, nextOffset } = await read(set, 100);
    assert.deepEqual(frames, [
      [100, 1],
      [103, 2],
      [104, 3],
    ]);
    assert.equal(nextOffset, 105);
  });
}

for (const [codec, compress] of [
  ["gzip", (set: Buffer) => gzipSync(set)],
  ["snappy", async (set: Buffer) => (await loadCodec("snappy")).compress(set)],
  ["lz4", (set: Buffer) => lz4Frame(set, 0x82)],
] as const) {
  test(`a ${codec} message of format 1 holds messages whose offsets count from 0, compaction or not`, async () => {
    // 0, 2 and 3 are gone.
    const within = Buffer.concat([frame(1, 1, 1), frame(1, 4, 2)]);
    const value = Buffer.from(await compress(within));
    const attributes = CODEC[codec];
    const set = Buffer.concat([
      encodeMessage({ magic: 1, offset: 104, attributes, timestampMs: 2000, value }),
      frame(1, 105, 3),
      encodeMessage({ magic: 1, offset: 110, attributes, timestampMs: 2000, value }),
    ]);
    assert.deepEqual((await read(set, 100)).frames, [
      [101, 1],
      [104, 2],
      [105, 3],
      [107, 1],
      [110, 2],
    ]);
    // Within a compressed one.
    const { frames, nextOffset } = await read(set, 102, 108);
    assert.deepEqual(frames, [
      [104, 2],
      [105, 3],
      [107, 1],
    ]);
    assert.equal(nextOffset, 108);
  });
}

test("formats follow each other in a partition, and headers say where to go on", async () => {
  const value = gzipSync(Buffer.concat([frame(1, 0, 3), frame(1, 1, 4)]));
  const set = Buffer.concat([
    frame(0, 0, 1),
    frame(1, 1, 2),
    encodeMessage({ magic: 1, offset: 3, attributes: CODEC.gzip, value }),
    frame(0, 4, 5),
  ]);
  assert.deepEqual(
    (await read(set)).frames,
    [1, 2, 3, 4, 5].map((n) => [n - 1, n]),
  );
  const nexts: number[] = [];
  for (let at = 0; at < set.length;) {
    const { baseOffset, lastOffsetDelta, recordsEnd } = readFetchedHeader(
      set,
      at,
      set.length,
      true,
    )!;
    nexts.push(Number(baseOffset) + lastOffsetDelta + 1);
    at = recordsEnd;
  }
  assert.deepEqual(nexts, [1, 2, 4, 5]);
});

test("times are those of the messages, or of the broker where it says so", async () => {
  const within = Buffer.concat([frame(1, 0, 3), frame(1, 1, 4)]);
  for (const [broker, expected] of [
    [0, [3000, 4000]],
    [LOG_APPEND_TIME, [9000, 9000]],
  ] as const) {
    const set = encodeMessage({
      magic: 1,
      offset: 1,
      attributes: CODEC.gzip | broker,
      timestampMs: 9000,
      value: gzipSync(within),
    });
    const header = readFetchedHeader(set, 0, set.length, true)!;
    const { records, header: apart } = await readFetchedRecords(set, header);
    const cursor = new RecordCursor(records, 0, records.length, apart.recordCount);
    const times: number[] = [];
    while (cursor.next()) times.push(apart.baseTimestampMs + cursor.timestampDelta);
    assert.deepEqual(times, expected);
  }
});

test("records that are no frames are read from old messages, too", async () => {
  const set = Buffer.concat([
    encodeMessage({ magic: 0, offset: 3, key: Buffer.from("a"), value: Buffer.from("one") }),
    encodeMessage({ magic: 1, offset: 4, key: Buffer.from("b"), value: null }),
    encodeMessage({ magic: 1, offset: 5, value: Buffer.from("two") }),
  ]);
  const { values, nextOffset } = await decodePlainBatches(set, 0, set.length, 0n);
  assert.deepEqual(values.map(String), ["one", "two"]);
  assert.equal(nextOffset, 6n);
});

test("a damaged message is named by its offset, and what stands before it is handed over", async () => {
  const set = Buffer.concat([frame(1, 0, 1), frame(1, 1, 2), frame(1, 2, 3)]);
  set[frame(1, 0, 1).length + 30]! ^= 1;
  const { frames, nextOffset, failure } = await read(set);
  assert.deepEqual([frames, nextOffset], [[[0, 1]], 1]);
  assert.match(failure!, /message at offset 1 is damaged: its checksum is \d+, it states \d+/);
});

test("any damage to old messages ends in a RecordBatchError or a chunk", async () => {
  const wholes = [0, 1].flatMap((magic) => {
    const messages = Array.from({ length: 9 }, (_, n) => frame(magic as 0 | 1, n, n + 1));
    const within = Buffer.concat(messages);
    const message = { magic: magic as 0 | 1, offset: 8 };
    return [
      within,
      encodeMessage({ ...message, attributes: CODEC.gzip, value: gzipSync(within) }),
      encodeMessage({ ...message, attributes: CODEC.lz4, value: lz4Frame(within, 0x82) }),
    ];
  });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...wholes),
      fc.nat(),
      fc.integer({ min: 0, max: 255 }),
      async (whole, at, value) => {
        const bytes = Buffer.from(whole);
        bytes[at % bytes.length] = value;
        // As if it had been damaged before it was sent: the first checksum is right.
        const size = Math.max(0, Math.min(bytes.readInt32BE(8), bytes.length - 12));
        if (size > 4) bytes.writeUInt32BE(crc32(bytes.subarray(16, 12 + size)), 12);
        try {
          for await (const chunk of decode(bytes, 0)) assert.ok(chunk.frameCount <= 9);
        } catch (error) {
          assert.ok(error instanceof RecordBatchError, String(error));
        }
      },
    ),
    { numRuns: 1500 },
  );
});
