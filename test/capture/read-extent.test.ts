import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { after, test } from "node:test";
import { gzipSync } from "node:zlib";
import { openFileSources, type FileSequenceOptions } from "../../src/capture/file-sequence.ts";
import type { FrameSource } from "../../src/capture/frame-source.ts";
import { paceSource } from "../../src/capture/paced-source.ts";
import { ReplayTimeline } from "../../src/capture/replay-timeline.ts";
import { silentLogger } from "../../src/logger.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";

/*
 * How far files were read is what a progress line is made of: 0 before the first frame, the size of
 * all behind the last, and never less than before.
 */

const scratch = mkdtempSync(path.join(tmpdir(), "read-extent-"));
after(() => rmSync(scratch, { recursive: true }));

const frames = Array.from({ length: 3000 }, (_, n) => ({ bytes: buildUdpFrame(n, 1000) }));
const capture = buildCapture({ frames });
const compressed = gzipSync(capture);
const large = path.join(scratch, "large.pcap");
const gz = path.join(scratch, "large.pcap.gz");
const small = path.join(scratch, "small.pcap");
writeFileSync(large, capture);
writeFileSync(gz, compressed);
writeFileSync(small, buildCapture({ frames: frames.slice(0, 10) }));
const smallBytes = 24 + 10 * 1016;

function open(
  files: readonly string[],
  options: Partial<FileSequenceOptions> = {},
): Promise<FrameSource> {
  return openFileSources(files, { logger: silentLogger, ...options });
}

/** How far it was read behind each chunk, as a share of what it says is all. */
async function sharesOf(source: FrameSource, totalBytes: number): Promise<number[]> {
  const shares: number[] = [];
  for await (const _ of source.chunks()) {
    const extent = source.extent!()!;
    assert.equal(extent.totalBytes, totalBytes);
    shares.push(extent.readBytes / totalBytes);
  }
  const { readBytes } = source.extent!()!;
  shares.push(readBytes / totalBytes);
  assert.deepEqual(
    shares,
    shares.toSorted((a, b) => a - b),
  );
  assert.equal(shares.at(-1), 1);
  return shares;
}

test("a file tells how much of it was read, a compressed one by its own bytes", async () => {
  assert.ok((await sharesOf(await open([large]), capture.length)).some((share) => share < 0.5));
  await sharesOf(await open([gz]), compressed.length);
});

test("several files tell how much of all was read", async () => {
  const all = [small, gz, large];
  const shares = await sharesOf(await open(all), smallBytes + compressed.length + capture.length);
  assert.ok(shares[0]! < 0.05);
});

test("files that are read again count as often, whether they are kept or not", async () => {
  await sharesOf(await open([small], { loops: 5 }), 5 * smallBytes);
  await sharesOf(await open([small, large], { loops: 5 }), 5 * (smallBytes + capture.length));
  const manyFrames = Array.from({ length: 9 }, () => large);
  await sharesOf(await open(manyFrames, { loops: 2 }), 2 * 9 * capture.length);
});

test("a replay tells how much is handed over, not how much is read ahead", async () => {
  let nowMs = 0;
  const clock = {
    nowMs: () => nowMs,
    sleep: async (ms: number) => void (nowMs += ms + 0.1),
  };
  const timeline = new ReplayTimeline({ unit: "pps", value: 1000 });
  const paced = paceSource(await open([large]), timeline, silentLogger, clock);
  const shares = await sharesOf(paced, capture.length);
  assert.ok(shares.length > 1000);
  for (const [n, share] of shares.slice(0, -1).entries()) {
    const due = (n + 1) / (shares.length - 1);
    // The first chunk counts the header of the file and a frame that is begun.
    assert.ok(Math.abs(share - due) < 0.01, `${share} behind frame ${n}, not ${due}`);
  }
});

test("what has no end tells none", async () => {
  const stdin = Readable.from([capture]);
  assert.equal((await open(["-"], { stdin })).extent!()?.totalBytes, undefined);
  const mixed = await open([small, "-"], { stdin });
  assert.equal(mixed.extent!()?.totalBytes, undefined);
  await mixed.stop();
  const forever = await open([small], { loops: Infinity });
  assert.equal(forever.extent!()?.totalBytes, undefined);
  await forever.stop();
});
