import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { gzipSync } from "node:zlib";
import { openFileSources } from "../../src/capture/file-sequence.ts";
import type { FrameSource } from "../../src/capture/frame-source.ts";
import { openPipeSource } from "../../src/capture/pipe-source.ts";
import { buildCapture, buildUdpFrame, framesOf } from "../fixtures/generate.ts";
import { PcapngBuilder } from "../fixtures/pcapng.ts";
import { NotingLogger } from "./noting-logger.ts";

const scratch = await mkdtemp(path.join(tmpdir(), "pipe-source-"));
after(() => rm(scratch, { recursive: true }));

const LIMIT = { timeout: 60_000 };

function makePipe(name: string): string {
  const pipe = path.join(scratch, name);
  execFileSync("mkfifo", [pipe]);
  return pipe;
}

/** Frames that tell their number. */
function captureOf(from: number, to: number, layout: object = {}): Buffer {
  const frames = Array.from({ length: to - from }, (_, n) => ({ bytes: numbered(from + n) }));
  return buildCapture({ frames, ...layout });
}

function numbered(n: number): Buffer {
  const frame = buildUdpFrame(n, 100);
  frame.writeUInt32BE(n, 96);
  return frame;
}

/** Writes as a program does that opens the pipe, writes and ends. */
async function writeInto(pipe: string, bytes: Buffer): Promise<void> {
  const cat = spawn("sh", ["-c", 'exec cat > "$1"', "sh", pipe], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  cat.stdin.end(bytes);
  const [status] = (await once(cat, "close")) as [number];
  assert.equal(status, 0);
}

/** Reads numbers of frames until the last one has come, then stops the source. */
async function readNumbers(
  source: FrameSource,
  last: number,
  linkTypes = new Set<number>(),
): Promise<number[]> {
  const numbers: number[] = [];
  for await (const chunk of source.chunks()) {
    for (const { linkType } of chunk.interfaces) linkTypes.add(linkType);
    numbers.push(...framesOf(chunk).map(({ bytes }) => bytes.readUInt32BE(96)));
    if (numbers.at(-1) === last) void source.stop();
  }
  return numbers;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, n) => from + n);
}

test("a pipe is read on when its writer ends, whatever the next one writes", LIMIT, async () => {
  const pipe = makePipe("restarts");
  const logger = new NotingLogger();
  const opening = openPipeSource(pipe, { logger, sensor: "probe" });
  const pcapng = new PcapngBuilder().section().interface({ name: "eth7", linkType: 113 });
  for (let n = 300; n < 400; n++) pcapng.enhancedPacket(0, 1n, numbered(n));
  const writing = (async () => {
    await writeInto(pipe, captureOf(0, 100));
    await writeInto(pipe, captureOf(100, 200, { bigEndian: true, linkType: 12 }));
    await writeInto(pipe, captureOf(200, 300, { nanosecond: true }));
    await writeInto(pipe, pcapng.file);
    await writeInto(pipe, gzipSync(captureOf(400, 500)));
  })();
  const source = await opening;
  assert.equal(source.kind, "feed");
  assert.deepEqual(source.interfaces, [
    { sensor: "probe", name: "", linkType: 1, snapLengthBytes: 262_144 },
  ]);
  const linkTypes = new Set<number>();
  const numbers = await readNumbers(source, 499, linkTypes);
  await writing;
  assert.deepEqual(numbers, range(0, 500));
  assert.deepEqual(linkTypes, new Set([1, 12, 113]));
  assert.equal(source.counters().torn, 0);
  assert.equal(logger.count(/has ended after 100 frames/), 4);
});

test(
  "a writer killed within a frame costs that frame, said once with its byte",
  LIMIT,
  async () => {
    const pipe = makePipe("killed");
    const logger = new NotingLogger();
    const opening = openPipeSource(pipe, { logger });
    // 24 bytes of header, 2 frames of 116 bytes and 50 bytes of the third.
    await writeInto(pipe, captureOf(0, 5).subarray(0, 306));
    const source = await opening;
    const reading = readNumbers(source, 19);
    await logger.says(/cut at byte 306/);
    await writeInto(pipe, captureOf(10, 20));
    assert.deepEqual(await reading, [0, 1, ...range(10, 20)]);
    assert.equal(source.counters().torn, 1);
    assert.deepEqual(logger.warnings, [
      `Cannot read "${pipe}" to its end: it is cut at byte 306, in the middle of frame 3; ` +
        "the 2 whole frames before it were read; waiting for the next writer",
    ]);
  },
);

