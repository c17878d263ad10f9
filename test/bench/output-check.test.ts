import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { generateCapture } from "../../bench/generate-capture.ts";
import { countFrames, faultOfOutput } from "../../bench/output-check.ts";

const scratch = mkdtempSync(path.join(tmpdir(), "pcapts-output-"));
after(() => rmSync(scratch, { recursive: true, force: true }));
const whole = path.join(scratch, "whole.pcap");
// More than one window of the counter.
const expected = generateCapture(whole, { frames: 30_000 });

test("countFrames() counts frames and their bytes over several windows", () => {
  assert.deepEqual(countFrames(whole), expected);
});

test("faultOfOutput() finds nothing wrong with a whole output, pcap or raw", () => {
  assert.equal(faultOfOutput(whole, false, expected), undefined);
  const raw = path.join(scratch, "raw");
  writeFileSync(raw, Buffer.alloc(expected.frameBytes));
  assert.equal(faultOfOutput(raw, true, expected), undefined);
});

test("faultOfOutput() finds a missing frame, a cut file, foreign bytes and a short raw output", () => {
  const bytes = readFileSync(whole);
  const bad = path.join(scratch, "bad");
  const faultOf = (content: Buffer, raw = false) => {
    writeFileSync(bad, content);
    return faultOfOutput(bad, raw, expected);
  };
  assert.match(
    faultOfOutput(whole, false, { ...expected, frames: 30_001 }) ?? "",
    /^30000 frames in the output, not 30001/,
  );
  assert.match(
    faultOfOutput(whole, false, { ...expected, frameBytes: 1 }) ?? "",
    /bytes of frames in the output, not 1$/,
  );
  assert.match(faultOf(bytes.subarray(0, -1)) ?? "", /not pcap, or cut/);
  assert.match(faultOf(Buffer.alloc(100)) ?? "", /not pcap, or cut/);
  assert.match(faultOf(Buffer.alloc(0)) ?? "", /not pcap, or cut/);
  assert.match(faultOf(Buffer.alloc(100), true) ?? "", /^100 bytes/);
});

test("generateCapture() makes every frame as long as asked for", () => {
  const file = path.join(scratch, "fixed.pcap");
  for (const frameBytes of [54, 64, 200, 1400, 1514]) {
    assert.deepEqual(generateCapture(file, { frames: 100, frameBytes }), {
      frames: 100,
      frameBytes: 100 * frameBytes,
    });
    assert.deepEqual(countFrames(file), { frames: 100, frameBytes: 100 * frameBytes });
  }
});
