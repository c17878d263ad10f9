import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { gzipSync } from "node:zlib";
import { Readable } from "node:stream";
import { test } from "node:test";
import fc from "fast-check";
import { streamBytes } from "../../src/capture-file/byte-source.ts";
import { openCaptureReader } from "../../src/capture-file/capture-reader.ts";
import { PcaptsError } from "../../src/errors.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { PcapngBuilder } from "../fixtures/pcapng.ts";
import { readWholeCapture } from "./read-capture.ts";

const frames = Array.from({ length: 3000 }, (_, n) => ({
  bytes: buildUdpFrame(n, 60 + (n % 900)),
  seconds: 1_700_000_000 + n,
  nanoseconds: n * 1000,
}));
const capture = buildCapture({ frames });

const pcapng = new PcapngBuilder().section().interface();
for (const { bytes, seconds, nanoseconds } of frames) {
  pcapng.enhancedPacket(0, BigInt(seconds) * 1_000_000n + BigInt(nanoseconds / 1000), bytes);
}

/** Compresses with the program that people use. */
function compress(program: string, args: readonly string[], input: Buffer): Buffer {
  return execFileSync(program, [...args, "-c"], { input, maxBuffer: 64 << 20 });
}

const COMPRESSIONS: readonly [string, readonly string[]][] = [
  ["gzip", ["-1"]],
  ["zstd", ["-q"]],
  ["zstd", ["-q", "-19", "--no-check"]],
  ["lz4", ["-q", "-B4"]],
  ["lz4", ["-q", "-BD", "-B4", "-BX", "--content-size"]],
];

for (const [program, args] of COMPRESSIONS) {
  test(`what ${[program, ...args].join(" ")} compressed is read, also twice in a row and in small pieces`, async () => {
    for (const file of [capture, pcapng.file]) {
      const compressed = compress(program, args, file);
      const { frames: read, error } = await readWholeCapture(compressed, 4099);
      assert.equal(error, undefined);
      assert.deepEqual(
        read.map(({ bytes, seconds, nanoseconds }) => ({ bytes, seconds, nanoseconds })),
        frames,
      );
    }
    const halves = [capture.subarray(0, 100_001), capture.subarray(100_001)];
    const joined = Buffer.concat(halves.map((half) => compress(program, args, half)));
    assert.equal((await readWholeCapture(joined)).frames.length, 3000);
  });

  test(`what ${[program, ...args].join(" ")} compressed and somebody cut gives frames, then says so`, async () => {
    const compressed = compress(program, args, capture);
    const cut = compressed.subarray(0, compressed.length - 20);
    const { frames: read, error } = await readWholeCapture(cut);
    assert.ok(error instanceof PcaptsError, String(error));
    assert.equal(error.code, "FILE_CUT");
    assert.match(error.message, new RegExp(`compressed by ${program}.* at byte|behind byte \\d+`));
    for (const [n, frame] of read.entries()) assert.ok(frame.bytes.equals(frames[n]!.bytes));
    if (program !== "zstd") assert.ok(read.length > 2000, `${read.length} frames`);
  });
}

test(
  "a few bytes that decompress to gigabytes cost no memory and end",
  { timeout: 60_000 },
  async () => {
    // Blocks of one repeated byte: 4 bytes of file become 128 KiB.
    const rle = Buffer.from([
      0x02 | ((128 * 1024) << 3),
      ((128 * 1024) << 3) >> 8,
      ((128 * 1024) << 3) >> 16,
      0xff,
    ]);
    const zstd = Buffer.concat([
      Buffer.from("28b52ffd0070", "hex"),
      ...Array.from({ length: 20_000 }, () => rle),
    ]);
    const before = process.memoryUsage().rss;
    const start = buildCapture({ frames: [] });
    const header = compress("zstd", ["-q"], start);
    const { error } = await readWholeCapture(Buffer.concat([header, zstd]));
    assert.match(String(error), /claims 4294967295 bytes/);
    assert.ok(process.memoryUsage().rss - before < 200 * 1024 * 1024);
  },
);

test("a file compressed twice, or empty inside, says so", async () => {
  const twice = await readWholeCapture(gzipSync(gzipSync(capture)));
  assert.match(String(twice.error), /compressed by gzip more than once/);
  const empty = await readWholeCapture(gzipSync(Buffer.alloc(0)));
  assert.match(String(empty.error), /it is empty/);
});

