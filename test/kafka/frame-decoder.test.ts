import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crc32c } from "../../src/bytes/crc32c.ts";
import { loadCodec } from "../../src/kafka-wire/compression.ts";
import type { FetchedPartition } from "../../src/kafka-wire/fetch.ts";
import { RecordBatchWriter } from "../../src/kafka-wire/record-batch-writer.ts";
import {
  readRecordBatchHeader,
  RecordBatchError,
} from "../../src/kafka-wire/record-batch-reader.ts";
import { FrameDecoder } from "../../src/kafka/frame-decoder.ts";
import type { FetchedChunk } from "../../src/kafka/frame-decoder.ts";
import { FrameHeaderEncoder } from "../../src/kafka/frame-headers.ts";
import { forEachFrame } from "../../src/packet/frame-chunk.ts";
import type { CaptureInterface } from "../../src/packet/frame-chunk.ts";

interface Frame {
  bytes: Buffer;
  seconds: number;
  micros: number;
  nanos: number;
  wireExtra: number;
  interfaceIndex: number;
}

const interfaces: CaptureInterface[] = [
  { sensor: "probe", name: "eth0", linkType: 1, snapLengthBytes: 262_144 },
  { sensor: "probe", name: "wlan0", linkType: 127, snapLengthBytes: 262_144 },
];

const arbitraryFrames = (maxLength: number): fc.Arbitrary<Frame[]> =>
  fc.array(
    fc.record({
      bytes: fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes)),
      seconds: fc.integer({ min: 0, max: 0xffff_ffff }),
      micros: fc.integer({ min: 0, max: 999_999 }),
      nanos: fc.constantFrom(0, 0, 1, 999),
      // Broken captures have frames that were shorter on the wire than they are.
      wireExtra: fc.constantFrom(0, 0, 0, 1, 9000, -1),
      interfaceIndex: fc.constantFrom(0, 0, 0, 1),
    }),
    { minLength: 1, maxLength: 150 },
  );

/** Batches of `perBatch` records, as one partition's part of a response. */
function encode(
  frames: readonly Frame[],
  perBatch: number,
  allHeaders: boolean,
): { bytes: Buffer; fetched: FetchedPartition } {
  const headers = new FrameHeaderEncoder({ all: allHeaders, nameInterface: false });
  headers.useInterfaces(interfaces);
  const batches: Buffer[] = [];
  for (let at = 0; at < frames.length; at += perBatch) {
    const writer = new RecordBatchWriter(Buffer.alloc(1 << 20));
    for (const frame of frames.slice(at, at + perBatch)) {
      const { bytes, seconds, micros, nanos, wireExtra, interfaceIndex } = frame;
      const wireLength = Math.max(0, bytes.length + wireExtra);
      const used = headers.encode(interfaceIndex, bytes.length, wireLength, nanos);
      assert.ok(writer.append(bytes, 0, bytes.length, seconds, micros, 5, headers.bytes, used));
    }
    const batch = Buffer.from(writer.seal(1n, 0, 0));
    batch.writeBigInt64BE(BigInt(at), 0);
    batches.push(batch);
  }
  return asFetched(Buffer.concat(batches));
}

function asFetched(bytes: Buffer): { bytes: Buffer; fetched: FetchedPartition } {
  return {
    bytes,
    fetched: {
      partition: 3,
      errorCode: 0,
      highWatermark: 0n,
      lastStableOffset: 0n,
      abortedTransactions: [],
      recordsStart: 0,
      recordsEnd: bytes.length,
    },
  };
}

function createDecoder(foreign: string[] = [], nanosecond = true): FrameDecoder {
  return new FrameDecoder({
    nanosecond,
    readCommitted: true,
    withOffsets: true,
    onForeignRecord: (_partition, offset, reason) => foreign.push(`${offset}: ${reason}`),
  });
}

interface DecodedChunk {
  readonly frames: readonly unknown[];
  readonly offsets: readonly bigint[];
  readonly nextOffset: bigint;
  readonly failure: RecordBatchError | undefined;
}

/** What each chunk holds: its bytes are valid until the next is asked for. */
async function decodeAll(
  decoder: FrameDecoder,
  bytes: Buffer,
  fetched: FetchedPartition,
  from: bigint,
): Promise<DecodedChunk[]> {
  const chunks: DecodedChunk[] = [];
  for await (const chunk of decoder.decode(bytes, fetched, from)) {
    const { offsets, nextOffset, failure } = chunk;
    chunks.push({ frames: listFrames(chunk), offsets: offsets!, nextOffset, failure });
  }
  return chunks;
}

