import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable, Writable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { after, test } from "node:test";
import { promisify } from "node:util";
import fc from "fast-check";
import { streamBytes } from "../../src/capture-file/byte-source.ts";
import { PcapReader } from "../../src/capture-file/pcap-reader.ts";
import { encodePcap, PcapWriter, type PcapFrame } from "../../src/capture-file/pcap-writer.ts";
import { arbitraryFrames, buildCapture, buildChunk, buildUdpFrame } from "../fixtures/generate.ts";

const run = promisify(execFile);
const directory = await mkdtemp(join(tmpdir(), "pcap-writer-"));
after(() => rm(directory, { recursive: true }));

test("encodePcap() gives byte for byte what the format says", () => {
  fc.assert(
    fc.property(arbitraryFrames(), fc.boolean(), (frames, nanosecond) => {
      const written = frames.map(({ bytes, seconds, nanoseconds, wireLength }): PcapFrame => ({
        bytes,
        timestampNs: BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds),
        wireLength,
      }));
      const options = { linkType: 113, snapLengthBytes: 96, nanosecond };
      assert.deepEqual(encodePcap(written, options), buildCapture({ frames, ...options }));
    }),
  );
});

test("the file header is in the stream before any frame", () => {
  const stream = new PassThrough();
  const writer = new PcapWriter(stream);
  assert.equal(writer.nanosecond, false);
  const header = "d4c3b2a10200040000000000000000000000040001000000";
  assert.equal((stream.read() as Buffer).toString("hex"), header);
});

test("writeChunk() copies a chunk of the file's own layout and converts every other", async () => {
  await fc.assert(
    fc.asyncProperty(
      arbitraryFrames(),
      fc.boolean(),
      fc.boolean(),
      fc.boolean(),
      async (frames, bigEndian, chunkNanosecond, nanosecond) => {
        const stream = new PassThrough();
        const writer = new PcapWriter(stream, { nanosecond });
        const written = buffer(stream);
        await writer.writeChunk(buildChunk({ frames, bigEndian, nanosecond: chunkNanosecond }));
        await writer.end();
        const precise = chunkNanosecond
          ? frames
          : frames.map((frame) => ({
              ...frame,
              nanoseconds: frame.nanoseconds - (frame.nanoseconds % 1000),
            }));
        assert.deepEqual(await written, buildCapture({ frames: precise, nanosecond }));
      },
    ),
  );
});

