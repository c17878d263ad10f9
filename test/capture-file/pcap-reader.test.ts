import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import fc from "fast-check";
import { streamBytes } from "../../src/capture-file/byte-source.ts";
import { PcapReader } from "../../src/capture-file/pcap-reader.ts";
import { PcaptsError } from "../../src/errors.ts";
import {
  arbitraryFrames,
  buildCapture,
  buildUdpFrame,
  framesOf,
  type ReadFrame,
} from "../fixtures/generate.ts";

interface Outcome {
  frames: ReadFrame[];
  chunks: number;
  error: unknown;
}

/** Reads a file that arrives in pieces of the given length. */
async function readAll(file: Buffer, pieceBytes = file.length): Promise<Outcome> {
  const outcome: Outcome = { frames: [], chunks: 0, error: undefined };
  try {
    const reader = await PcapReader.open(streamBytes(Readable.from(pieces(file, pieceBytes))), "x");
    for await (const chunk of reader.chunks()) {
      outcome.frames.push(...framesOf(chunk));
      outcome.chunks++;
    }
  } catch (error) {
    outcome.error = error;
  }
  return outcome;
}

function* pieces(file: Buffer, pieceBytes: number): Generator<Buffer> {
  for (let at = 0; at < file.length; at += pieceBytes) yield file.subarray(at, at + pieceBytes);
}

test("every byte order and precision is read back, in pieces of any length", async () => {
  await fc.assert(
    fc.asyncProperty(
      arbitraryFrames(),
      fc.boolean(),
      fc.boolean(),
      fc.integer({ min: 1, max: 400 }),
      async (frames, bigEndian, nanosecond, pieceBytes) => {
        const file = buildCapture({ frames, bigEndian, nanosecond });
        const { frames: read, error } = await readAll(file, pieceBytes);
        assert.equal(error, undefined);
        const expected = frames.map(({ bytes, seconds, nanoseconds, wireLength }) => ({
          bytes,
          seconds,
          nanoseconds: nanosecond ? nanoseconds : nanoseconds - (nanoseconds % 1000),
          wireLength,
        }));
        assert.deepEqual(read, expected);
      },
    ),
  );
});

test("a file fed byte by byte is read", async () => {
  const frames = [0, 1, 2].map((n) => ({ bytes: buildUdpFrame(n, 60) }));
  const { frames: read, error } = await readAll(buildCapture({ frames }), 1);
  assert.equal(error, undefined);
  assert.deepEqual(
    read.map((frame) => frame.bytes),
    frames.map((frame) => frame.bytes),
  );
});

test("a whole frame is handed over before the next piece arrives", async () => {
  const file = buildCapture({ frames: [{ bytes: buildUdpFrame(1, 60) }] });
  const endless = new Readable({ read() {} });
  endless.push(file);
  const reader = await PcapReader.open(streamBytes(endless), "x");
  const first = await reader.chunks().next();
  assert.equal(first.value?.frameCount, 1);
  endless.destroy();
});

test("frames of 0, 1, 14, 65535 and 262144 bytes are read across blocks", async () => {
  const lengths = [0, 1, 14, 65_535, 262_144];
  const frames = Array.from({ length: 60 }, (_, n) => ({
    bytes: Buffer.alloc(lengths[n % lengths.length]!, n),
  }));
  const { frames: read, chunks, error } = await readAll(buildCapture({ frames }));
  assert.equal(error, undefined);
  assert.ok(chunks > 3, `${chunks} chunks`);
  assert.equal(read.length, frames.length);
  for (const [n, frame] of read.entries()) assert.ok(frame.bytes.equals(frames[n]!.bytes), `${n}`);
});

test("a capture without frames is a valid, empty one", async () => {
  const { frames, error } = await readAll(buildCapture({ frames: [] }));
  assert.equal(error, undefined);
  assert.deepEqual(frames, []);
});

test("the header tells link type and snaplen; frame check bits, 0 and huge snaplens are put right", async () => {
  const open = async (file: Buffer) =>
    (await PcapReader.open(streamBytes(Readable.from([file])), "x")).header;
  const cooked = await open(buildCapture({ frames: [], linkType: 113, snapLengthBytes: 96 }));
  assert.deepEqual([cooked.linkType, cooked.snapLengthBytes], [113, 96]);
  const checked = await open(buildCapture({ frames: [], linkType: 0x2400_0001 }));
  assert.equal(checked.linkType, 1);
  for (const snapLengthBytes of [0, 262_145, 0xffff_ffff]) {
    const header = await open(buildCapture({ frames: [], snapLengthBytes, bigEndian: true }));
    assert.equal(header.snapLengthBytes, 262_144);
  }
});