/** Decodes what is not compressed: it is always one chunk. */
async function decodeOne(
  decoder: FrameDecoder,
  bytes: Buffer,
  fetched: FetchedPartition,
  from: bigint,
  until?: bigint,
): Promise<FetchedChunk> {
  const chunks: FetchedChunk[] = [];
  for await (const chunk of decoder.decode(bytes, fetched, from, until)) chunks.push(chunk);
  assert.equal(chunks.length, 1);
  return chunks[0]!;
}

function listFrames(chunk: FetchedChunk): unknown[] {
  const list: unknown[] = [];
  let end = 0;
  forEachFrame(chunk, (start, length, wireLength, seconds, fraction, index) => {
    const { linkType, name, sensor } = chunk.interfaces[chunk.interfaceOf?.[index] ?? 0]!;
    list.push({
      bytes: chunk.bytes.subarray(start, start + length).toString("hex"),
      wireLength,
      seconds,
      fraction,
      linkType,
      name,
      sensor,
    });
    end = start + length;
  });
  assert.equal(end, chunk.bytes.length, "the chunk ends with its last frame");
  return list;
}

for (const [what, maxLength] of [
  ["frames of all sizes", 400],
  ["frames of a few bytes, which outgrow the memory they came in", 6],
] as const) {
  test(`${what} come out of their batches as they went in`, async () => {
    await fc.assert(
      fc.asyncProperty(
        arbitraryFrames(maxLength),
        fc.integer({ min: 1, max: 80 }),
        fc.boolean(),
        async (frames, perBatch, allHeaders) => {
          const { bytes, fetched } = encode(frames, perBatch, allHeaders);
          const chunk = await decodeOne(createDecoder(), bytes, fetched, 0n);
          assert.deepEqual(
            listFrames(chunk),
            frames.map(({ bytes: frame, seconds, micros, nanos, wireExtra, interfaceIndex }) => ({
              bytes: frame.toString("hex"),
              wireLength: Math.max(0, frame.length + wireExtra),
              seconds,
              fraction: micros * 1000 + nanos,
              linkType: interfaces[interfaceIndex]!.linkType,
              name: allHeaders ? interfaces[interfaceIndex]!.name : "",
              sensor: allHeaders ? "probe" : "",
            })),
          );
          assert.equal(chunk.nextOffset, BigInt(frames.length));
          assert.deepEqual(
            chunk.offsets,
            frames.map((_, index) => BigInt(index)),
          );
        },
      ),
      { numRuns: 150 },
    );
  });
}

const plain = (count: number): Frame[] =>
  Array.from({ length: count }, (_, index) => ({
    bytes: Buffer.from([index]),
    seconds: index,
    micros: 0,
    nanos: 0,
    wireExtra: 0,
    interfaceIndex: 0,
  }));

test("records before the offset asked for, and from the end on, are left out of their batch", async () => {
  const { bytes, fetched } = encode(plain(20), 10, false);
  const chunk = await decodeOne(createDecoder(), bytes, fetched, 4n, 13n);
  assert.deepEqual(chunk.offsets, [4n, 5n, 6n, 7n, 8n, 9n, 10n, 11n, 12n]);
  assert.equal(chunk.nextOffset, 13n);
});

test("a batch that is cut at the end of a response is left for the next one", async () => {
  const { bytes } = encode(plain(20), 10, false);
  const { fetched } = asFetched(bytes.subarray(0, bytes.length - 1));
  const chunk = await decodeOne(createDecoder(), bytes, fetched, 0n);
  assert.equal(chunk.frameCount, 10);
  assert.equal(chunk.nextOffset, 10n);
});

test("a whole Ethernet frame has no headers and costs one byte for their count", () => {
  const headers = new FrameHeaderEncoder({ all: false, nameInterface: false });
  headers.useInterfaces(interfaces);
  assert.equal(headers.encode(0, 60, 60, 0), 1);
  assert.equal(headers.bytes[0], 0);
});

test("microseconds are what remains of a nanosecond time for a microsecond file", async () => {
  const frame: Frame = { ...plain(1)[0]!, micros: 7, nanos: 999 };
  const { bytes, fetched } = encode([frame], 1, false);
  const chunk = await decodeOne(createDecoder([], false), bytes, fetched, 0n);
  assert.equal((listFrames(chunk)[0] as { fraction: number }).fraction, 7);
});

const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"] as const;

