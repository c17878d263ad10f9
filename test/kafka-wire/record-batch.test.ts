import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import fc from "fast-check";
import { writeVarint } from "../../src/bytes/varint.ts";
import {
  readRecordBatchHeader,
  RecordBatchError,
  RecordCursor,
} from "../../src/kafka-wire/record-batch-reader.ts";
import {
  RecordBatchWriter,
  sizeOfSingleRecordBatch,
} from "../../src/kafka-wire/record-batch-writer.ts";

/*
 * kafkajs's own encoder and decoder of record batches: written by others, so
 * both directions are compared against them.
 */
interface DecodedRecord {
  timestamp: string;
  offset: string;
  key: Buffer | null;
  value: Buffer | null;
  headers: Record<string, Buffer>;
}
const require = createRequire(import.meta.url);
const { RecordBatch } = require("kafkajs/src/protocol/recordBatch/v0/index.js") as {
  RecordBatch: (batch: Record<string, unknown>) => Promise<{ buffer: Buffer }>;
};
const encodeRecord = require("kafkajs/src/protocol/recordBatch/record/v0/index.js") as (
  record: Record<string, unknown>,
) => unknown;
const decodeBatch = require("kafkajs/src/protocol/recordBatch/v0/decoder.js") as (
  decoder: unknown,
) => Promise<{
  firstOffset: string;
  producerId: string;
  producerEpoch: number;
  firstSequence: number;
  records: DecodedRecord[];
}>;
const Decoder = require("kafkajs/src/protocol/decoder.js") as new (bytes: Buffer) => unknown;

interface Frame {
  bytes: Buffer;
  seconds: number;
  micros: number;
  timestampMs: number;
  headers: [string, string][];
}

const frames: fc.Arbitrary<Frame[]> = fc.array(
  fc.record({
    bytes: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    seconds: fc.integer({ min: 0, max: 0xffff_ffff }),
    micros: fc.integer({ min: 0, max: 999_999 }),
    timestampMs: fc.integer({ min: 0, max: 4_294_967_295_999 }),
    headers: fc.array(
      fc.tuple(
        fc.constantFrom("linktype", "origlen", "ns"),
        fc.nat().map((n) => String(n)),
      ),
      { maxLength: 3 },
    ),
  }),
  { minLength: 1, maxLength: 70 },
);

function encodeHeaders(headers: readonly [string, string][]): Uint8Array {
  const bytes = new Uint8Array(256);
  let at = writeVarint(bytes, 0, headers.length);
  for (const text of headers.flat()) {
    at = writeVarint(bytes, at, text.length);
    bytes.set(Buffer.from(text), at);
    at += text.length;
  }
  return bytes.subarray(0, at);
}

function write(list: readonly Frame[], limit = 1 << 20): RecordBatchWriter {
  const writer = new RecordBatchWriter(Buffer.alloc(limit));
  for (const { bytes, seconds, micros, timestampMs, headers } of list) {
    const encoded = encodeHeaders(headers);
    assert.ok(
      writer.append(bytes, 0, bytes.length, seconds, micros, timestampMs, encoded, encoded.length),
    );
  }
  return writer;
}

const keyOf = ({ seconds, micros }: Frame): Buffer => {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(BigInt(seconds) * 1_000_000n + BigInt(micros));
  return key;
};

test("frames in the arena of a batch become the same records as frames elsewhere", () => {
  fc.assert(
    fc.property(frames, (list) => {
      const arena = Buffer.alloc(2 << 20);
      const writer = new RecordBatchWriter(arena.subarray(1 << 20), 1 << 20, arena);
      for (const { bytes, seconds, micros, timestampMs, headers } of list) {
        const encoded = encodeHeaders(headers);
        bytes.copy(arena, 10);
        assert.ok(
          writer.append(
            arena,
            10,
            bytes.length,
            seconds,
            micros,
            timestampMs,
            encoded,
            encoded.length,
          ),
        );
      }
      assert.deepEqual(writer.seal(1n, 2, 3), write(list).seal(1n, 2, 3));
    }),
  );
});

test("kafkajs decodes what RecordBatchWriter writes", async () => {
  await fc.assert(
    fc.asyncProperty(frames, fc.bigInt(0n, 2n ** 40n), async (list, producerId) => {
      const sealed = write(list).seal(producerId, 7, 1234);
      const decoded = await decodeBatch(new Decoder(sealed));
      assert.equal(decoded.producerId, String(producerId));
      assert.equal(decoded.producerEpoch, 7);
      assert.deepEqual(
        decoded.records.map(({ key, value, timestamp }) => ({ key, value, timestamp })),
        list.map((frame) => ({
          key: keyOf(frame),
          value: frame.bytes,
          timestamp: String(frame.timestampMs),
        })),
      );
      for (const [index, { headers }] of list.entries()) {
        const last = Object.fromEntries(headers);
        const found = decoded.records[index]!.headers;
        assert.deepEqual(
          Object.fromEntries(
            Object.entries(found).map(([k, v]) => [k, String(v).split(",").at(-1)]),
          ),
          last,
        );
      }
    }),
    { numRuns: 60 },
  );
});