test(
  "a next writer that comes before anybody saw the first one go costs no more",
  LIMIT,
  async () => {
    const pipe = makePipe("at-once");
    const logger = new NotingLogger();
    // Holds the pipe open, so that the reader meets no end.
    const holder = await open(pipe, "r+");
    await holder.write(captureOf(0, 5).subarray(0, 306));
    await holder.write(captureOf(10, 20));
    await holder.write(captureOf(20, 30));
    const source = await openPipeSource(pipe, { logger });
    assert.deepEqual(await readNumbers(source, 29), [0, 1, ...range(10, 30)]);
    assert.equal(source.counters().torn, 1);
    await holder.close();
  },
);

test("garbage is said, passed over, and the next writer is read", LIMIT, async () => {
  const pipe = makePipe("garbage");
  const logger = new NotingLogger();
  const opening = openPipeSource(pipe, { logger });
  await writeInto(pipe, captureOf(0, 3));
  const source = await opening;
  const reading = readNumbers(source, 11);
  await logger.says(/has ended after 3 frames/);
  await writeInto(pipe, Buffer.concat([gzipSync(captureOf(50, 60)).subarray(0, 60), numbered(1)]));
  await logger.says(/it is compressed by gzip/);
  await writeInto(pipe, captureOf(3, 6));
  await logger.says(/has ended after 3 frames/, 2);
  await writeInto(pipe, Buffer.from("these are words and no frames at all".repeat(3000)));
  await logger.says(/not a capture file \(it starts with 74 68/);
  await writeInto(pipe, captureOf(6, 12));
  assert.deepEqual(
    (await reading).filter((n) => n < 50),
    range(0, 12),
  );
});

test("a pipe that is deleted and made anew is read on", LIMIT, async () => {
  const pipe = makePipe("anew");
  const logger = new NotingLogger();
  const opening = openPipeSource(pipe, { logger });
  await writeInto(pipe, captureOf(0, 3));
  const source = await opening;
  const reading = readNumbers(source, 8);
  await logger.says(/has ended after 3 frames/);
  await unlink(pipe);
  await logger.says(/There is no pipe .*anew/);
  execFileSync("mkfifo", [pipe]);
  await writeInto(pipe, captureOf(3, 6));
  await unlink(pipe);
  execFileSync("mkfifo", [pipe]);
  await writeInto(pipe, captureOf(6, 9));
  assert.deepEqual(await reading, range(0, 9));
});

test(
  "what the first writer sends is checked while opening, and nobody's coming and going is",
  LIMIT,
  async () => {
    const pipe = makePipe("first");
    const logger = new NotingLogger();
    const refused = assert.rejects(openPipeSource(pipe, { logger }), {
      code: "FILE_NOT_A_CAPTURE",
    });
    await writeInto(pipe, Buffer.alloc(0));
    await writeInto(pipe, Buffer.from("these are notes and no frames"));
    await refused;
  },
);

test("stop() ends the wait for a writer, and may come twice", LIMIT, async () => {
  const pipe = makePipe("stopped");
  const logger = new NotingLogger();
  const opening = openPipeSource(pipe, { logger });
  await writeInto(pipe, captureOf(0, 3));
  const source = await opening;
  const reading = readNumbers(source, -1);
  await logger.says(/has ended after 3 frames/);
  await source.stop();
  await source.stop();
  assert.deepEqual(await reading, range(0, 3));
  assert.deepEqual(logger.warnings, []);
});

test(
  "a pipe among several files is read to its writer's end, the last one goes on",
  LIMIT,
  async () => {
    const first = makePipe("one-of-two");
    const last = makePipe("last-of-two");
    const file = path.join(scratch, "between.pcap");
    await writeFile(file, captureOf(3, 6));
    const logger = new NotingLogger();
    const opening = openFileSources([first, file, last], { logger });
    await writeInto(first, captureOf(0, 3));
    const source = await opening;
    const reading = readNumbers(source, 11);
    await writeInto(last, captureOf(6, 9));
    await logger.says(/has ended after 3 frames/);
    await writeInto(last, captureOf(9, 12));
    assert.deepEqual(await reading, range(0, 12));
  },
);
