import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { after, test } from "node:test";
import type { FrameSource } from "../../src/capture/frame-source.ts";
import { openFileSource } from "../../src/capture/file-source.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";

const directory = await mkdtemp(join(tmpdir(), "file-source-"));
after(() => rm(directory, { recursive: true }));

const frames = Array.from({ length: 20_000 }, (_, n) => ({ bytes: buildUdpFrame(n, 200) }));
const capture = buildCapture({ frames, linkType: 113, snapLengthBytes: 200 });
const path = join(directory, "some.pcap");
await writeFile(path, capture);

async function count(source: FrameSource): Promise<number> {
  let frameCount = 0;
  for await (const chunk of source.chunks()) frameCount += chunk.frameCount;
  return frameCount;
}

test("a file is opened with its interface known, and read to its end", async () => {
  const source = await openFileSource(path);
  assert.equal(source.kind, "file");
  assert.equal(source.name, path);
  assert.deepEqual(source.interfaces, [
    { sensor: "", name: "", linkType: 113, snapLengthBytes: 200 },
  ]);
  assert.equal(await count(source), 20_000);
  assert.equal(source.counters().received, undefined);
  await source.stop();
});

test("a dash is standard input", async () => {
  const source = await openFileSource("-", { stdin: Readable.from([capture]) });
  assert.equal(source.name, "standard input");
  assert.equal(await count(source), 20_000);
  await assert.rejects(openFileSource("-"), { code: "FILE_NOT_READABLE" });
});

test("a named pipe is read, and its writer may come later", { timeout: 10_000 }, async () => {
  const pipe = join(directory, "pipe");
  execFileSync("mkfifo", [pipe]);
  const opening = openFileSource(pipe);
  const writer = createWriteStream(pipe);
  writer.end(capture);
  assert.equal(await count(await opening), 20_000);
});

test("what cannot be opened says why in words", async () => {
  for (const [wrong, reason] of [
    [join(directory, "missing.pcap"), "no such file"],
    [directory, "it is a directory"],
    [join(path, "below"), "no such file (a part of its path is not a directory)"],
  ] as const) {
    await assert.rejects(openFileSource(wrong), {
      code: "FILE_NOT_READABLE",
      message: `Cannot read "${wrong}": ${reason}`,
    });
  }
});

test("a file that is not a capture is refused while opening", async () => {
  const text = join(directory, "notes.txt");
  await writeFile(text, "these are notes and no frames");
  await assert.rejects(openFileSource(text), {
    code: "FILE_NOT_A_CAPTURE",
    message: `Cannot read "${text}": not a capture file (it starts with 74 68 65 73 65 20 61 72)`,
  });
});

test("stop() ends a file that is being read, and may come twice", async () => {
  const source = await openFileSource(path);
  let chunks = 0;
  for await (const chunk of source.chunks()) {
    assert.ok(chunk.frameCount < 20_000);
    chunks++;
    await source.stop();
  }
  assert.equal(chunks, 1);
  await source.stop();
});

test("stop() before the first chunk leaves nothing to read", async () => {
  const source = await openFileSource(path);
  await source.stop();
  assert.equal(await count(source), 0);
});

test("stop() ends a wait for standard input without an error", { timeout: 10_000 }, async () => {
  const stdin = new PassThrough();
  // Ends in the middle of a frame, which is no fault when it was us who stopped.
  stdin.write(capture.subarray(0, 24 + 216 + 100));
  const source = await openFileSource("-", { stdin });
  const chunks = source.chunks()[Symbol.asyncIterator]();
  assert.equal((await chunks.next()).value?.frameCount, 1);
  const waiting = chunks.next();
  await source.stop();
  assert.equal((await waiting).done, true);
});

test("stop() ends a wait for a silent pipe without an error", { timeout: 10_000 }, async () => {
  const pipe = join(directory, "silent");
  execFileSync("mkfifo", [pipe]);
  const writer = await open(pipe, "r+");
  await writer.write(capture.subarray(0, 24));
  const source = await openFileSource(pipe);
  const waiting = count(source);
  await source.stop();
  assert.equal(await waiting, 0);
  await writer.close();
});