test("RecordCursor reads what kafkajs encodes, null keys and values included", async () => {
  const nullable = fc.option(fc.uint8Array({ maxLength: 200 }).map((b) => Buffer.from(b)));
  const records = fc.array(
    fc.record({
      key: nullable,
      value: nullable,
      timestampDelta: fc.integer({ min: 0, max: 2 ** 40 }),
    }),
    { minLength: 1, maxLength: 80 },
  );
  await fc.assert(
    fc.asyncProperty(records, async (list) => {
      const { buffer } = await RecordBatch({
        compression: 0,
        firstTimestamp: 1000,
        maxTimestamp: 1000 + Math.max(...list.map(({ timestampDelta }) => timestampDelta)),
        producerId: -1,
        producerEpoch: -1,
        firstSequence: -1,
        lastOffsetDelta: list.length - 1,
        records: list.map((record, offsetDelta) => encodeRecord({ ...record, offsetDelta })),
      });
      const header = readRecordBatchHeader(buffer, 0, buffer.length, true)!;
      assert.equal(header.recordCount, list.length);
      assert.equal(header.recordsEnd, buffer.length);
      const cursor = new RecordCursor(
        buffer,
        header.recordsStart,
        header.recordsEnd,
        header.recordCount,
      );
      for (const [index, { key, value, timestampDelta }] of list.entries()) {
        assert.ok(cursor.next());
        assert.equal(cursor.offsetDelta, index);
        assert.equal(cursor.timestampDelta, timestampDelta);
        assert.deepEqual(bytesAt(buffer, cursor.keyStart, cursor.keyLength), key);
        assert.deepEqual(bytesAt(buffer, cursor.valueStart, cursor.valueLength), value);
      }
      assert.equal(cursor.next(), false);
    }),
    { numRuns: 60 },
  );
});

function bytesAt(buffer: Buffer, start: number, length: number): Buffer | null {
  return length < 0 ? null : buffer.subarray(start, start + length);
}

test("append() refuses a record that does not fit, and leaves the batch as it was", () => {
  const frame = Buffer.alloc(100);
  const writer = new RecordBatchWriter(Buffer.alloc(sizeOfSingleRecordBatch(100, 1)));
  const noHeaders = Uint8Array.of(0);
  assert.equal(writer.append(frame, 0, 100, 1, 2, 3, noHeaders, 1), true);
  const { length, recordCount } = writer;
  assert.equal(writer.append(frame, 0, 100, 1, 2, 3, noHeaders, 1), false);
  assert.deepEqual([writer.length, writer.recordCount], [length, recordCount]);
});

test("a batch sealed under another identity differs in identity and checksum alone", () => {
  const writer = write([
    { bytes: Buffer.from("abc"), seconds: 1, micros: 2, timestampMs: 3, headers: [] },
  ]);
  const first = Buffer.from(writer.seal(5n, 0, 77));
  const second = writer.seal(5n, 1, 0);
  const header = readRecordBatchHeader(second, 0, second.length, true)!;
  assert.deepEqual([header.producerEpoch, header.baseSequence], [1, 0]);
  assert.deepEqual(first.subarray(61), second.subarray(61));
});

test("readRecordBatchHeader() says that a cut batch is cut, wherever the cut is", () => {
  const sealed = write([
    { bytes: Buffer.from("frame"), seconds: 1, micros: 2, timestampMs: 3, headers: [] },
  ]).seal(1n, 0, 0);
  for (let end = 0; end < sealed.length; end++) {
    assert.equal(readRecordBatchHeader(sealed, 0, end, true), undefined, `cut at ${end}`);
  }
});

test("readRecordBatchHeader() refuses a wrong checksum, an older format and an impossible length", () => {
  const sealed = write([
    { bytes: Buffer.from("frame"), seconds: 1, micros: 2, timestampMs: 3, headers: [] },
  ]).seal(1n, 0, 0);
  const changed = (at: number, value: number): Buffer => {
    const copy = Buffer.from(sealed);
    copy[at] = value;
    return copy;
  };
  const read = (bytes: Buffer): unknown => readRecordBatchHeader(bytes, 0, bytes.length, true);
  assert.throws(() => read(changed(sealed.length - 1, 0xee)), /checksum/);
  assert.throws(() => read(changed(16, 1)), /message format 1 is not that/);
  const short = Buffer.from(sealed);
  short.writeInt32BE(3, 8);
  assert.throws(() => read(short), /batch length 3/);
});

test("RecordCursor ends in a RecordBatchError or false on any bytes, and never reads behind its end", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer(), (bytes, recordCount) => {
      const buffer = Buffer.from(bytes);
      const cursor = new RecordCursor(buffer, 0, buffer.length, recordCount);
      try {
        while (cursor.next()) {
          assert.ok(cursor.recordEnd <= buffer.length);
          assert.ok(cursor.valueStart + Math.max(0, cursor.valueLength) <= cursor.recordEnd);
          if (cursor.offsetDelta === 0 && cursor.recordEnd === 0) break;
        }
      } catch (error) {
        assert.ok(error instanceof RecordBatchError);
      }
    }),
    { numRuns: 2000 },
  );
});
