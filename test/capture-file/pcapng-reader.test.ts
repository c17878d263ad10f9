import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PcaptsError } from "../../src/errors.ts";
import { PcapngBuilder } from "../fixtures/pcapng.ts";
import { readWholeCapture } from "./read-capture.ts";

const SECOND = 1_700_000_000n;
const MICROS = SECOND * 1_000_000n;

function data(length: number, fill = length): Buffer {
  return Buffer.alloc(length, fill);
}

for (const bigEndian of [false, true]) {
  const order = bigEndian ? "big" : "little";

  test(`every packet block of a ${order}-endian section is a frame, every other block is passed over`, async () => {
    const builder = new PcapngBuilder(bigEndian)
      .section()
      .block(0x0bad, data(40_000))
      .interface({ name: "eth0", snapLength: 96 })
      .enhancedPacket(0, MICROS + 5n, data(61), { wireLength: 900, comment: "what a frame" })
      .block(4, Buffer.alloc(8))
      .simplePacket(data(96), 1514)
      .oldPacket(0, MICROS + 7n, data(3))
      .block(5, Buffer.alloc(12))
      .block(10, data(9))
      .enhancedPacket(0, MICROS + 9n, data(0));
    for (const pieceBytes of [1, 7, 4096, builder.file.length]) {
      const { frames, error } = await readWholeCapture(builder.file, pieceBytes);
      assert.equal(error, undefined);
      const from = { sensor: "", name: "eth0", linkType: 1, snapLengthBytes: 96 };
      const seconds = Number(SECOND);
      assert.deepEqual(frames, [
        { bytes: data(61), seconds, nanoseconds: 5000, wireLength: 900, from },
        { bytes: data(96), seconds: 0, nanoseconds: 0, wireLength: 1514, from },
        { bytes: data(3), seconds, nanoseconds: 7000, wireLength: 4, from },
        { bytes: data(0), seconds, nanoseconds: 9000, wireLength: 0, from },
      ]);
    }
  });
}

test("sections of both byte orders number their interfaces anew, and alike ones are one", async () => {
  const one = new PcapngBuilder()
    .section()
    .interface({ name: "eth0" })
    .interface({ name: "wlan0", linkType: 127 })
    .enhancedPacket(1, MICROS, data(10))
    .enhancedPacket(0, MICROS, data(11));
  const two = new PcapngBuilder(true)
    .section()
    .interface({ name: "wlan0", linkType: 127 })
    .interface({ name: "lo", linkType: 0 })
    .enhancedPacket(0, MICROS, data(12))
    .enhancedPacket(1, MICROS, data(13));
  const { frames, error } = await readWholeCapture(Buffer.concat([one.file, two.file]));
  assert.equal(error, undefined);
  assert.deepEqual(
    frames.map(({ bytes, from }) => [bytes.length, from.name, from.linkType]),
    [
      [10, "wlan0", 127],
      [11, "eth0", 1],
      [12, "wlan0", 127],
      [13, "lo", 0],
    ],
  );
});

test("if_tsresol and if_tsoffset are followed for each interface, nanoseconds are kept", async () => {
  const builder = new PcapngBuilder()
    .section()
    .interface({ name: "us" })
    .interface({ name: "ns", resolution: 9 })
    .interface({ name: "ps", resolution: 12 })
    .interface({ name: "2^-20", resolution: 0x80 | 20 })
    .interface({ name: "2^-32", resolution: 0x80 | 32 })
    .interface({ name: "s", resolution: 0, offsetSeconds: 3600n })
    .interface({ name: "ms", resolution: 3, offsetSeconds: -10n })
    .enhancedPacket(0, MICROS + 999_999n, data(1))
    .enhancedPacket(1, SECOND * 1_000_000_000n + 123_456_789n, data(1))
    .enhancedPacket(2, 1_000_000n * 1_000_000_000_000n + 123_456_789_999n, data(1))
    .enhancedPacket(3, (SECOND << 20n) + (1n << 19n) + 1n, data(1))
    .enhancedPacket(4, (SECOND << 32n) + 1n, data(1))
    .enhancedPacket(5, SECOND, data(1))
    .enhancedPacket(6, SECOND * 1000n + 1n, data(1));
  const { frames, error } = await readWholeCapture(builder.file);
  assert.equal(error, undefined);
  const seconds = Number(SECOND);
  assert.deepEqual(
    frames.map((frame) => [frame.from.name, frame.seconds, frame.nanoseconds]),
    [
      ["us", seconds, 999_999_000],
      ["ns", seconds, 123_456_789],
      ["ps", 1_000_000, 123_456_789],
      ["2^-20", seconds, 500_000_953],
      ["2^-32", seconds, 0],
      ["s", seconds + 3600, 0],
      ["ms", seconds - 10, 1_000_000],
    ],
  );
});