test("a fraction of a second or more is carried into the seconds", async () => {
  for (const bigEndian of [false, true]) {
    const bytes = Buffer.from("frame");
    const frames = [{ bytes, seconds: 10, nanoseconds: 2_500_000_000 }];
    const last = [{ bytes, seconds: 0xffff_ffff, nanoseconds: 1_000_000_000 }];
    const read = await readAll(buildCapture({ frames: [...frames, ...last], bigEndian }));
    assert.deepEqual(
      read.frames.map(({ seconds, nanoseconds }) => [seconds, nanoseconds]),
      [
        [12, 500_000_000],
        [0xffff_ffff, 0],
      ],
    );
  }
});

test("a cut file gives its whole frames, then says where it is cut", async () => {
  const frames = [0, 1, 2].map((n) => ({ bytes: buildUdpFrame(n, 60) }));
  const file = buildCapture({ frames });
  for (const [length, whole, message] of [
    [24 + 8, 0, "byte 32, in the middle of frame 1; no whole frame comes before it"],
    [24 + 76 + 16, 1, "byte 116, in the middle of frame 2; the whole frame before it was read"],
    [
      file.length - 1,
      2,
      "byte 251, in the middle of frame 3; the 2 whole frames before it were read",
    ],
  ] as const) {
    const outcome = await readAll(file.subarray(0, length));
    assert.equal(outcome.frames.length, whole);
    assert.ok(outcome.error instanceof PcaptsError);
    assert.equal(outcome.error.code, "FILE_CUT");
    assert.equal(outcome.error.message, `Cannot read "x" to its end: it is cut at ${message}`);
  }
});

test("a frame of an impossible length ends the file with its position", async () => {
  const file = buildCapture({ frames: [{ bytes: Buffer.alloc(60) }, { bytes: Buffer.alloc(60) }] });
  file.writeUInt32LE(262_145, 24 + 76 + 8);
  const outcome = await readAll(file);
  assert.equal(outcome.frames.length, 1);
  assert.ok(outcome.error instanceof PcaptsError);
  assert.equal(outcome.error.code, "FILE_CUT");
  assert.equal(
    outcome.error.message,
    'Cannot read "x" to its end: it is damaged at byte 100, where frame 2 claims 262145 bytes ' +
      "(the most is 262144); the whole frame before it was read",
  );
});

test("what is not a pcap file is named for what it is", async () => {
  const header = buildCapture({ frames: [] });
  const laterVersion = Buffer.from(header);
  laterVersion.writeUInt16LE(3, 4);
  for (const [file, message] of [
    [Buffer.alloc(0), /empty \(0 bytes\)/],
    [header.subarray(0, 23), /: it is cut at byte 23, within the 24 bytes of its header$/],
    [Buffer.from("hello world, this is text"), /starts with 68 65 6c 6c 6f 20 77 6f\)$/],
    [Buffer.from("hi"), /starts with 68 69\)$/],
    [Buffer.from("a1b234cd0000000000000000000000000000000000000000", "hex"), /Mesquita/],
    [Buffer.from("1f8b08000000000000030000000000000000000000000000", "hex"), /gzip/],
    [Buffer.from("28b52ffd0000000000000000000000000000000000000000", "hex"), /zstd/],
    [Buffer.from("736e6f6f7000000000000002000000040000000000000000", "hex"), /snoop/],
    [laterVersion, /version 3\.4 of the pcap format; version 2 is read/],
  ] as const) {
    const { error } = await readAll(file);
    assert.ok(error instanceof PcaptsError);
    assert.equal(error.code, "FILE_NOT_A_CAPTURE");
    assert.match(error.message, message);
    assert.match(error.message, /^Cannot read "x": /);
  }
});

test("damaged files give whole frames or a PcaptsError, never anything else", async () => {
  await fc.assert(
    fc.asyncProperty(
      arbitraryFrames(),
      fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      fc.nat(700),
      async (frames, damages, length) => {
        const file = buildCapture({ frames }).subarray(0, Math.max(1, length));
        for (const [at, value] of damages) file[at % file.length] = value;
        const { error } = await readAll(file, 50);
        assert.ok(error === undefined || error instanceof PcaptsError);
      },
    ),
    { numRuns: 300 },
  );
});

test("memory does not grow with the file", async () => {
  const frames = Array.from({ length: 500 }, (_, n) => ({ bytes: buildUdpFrame(n, 1000) }));
  const file = buildCapture({ frames });
  const records = file.subarray(24);
  function* endless(): Generator<Buffer> {
    yield file;
    for (let n = 1; n < 600; n++) yield records;
  }
  const reader = await PcapReader.open(streamBytes(Readable.from(endless())), "x");
  const before = process.memoryUsage().arrayBuffers;
  let frameCount = 0;
  let peak = 0;
  for await (const chunk of reader.chunks()) {
    frameCount += chunk.frameCount;
    peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
  }
  assert.equal(frameCount, 300_000);
  assert.ok(peak < 1_000_000, `${peak} bytes for 300 MB`);
});