/** The batches of `bytes`, each compressed with the codec that `codecOf` names. */
async function compressBatches(
  bytes: Buffer,
  codecOf: (batch: number) => (typeof CODECS)[number],
): Promise<{ bytes: Buffer; fetched: FetchedPartition }> {
  const batches: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const { recordsStart, recordsEnd } = readRecordBatchHeader(bytes, at, bytes.length, true)!;
    const compression = codecOf(batches.length);
    let batch = bytes.subarray(at, recordsEnd);
    if (compression !== "none") {
      const codec = await loadCodec(compression);
      const records = await codec.compress(bytes.subarray(recordsStart, recordsEnd));
      batch = Buffer.concat([bytes.subarray(at, recordsStart), records]);
      batch.writeInt32BE(batch.length - 12, 8);
      batch.writeInt16BE(CODECS.indexOf(compression), 21);
      batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
    }
    batches.push(Buffer.from(batch));
    at = recordsEnd;
  }
  return asFetched(Buffer.concat(batches));
}

test("batches of any codecs, one behind the other, come out as they do uncompressed", async () => {
  await fc.assert(
    fc.asyncProperty(
      arbitraryFrames(3000),
      fc.integer({ min: 1, max: 40 }),
      fc.array(fc.constantFrom(...CODECS), { minLength: 1, maxLength: 8 }),
      fc.nat(30),
      async (frames, perBatch, codecs, from) => {
        const plainBatches = encode(frames, perBatch, true);
        const { bytes, fetched } = await compressBatches(
          Buffer.from(plainBatches.bytes),
          (batch) => codecs[batch % codecs.length]!,
        );
        const chunks = await decodeAll(createDecoder(), bytes, fetched, BigInt(from));
        const offsets = chunks.flatMap((chunk) => chunk.offsets);
        assert.deepEqual(offsets, frames.map((_, index) => BigInt(index)).slice(from));
        assert.deepEqual(
          chunks.flatMap((chunk) => chunk.frames),
          listFrames(
            await decodeOne(
              createDecoder(),
              plainBatches.bytes,
              plainBatches.fetched,
              BigInt(from),
            ),
          ),
        );
        const last = chunks.at(-1)!.nextOffset;
        assert.equal(last, BigInt(Math.max(from, frames.length)));
      },
    ),
    { numRuns: 100 },
  );
});

test("a partition of many compressed batches comes in several chunks, none of them divided", async () => {
  const frames = Array.from({ length: 3000 }, (_, index) => ({
    ...plain(1)[0]!,
    bytes: Buffer.alloc(1000, index),
    seconds: index,
  }));
  const { bytes, fetched } = await compressBatches(encode(frames, 100, false).bytes, () => "lz4");
  const chunks = await decodeAll(createDecoder(), bytes, fetched, 0n);
  assert.ok(chunks.length > 3 && chunks.length < 10, `${chunks.length} chunks`);
  let next = 0n;
  for (const { offsets, nextOffset } of chunks) {
    assert.equal(offsets[0] ?? next, next);
    assert.equal(nextOffset % 100n, 0n);
    next = nextOffset;
  }
  assert.equal(next, 3000n);
});

test("frames before a compressed batch that cannot be read are handed over, with the reason", async () => {
  const { bytes, fetched } = await compressBatches(encode(plain(30), 10, false).bytes, (batch) =>
    batch === 1 ? "gzip" : "none",
  );
  const first = readRecordBatchHeader(bytes, 0, bytes.length, true)!.recordsEnd;
  const second = readRecordBatchHeader(bytes, first, bytes.length, true)!;
  bytes.fill(0xee, second.recordsStart, second.recordsEnd);
  bytes.writeUInt32BE(crc32c(bytes.subarray(first + 21, second.recordsEnd)), first + 17);
  // Frames are moved within the bytes that are decoded.
  const chunks = await decodeAll(createDecoder(), Buffer.from(bytes), fetched, 0n);
  assert.equal(chunks.length, 1);
  assert.equal(chunks[0]!.frames.length, 10);
  assert.equal(chunks[0]!.nextOffset, 10n);
  assert.match(chunks[0]!.failure!.message, /offset 10 is damaged, its gzip data/);
  await assert.rejects(decodeAll(createDecoder(), bytes, fetched, 10n), RecordBatchError);
});

test("decode() ends in a RecordBatchError or a chunk on any damage to a batch", async () => {
  for (const codec of CODECS) {
    const whole = await compressBatches(encode(plain(30), 30, true).bytes, () => codec);
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 0, max: 255 }), async (at, value) => {
        const { bytes, fetched } = asFetched(Buffer.from(whole.bytes));
        bytes[at % bytes.length] = value;
        // As if it had been damaged before it was sent: the checksum is right.
        if (at % bytes.length >= 61) bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17);
        try {
          await decodeAll(createDecoder(), bytes, fetched, 0n);
        } catch (error) {
          assert.ok(error instanceof RecordBatchError, String(error));
        }
      }),
      { numRuns: 300 },
    );
  }
});
