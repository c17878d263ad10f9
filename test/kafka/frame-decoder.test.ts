import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { FetchedPartition } from "../../src/kafka-wire/fetch.ts";
import { RecordBatchWriter } from "../../src/kafka-wire/record-batch-writer.ts";
import { RecordBatchError } from "../../src/kafka-wire/record-batch-reader.ts";
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
      wireExtra: fc.constantFrom(0, 0, 0, 1, 9000),
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
      const used = headers.encode(interfaceIndex, bytes.length, bytes.length + wireExtra, nanos);
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
  test(`${what} come out of their batches as they went in`, () => {
    fc.assert(
      fc.property(
        arbitraryFrames(maxLength),
        fc.integer({ min: 1, max: 80 }),
        fc.boolean(),
        (frames, perBatch, allHeaders) => {
          const { bytes, fetched } = encode(frames, perBatch, allHeaders);
          const chunk = createDecoder().decode(bytes, fetched, 0n);
          assert.deepEqual(
            listFrames(chunk),
            frames.map(({ bytes: frame, seconds, micros, nanos, wireExtra, interfaceIndex }) => ({
              bytes: frame.toString("hex"),
              wireLength: frame.length + wireExtra,
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

test("records before the offset asked for, and from the end on, are left out of their batch", () => {
  const { bytes, fetched } = encode(plain(20), 10, false);
  const chunk = createDecoder().decode(bytes, fetched, 4n, 13n);
  assert.deepEqual(chunk.offsets, [4n, 5n, 6n, 7n, 8n, 9n, 10n, 11n, 12n]);
  assert.equal(chunk.nextOffset, 13n);
});

test("a batch that is cut at the end of a response is left for the next one", () => {
  const { bytes } = encode(plain(20), 10, false);
  const { fetched } = asFetched(bytes.subarray(0, bytes.length - 1));
  const chunk = createDecoder().decode(bytes, fetched, 0n);
  assert.equal(chunk.frameCount, 10);
  assert.equal(chunk.nextOffset, 10n);
});

test("a whole Ethernet frame has no headers and costs one byte for their count", () => {
  const headers = new FrameHeaderEncoder({ all: false, nameInterface: false });
  headers.useInterfaces(interfaces);
  assert.equal(headers.encode(0, 60, 60, 0), 1);
  assert.equal(headers.bytes[0], 0);
});

test("microseconds are what remains of a nanosecond time for a microsecond file", () => {
  const frame: Frame = { ...plain(1)[0]!, micros: 7, nanos: 999 };
  const { bytes, fetched } = encode([frame], 1, false);
  const chunk = createDecoder([], false).decode(bytes, fetched, 0n);
  assert.equal((listFrames(chunk)[0] as { fraction: number }).fraction, 7);
});

test("a compressed batch is refused by name", () => {
  const { bytes, fetched } = encode(plain(1), 1, false);
  bytes.writeInt16BE(1, 21);
  // The checksum is over the attributes too, so it is what is wrong first.
  assert.throws(() => createDecoder().decode(bytes, fetched, 0n), RecordBatchError);
});

test("decode() ends in a RecordBatchError or a chunk on any damage to a batch", () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 0, max: 255 }), (at, value) => {
      const { bytes, fetched } = encode(plain(30), 30, true);
      bytes[at % bytes.length] = value;
      try {
        listFrames(createDecoder().decode(bytes, fetched, 0n));
      } catch (error) {
        assert.ok(error instanceof RecordBatchError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});