test("Kuznetzov's patched captures are read in both byte orders, in pieces of any length", async () => {
  for (const bigEndian of [false, true]) {
    const plain = buildCapture({ frames: frames.slice(0, 200), bigEndian });
    const records: Buffer[] = [Buffer.from(plain.subarray(0, 24))];
    records[0]![bigEndian ? 2 : 1] = 0xcd;
    records[0]![bigEndian ? 3 : 0] = 0x34;
    for (let at = 24; at < plain.length;) {
      const length = bigEndian ? plain.readUInt32BE(at + 8) : plain.readUInt32LE(at + 8);
      records.push(plain.subarray(at, at + 16), Buffer.from("0300000008000400", "hex"));
      records.push(plain.subarray(at + 16, at + 16 + length));
      at += 16 + length;
    }
    for (const pieceBytes of [13, 5000, 1 << 20]) {
      const { frames: read, error } = await readWholeCapture(Buffer.concat(records), pieceBytes);
      assert.equal(error, undefined);
      assert.deepEqual(
        read.map(({ bytes, seconds, nanoseconds }) => ({ bytes, seconds, nanoseconds })),
        frames.slice(0, 200),
      );
    }
  }
});

test("old versions swap the lengths of a frame: 2.2 and 543.0 always, 2.3 where it makes sense", async () => {
  const shape = { bytes: Buffer.alloc(50, 1), wireLength: 400 };
  for (const [major, minor, swapped] of [
    [2, 2, true],
    [543, 0, true],
    [2, 3, true],
    [2, 3, false],
    [2, 4, false],
    [2, 9, false],
  ] as const) {
    const file = buildCapture({ frames: [shape, shape] });
    file.writeUInt16LE(major, 4);
    file.writeUInt16LE(minor, 6);
    for (const at of swapped ? [24, 24 + 66] : []) {
      file.writeUInt32LE(400, at + 8);
      file.writeUInt32LE(50, at + 12);
    }
    const { frames: read, error } = await readWholeCapture(file);
    assert.equal(error, undefined);
    assert.deepEqual(
      read.map(({ bytes, wireLength }) => [bytes.length, wireLength]),
      [
        [50, 400],
        [50, 400],
      ],
      `${major}.${minor}`,
    );
  }
});

test("Ixia's captures have four bytes more in their header", async () => {
  for (const magic of [0x1c0001ac, 0x1c0001ab]) {
    const file = Buffer.concat([capture.subarray(0, 24), Buffer.alloc(4), capture.subarray(24)]);
    file.writeUInt32LE(magic, 0);
    const { frames: read, error } = await readWholeCapture(file);
    assert.equal(error, undefined);
    assert.equal(read.length, 3000);
  }
});

test(
  "damaged files of every format end with an error or with frames, never otherwise",
  { timeout: 120_000 },
  async () => {
    const small = buildCapture({ frames: frames.slice(0, 40) });
    const blocks = new PcapngBuilder().section().interface({ name: "eth0", resolution: 9 });
    blocks.interface({ linkType: 113, resolution: 0x94 });
    for (const [n, { bytes }] of frames.slice(0, 40).entries()) {
      if (n % 3 === 0) blocks.simplePacket(bytes);
      else blocks.enhancedPacket(n % 2, 1_700_000_000n * 1_000_000_000n, bytes, { comment: "c" });
    }
    const files = [
      small,
      blocks.file,
      ...COMPRESSIONS.map(([program, args]) => compress(program, args, blocks.file)),
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), {
          minLength: 1,
          maxLength: 12,
        }),
        fc.nat(),
        fc.integer({ min: 16, max: 9000 }),
        async (file, changes, cut, pieceBytes) => {
          const damaged = Buffer.from(file.subarray(0, file.length - (cut % (file.length / 2))));
          // The first bytes choose the reader.
          for (const [at, value] of changes) damaged[4 + (at % (damaged.length - 4))] = value;
          const { error } = await readWholeCapture(damaged, pieceBytes);
          assert.ok(error === undefined || error instanceof PcaptsError, String(error));
        },
      ),
      { numRuns: 600 },
    );
  },
);

test(
  "random bytes behind every magic number end with an error or with frames",
  { timeout: 60_000 },
  async () => {
    const magics = [
      "d4c3b2a1",
      "a1b2c3d4",
      "4d3cb2a1",
      "34cdb2a1",
      "ac01001c",
      "0a0d0d0a",
      "1f8b0800",
      "28b52ffd",
      "04224d18",
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...magics),
        fc.uint8Array({ maxLength: 400 }),
        async (magic, bytes) => {
          const { error } = await readWholeCapture(
            Buffer.concat([Buffer.from(magic, "hex"), bytes]),
          );
          assert.ok(error === undefined || error instanceof PcaptsError, String(error));
        },
      ),
      { numRuns: 500 },
    );
  },
);

test("closing a compressed source ends a wait for it", { timeout: 10_000 }, async () => {
  for (const [program, args] of COMPRESSIONS) {
    const compressed = compress(program, args, capture);
    const stream = new Readable({ read() {} });
    stream.push(compressed.subarray(0, compressed.length - 10));
    const { reader, bytes } = await openCaptureReader(streamBytes(stream), "x");
    const reading = (async () => {
      for await (const chunk of reader.chunks()) void chunk;
    })().catch(() => {});
    await bytes.close();
    await reading;
  }
});