test("a finer interface that comes between frames changes the chunks, not the frames before it", async () => {
  const builder = new PcapngBuilder()
    .section()
    .interface({ name: "us" })
    .enhancedPacket(0, MICROS + 1n, data(1))
    .interface({ name: "ns", resolution: 9 })
    .enhancedPacket(1, SECOND * 1_000_000_000n + 1n, data(2))
    .enhancedPacket(0, MICROS + 2n, data(3));
  const { frames, chunks, error } = await readWholeCapture(builder.file);
  assert.equal(error, undefined);
  assert.equal(chunks, 2);
  assert.deepEqual(
    frames.map(({ nanoseconds }) => nanoseconds),
    [1000, 1, 2000],
  );
});

test("times before 1970 and after 2106 become the nearest there is", async () => {
  const builder = new PcapngBuilder()
    .section()
    .interface({ offsetSeconds: -2_000_000_000n })
    .interface()
    .enhancedPacket(0, MICROS, data(1))
    .enhancedPacket(1, 2n ** 64n - 1n, data(1));
  const { frames } = await readWholeCapture(builder.file);
  assert.deepEqual(
    frames.map(({ seconds, nanoseconds }) => [seconds, nanoseconds]),
    [
      [0, 0],
      [0xffff_ffff, 999_999_000],
    ],
  );
});

test("frames of random times, lengths and resolutions come out as they are, in pieces of any length", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.integer({ min: 1, max: 500 }),
      fc.array(
        fc.record({
          bytes: fc.uint8Array({ maxLength: 300 }),
          exponent: fc.constantFrom(0, 3, 6, 9),
          seconds: fc.bigInt({ min: 0n, max: 0xffff_ffffn }),
          nanoseconds: fc.bigInt({ min: 0n, max: 999_999_999n }),
        }),
        { maxLength: 20 },
      ),
      async (bigEndian, pieceBytes, frames) => {
        const builder = new PcapngBuilder(bigEndian).section();
        for (const resolution of [0, 3, 6, 9]) builder.interface({ resolution });
        const expected = frames.map(({ bytes, exponent, seconds, nanoseconds }) => {
          const unit = 10n ** BigInt(9 - exponent);
          const time = seconds * 10n ** BigInt(exponent) + nanoseconds / unit;
          builder.enhancedPacket([0, 3, 6, 9].indexOf(exponent), time, Buffer.from(bytes));
          const kept = Number(nanoseconds - (nanoseconds % unit));
          return [Buffer.from(bytes).toString("hex"), Number(seconds), kept];
        });
        const { frames: read, error } = await readWholeCapture(builder.file, pieceBytes);
        assert.equal(error, undefined);
        assert.deepEqual(
          read.map((frame) => [frame.bytes.toString("hex"), frame.seconds, frame.nanoseconds]),
          expected,
        );
      },
    ),
    { numRuns: 60 },
  );
});

test("blocks longer than the memory are read: 3 MB of options, and 262,144 bytes of frame", async () => {
  const builder = new PcapngBuilder().section().interface();
  const options = Buffer.concat(
    Array.from({ length: 50 }, () => builder.option(2988, data(60_000))),
  );
  const frame = data(262_144, 7);
  const head = [
    builder.u32(0),
    ...builder.time(MICROS),
    builder.u32(262_144),
    builder.u32(262_144),
  ];
  builder.block(6, Buffer.concat([...head, frame, options])).enhancedPacket(0, MICROS, data(5));
  const { frames, error } = await readWholeCapture(builder.file);
  assert.equal(error, undefined);
  assert.deepEqual(
    frames.map(({ bytes }) => bytes.length),
    [262_144, 5],
  );
  assert.ok(frames[0]!.bytes.equals(frame));
});

test("a cut file gives every whole frame, then says where it is cut", async () => {
  const builder = new PcapngBuilder().section().interface();
  const starts: number[] = [];
  for (let n = 0; n < 20; n++) {
    starts.push(builder.file.length);
    builder.enhancedPacket(0, MICROS, data(n));
  }
  const { file } = builder;
  for (let length = starts[0]!; length < file.length; length++) {
    const { frames, error } = await readWholeCapture(file.subarray(0, length));
    const whole = starts.filter((start) => start <= length).length - 1;
    assert.equal(frames.length, Math.max(0, whole), `at ${length}`);
    if (starts.includes(length)) assert.equal(error, undefined);
    else assert.match(String(error), new RegExp(`it is cut at byte ${length}, in the middle`));
  }
});

