import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { streamBytes } from "../../src/capture-file/byte-source.ts";
import { openPlainReader } from "../../src/capture-file/capture-reader.ts";
import { JoinedCaptures } from "../../src/capture-file/joined-captures.ts";
import { PcaptsError } from "../../src/errors.ts";
import {
  arbitraryFrames,
  buildCapture,
  buildUdpFrame,
  framesOf,
  type TestFrame,
} from "../fixtures/generate.ts";
import { PcapngBuilder } from "../fixtures/pcapng.ts";

/** What came of one capture of a stream. */
interface ReadCapture {
  readonly frames: string[];
  readonly error: unknown;
}

/** Reads a stream as a pipe's reader does: a capture that is wrong is passed over. */
async function readAll(stream: Buffer, pieceBytes: number): Promise<ReadCapture[]> {
  const pieces = Readable.from(
    (function* () {
      for (let at = 0; at < stream.length; at += pieceBytes) {
        yield stream.subarray(at, at + pieceBytes);
      }
    })(),
  );
  const captures = new JoinedCaptures(streamBytes(pieces));
  const read: ReadCapture[] = [];
  for (;;) {
    const bytes = await captures.next();
    if (bytes === undefined) return read;
    const frames: string[] = [];
    try {
      for await (const chunk of (await openPlainReader(bytes, "x")).chunks()) {
        frames.push(...framesOf(chunk).map((frame) => frame.bytes.toString("hex")));
      }
      read.push({ frames, error: undefined });
    } catch (error) {
      assert.ok(error instanceof PcaptsError, String(error));
      read.push({ frames, error });
      await captures.skip();
    }
  }
}

/** A capture, and where each of its frames ends. */
interface Sample {
  readonly file: Buffer;
  readonly frames: readonly string[];
  readonly ends: readonly number[];
}

function pcapOf(frames: readonly TestFrame[], bigEndian = false, nanosecond = false): Sample {
  let end = 24;
  return {
    file: buildCapture({ frames, bigEndian, nanosecond }),
    frames: frames.map(({ bytes }) => bytes.toString("hex")),
    ends: frames.map(({ bytes }) => (end += 16 + bytes.length)),
  };
}

function pcapngOf(frames: readonly TestFrame[], bigEndian = false): Sample {
  const builder = new PcapngBuilder(bigEndian).section().interface();
  const ends = frames.map(({ bytes, seconds = 1_700_000_000 }) => {
    builder.enhancedPacket(0, BigInt(seconds) * 1_000_000n, bytes);
    return builder.file.length;
  });
  return { file: builder.file, frames: frames.map(({ bytes }) => bytes.toString("hex")), ends };
}

function numbered(count: number, length = 120): TestFrame[] {
  return Array.from({ length: count }, (_, n) => ({
    bytes: buildUdpFrame(n, length),
    seconds: 1_700_000_000 + n,
  }));
}

/** Of one day, as frames of one probe are. */
const framesOfADay = arbitraryFrames().map((frames) =>
  frames.map((frame) => ({ ...frame, seconds: 1_700_000_000 + (frame.seconds % 86_000) })),
);

const arbitrarySample = fc
  .tuple(framesOfADay, fc.boolean(), fc.constantFrom("pcap", "nsecpcap", "pcapng"))
  .map(([frames, bigEndian, format]) =>
    format === "pcapng"
      ? pcapngOf(frames, bigEndian)
      : pcapOf(frames, bigEndian, format !== "pcap"),
  );

test("captures of any format that follow each other are told apart, in pieces of any size", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(arbitrarySample, { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 500 }),
      async (samples, pieceBytes) => {
        const read = await readAll(Buffer.concat(samples.map(({ file }) => file)), pieceBytes);
        assert.ok(read.every(({ error }) => error === undefined));
        // A pcapng section behind another is the same capture to its reader.
        assert.deepEqual(
          read.flatMap(({ frames }) => frames),
          samples.flatMap(({ frames }) => frames),
        );
      },
    ),
  );
});