test("writeChunk() resolves only when the stream has taken the bytes, so that they may be reused", async () => {
  let release = (): void => {};
  const taken: string[] = [];
  const stream = new Writable({
    write(bytes: Buffer, _encoding, done) {
      release = () => {
        taken.push(bytes.toString("latin1"));
        done();
      };
      if (bytes.length === 24) release();
    },
  });
  const writer = new PcapWriter(stream);
  const chunk = buildChunk({ frames: [{ bytes: Buffer.from("first") }] });
  let isResolved = false;
  const writing = writer.writeChunk(chunk).then(() => {
    isResolved = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isResolved, false);
  release();
  await writing;
  chunk.bytes.fill(0);
  assert.match(taken[1]!, /first$/);
});

test("write() says when the stream's buffer is full", () => {
  const stream = new PassThrough({ highWaterMark: 1000 });
  const writer = new PcapWriter(stream);
  assert.equal(writer.write({ bytes: Buffer.alloc(60), timestampNs: 0n }), true);
  assert.equal(writer.write({ bytes: Buffer.alloc(2000), timestampNs: 0n }), false);
});

test("write() refuses times and lengths that a pcap file cannot hold", () => {
  const writer = new PcapWriter(new PassThrough());
  const bytes = Buffer.alloc(1);
  for (const timestampNs of [-1n, 0x1_0000_0000n * 1_000_000_000n]) {
    assert.throws(() => writer.write({ bytes, timestampNs }), /RangeError: .*1970 to 2106/);
  }
  const tooLong = Buffer.alloc(262_145);
  assert.throws(() => writer.write({ bytes: tooLong, timestampNs: 0n }), /262145 bytes/);
});

test("a stream that fails gives its own error to every call that follows", async () => {
  const broken = Object.assign(new Error("write EPIPE"), { code: "EPIPE" });
  const stream = new Writable({
    write(bytes: Buffer, _encoding, done) {
      done(bytes.length === 24 ? null : broken);
    },
  });
  const writer = new PcapWriter(stream);
  const chunk = buildChunk({ frames: [{ bytes: Buffer.alloc(60) }] });
  await assert.rejects(writer.writeChunk(chunk), broken);
  await assert.rejects(writer.writeChunk(chunk), broken);
  assert.throws(() => writer.write({ bytes: Buffer.alloc(1), timestampNs: 0n }), broken);
  await assert.rejects(writer.end(), broken);
});

test("a file that cannot be made is end()'s error", async () => {
  const writer = new PcapWriter(createWriteStream(join(directory, "missing", "out.pcap")));
  await assert.rejects(writer.end(), { code: "ENOENT" });
});

test("capinfos and tshark read both precisions as written", async () => {
  const frames = Array.from({ length: 200 }, (_, n) => ({
    bytes: buildUdpFrame(n, 60 + n),
    seconds: 1_700_000_000 + n,
    nanoseconds: 123_456_789,
    wireLength: 1000 + n,
  }));
  for (const nanosecond of [false, true]) {
    const path = join(directory, `${nanosecond}.pcap`);
    const writer = new PcapWriter(createWriteStream(path), { nanosecond });
    await writer.writeChunk(buildChunk({ frames, nanosecond, bigEndian: true }));
    await writer.end();

    const { stdout: summary } = await run("capinfos", ["-T", "-r", "-t", "-E", "-c", "-d", path]);
    const type = nanosecond ? "nsecpcap" : "pcap";
    assert.deepEqual(summary.trim().split("\t").slice(1), [type, "ether", "200", "219900"]);
    const { stdout } = await run("tshark", [
      "-r",
      path,
      "-T",
      "fields",
      "-e",
      "frame.time_epoch",
      "-e",
      "frame.len",
      "-e",
      "frame.cap_len",
      "-e",
      "udp.srcport",
    ]);
    const fraction = nanosecond ? "123456789" : "123456000";
    assert.deepEqual(
      stdout.trim().split("\n"),
      frames.map(({ bytes, seconds, wireLength }, n) =>
        [`${seconds}.${fraction}`, wireLength, bytes.length, 1024 + n].join("\t"),
      ),
    );
  }
});

test("files written by editcap in both precisions are read as tshark reads them", async () => {
  const source = join(directory, "source.pcap");
  const frames = Array.from({ length: 50 }, (_, n) => ({
    bytes: buildUdpFrame(n, 100),
    timestampNs: 1_700_000_000_123_456_789n + BigInt(n),
  }));
  await new Promise<void>((resolve, reject) => {
    const stream = createWriteStream(source).on("error", reject);
    stream.end(encodePcap(frames, { nanosecond: true }), resolve);
  });
  for (const type of ["pcap", "nsecpcap"]) {
    const path = join(directory, `editcap.${type}`);
    await run("editcap", ["-F", type, "-s", "64", source, path]);
    const reader = await PcapReader.open(streamBytes(createReadStream(path)), path);
    const copy = new PassThrough();
    const writer = new PcapWriter(copy, { ...reader.header });
    const written = buffer(copy);
    for await (const chunk of reader.chunks()) await writer.writeChunk(chunk);
    await writer.end();
    assert.deepEqual(await written, await readFile(path));
    assert.equal(reader.header.nanosecond, type === "nsecpcap");
  }
});

test("a reader of the written stream gets every frame", async () => {
  const stream = new PassThrough();
  const writer = new PcapWriter(stream);
  for (let n = 0; n < 100; n++) {
    writer.write({ bytes: buildUdpFrame(n, 60), timestampNs: BigInt(n) * 1_000_000_000n });
  }
  void writer.end();
  const reader = await PcapReader.open(streamBytes(Readable.from(stream)), "x");
  let frameCount = 0;
  for await (const chunk of reader.chunks()) frameCount += chunk.frameCount;
  assert.equal(frameCount, 100);
});