test("what cannot be is said with its byte, behind the frames before it", async () => {
  const good = (): PcapngBuilder =>
    new PcapngBuilder().section().interface().enhancedPacket(0, MICROS, data(8));
  const at = good().file.length;
  const huge = good();
  huge.block(6, Buffer.concat([huge.u32(0), ...huge.time(MICROS), huge.u32(262_145), data(8)]));
  const short = good();
  short.block(6, Buffer.concat([short.u32(0), ...short.time(MICROS), short.u32(9), data(12)]));
  const trailer = good().enhancedPacket(0, MICROS, data(8)).file;
  trailer.writeUInt32LE(44, trailer.length - 4);
  const cases: [Buffer, RegExp][] = [
    [huge.file, /where frame 2 claims 262145 bytes \(the most is 262144\)/],
    [short.file, /a frame of 9 bytes stands in a block of 40/],
    [trailer, /a block of 40 bytes ends with the length 44/],
    [good().enhancedPacket(3, MICROS, data(1)).file, /of interface 3 and the section has 1/],
    [good().section().enhancedPacket(0, MICROS, data(1)).file, /interface 0 and the section has 0/],
    [Buffer.concat([good().file, Buffer.alloc(12)]), /a block claims 0 bytes/],
    [Buffer.concat([good().file, Buffer.alloc(12, 0xff)]), /a block claims 4294967295 bytes/],
    [good().block(1, Buffer.alloc(4)).file, /an interface claims 16 bytes/],
  ];
  for (const [file, message] of cases) {
    const { frames, error } = await readWholeCapture(file);
    assert.equal(frames.length, 1, String(error));
    assert.ok(error instanceof PcaptsError, String(error));
    assert.equal(error.code, "FILE_CUT");
    assert.match(error.message, message);
    assert.match(
      error.message,
      new RegExp(`at byte (${at}|${at + 28}), .*; the whole frame before it was read`),
    );
  }
});

test("a first section that is none is refused while opening", async () => {
  for (const [file, message] of [
    [Buffer.from("0a0d0d0a1c00000000000000", "hex"), /no byte-order magic/],
    [Buffer.from("0a0d0d0a1c0000004d3c2b1a0100", "hex"), /cut at byte 14, within the header/],
    [Buffer.from("0a0d0d0a", "hex"), /cut at byte 4, within the header/],
    [
      Buffer.from("0a0d0d0a1c0000004d3c2b1a02000000ffffffffffffffff1c000000", "hex"),
      /version 2\.0, not 1\.0/,
    ],
    [
      Buffer.from("0a0d0d0a1c0000004d3c2b1a01000100ffffffffffffffff1c000000", "hex"),
      /version 1\.1, not 1\.0/,
    ],
  ] as const) {
    const { error } = await readWholeCapture(file);
    assert.ok(error instanceof PcaptsError);
    assert.equal(error.code, "FILE_NOT_A_CAPTURE");
    assert.match(error.message, message);
  }
});

test("a section of version 1.2 is read as one of 1.0", async () => {
  const { file } = new PcapngBuilder().section().interface().enhancedPacket(0, MICROS, data(9));
  file.writeUInt16LE(2, 14);
  const { frames, error } = await readWholeCapture(file);
  assert.deepEqual([frames.length, error], [1, undefined]);
});

test("a section without interfaces or frames is an empty capture", async () => {
  const { frames, error } = await readWholeCapture(new PcapngBuilder().section().file);
  assert.deepEqual([frames, error], [[], undefined]);
});

test("65,536 interfaces are read, one more is damage", async () => {
  const builder = new PcapngBuilder().section();
  const one = new PcapngBuilder().interface({ snapLength: 1 }).file;
  const many = Buffer.concat(
    Array.from({ length: 65_537 }, (_, n) => {
      const block = Buffer.from(one);
      block.writeUInt32LE(n + 1, 12);
      return block;
    }),
  );
  const frame = new PcapngBuilder().enhancedPacket(65_535, MICROS, data(1)).file;
  const most = many.subarray(0, one.length * 65_536);
  const fits = await readWholeCapture(Buffer.concat([builder.file, most, frame]));
  assert.equal(fits.error, undefined);
  assert.equal(fits.frames[0]!.from.snapLengthBytes, 65_536);
  const tooMany = await readWholeCapture(Buffer.concat([builder.file, many, frame]));
  assert.match(String(tooMany.error), /interface 65537 begins/);
});