test("a capture that was torn anywhere costs its last frame, not those of the next", async () => {
  // Longer than any frame that a torn header claims.
  const long = [pcapOf(numbered(1100, 300)), pcapngOf(numbered(1000, 300))] as const;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(arbitrarySample, fc.nat()), { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      // As a pipe hands it over: a header of 24 bytes is never torn between two reads.
      async (torn, isPcapng) => {
        const last = long[isPcapng ? 1 : 0];
        const cuts = torn.map(([sample, chosen], index) => {
          const at = chosen % (sample.file.length + 1);
          // Several torn headers in a row are no capture and need not be understood.
          return { sample, at: index > 0 && at < 28 ? sample.file.length : at };
        });
        const stream = Buffer.concat([
          ...cuts.map(({ sample, at }) => sample.file.subarray(0, at)),
          last.file,
        ]);
        const read = await readAll(stream, stream.length);
        assert.deepEqual(
          read.flatMap(({ frames }) => frames),
          [
            ...cuts.flatMap(({ sample, at }) =>
              sample.frames.filter((_, index) => sample.ends[index]! <= at),
            ),
            ...last.frames,
          ],
        );
      },
    ),
    // Nothing marks where a writer was killed: one stream in thousands reads as something else, too.
    { numRuns: 100, seed: 11 },
  );
});

test("frames that carry the begin of a capture file stay what they are", async () => {
  const download = buildCapture({ frames: numbered(2) });
  const carried = [
    ...numbered(3),
    { bytes: Buffer.concat([buildUdpFrame(1, 60), download]), seconds: 1_700_000_003 },
    {
      bytes: Buffer.concat([buildUdpFrame(1, 60), pcapngOf(numbered(1)).file]),
      seconds: 1_700_000_004,
    },
    ...numbered(2),
    { bytes: Buffer.concat([buildUdpFrame(1, 60), download.subarray(0, 70)]) },
  ];
  for (const sample of [pcapOf(carried), pcapOf(carried, true), pcapngOf(carried)]) {
    for (const pieceBytes of [1, 61, 100_000]) {
      assert.deepEqual(await readAll(sample.file, pieceBytes), [
        { frames: sample.frames, error: undefined },
      ]);
    }
  }
});

test("garbage in front, between and behind costs no whole frame", async () => {
  const garbage = Buffer.from("neither a frame nor a block, only words ".repeat(50));
  const one = pcapOf(numbered(40));
  const two = pcapngOf(numbered(30, 90));
  const stream = Buffer.concat([garbage, one.file, garbage, two.file, garbage, one.file, garbage]);
  for (const pieceBytes of [4096, stream.length]) {
    const read = await readAll(stream, pieceBytes);
    assert.deepEqual(
      read.flatMap(({ frames }) => frames),
      [...one.frames, ...two.frames, ...one.frames],
    );
  }
});

test("any bytes end in captures and errors, and nothing else", async () => {
  const sample = pcapOf(numbered(20)).file;
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.oneof(
          fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
          fc.nat(sample.length).map((at) => sample.subarray(0, at)),
          fc.nat(sample.length).map((at) => sample.subarray(at)),
        ),
        { maxLength: 6 },
      ),
      fc.integer({ min: 1, max: 3000 }),
      async (parts, pieceBytes) => {
        await readAll(Buffer.concat(parts), pieceBytes);
      },
    ),
    { numRuns: 300 },
  );
});

test("a block of 16 MiB is read within its capture", async () => {
  const builder = new PcapngBuilder().section().interface();
  builder.block(0x0bad, Buffer.alloc(16 * 1024 * 1024 - 16, 0x55));
  builder.enhancedPacket(0, 1n, Buffer.from("frame"));
  const read = await readAll(builder.file, 65_536);
  assert.deepEqual(read, [{ frames: [Buffer.from("frame").toString("hex")], error: undefined }]);
});

test("a capture that nobody read is passed over, to the first byte of the next", async () => {
  // It was missed where a read ended right in front of it.
  const sample = pcapOf(numbered(3));
  const pieces = [gzipSync(sample.file), sample.file, sample.file];
  const captures = new JoinedCaptures(streamBytes(Readable.from(pieces)));
  await captures.next();
  for (let n = 0; n < 2; n++) {
    const bytes = await captures.next();
    assert.ok(bytes !== undefined);
    let frames = 0;
    for await (const chunk of (await openPlainReader(bytes, "x")).chunks()) {
      frames += chunk.frameCount;
    }
    assert.equal(frames, 3);
  }
  assert.equal(await captures.next(), undefined);
});
