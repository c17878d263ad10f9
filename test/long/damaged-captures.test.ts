import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { PcaptsError } from "../../src/errors.ts";
import { readWholeCapture } from "../capture-file/read-capture.ts";
import { findCaptures } from "../fixtures/found-captures.ts";

/** Of larger ones the beginning is enough. */
const MOST_BYTES = 300_000;
const CUTS = 12;
const DAMAGES = 40;

/** The same numbers in every run (mulberry32). */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

test(
  "captures that other projects test with, cut anywhere, give the frames before the cut and its byte",
  { timeout: 1_200_000 },
  async (t) => {
    const files = findCaptures().whole;
    t.diagnostic(`${files.length} captures`);
    for (const [seed, file] of files.entries()) {
      const random = randomNumbers(seed);
      const bytes = readFileSync(file).subarray(0, MOST_BYTES);
      const isCompressed = bytes[0] === 0x1f;
      const whole = await readWholeCapture(bytes);
      for (let n = 0; n < CUTS; n++) {
        const length = 1 + random(bytes.length - 1);
        const { frames, error } = await readWholeCapture(
          bytes.subarray(0, length),
          1 + random(9000),
        );
        assert.ok(frames.length <= whole.frames.length, file);
        assert.deepEqual(frames, whole.frames.slice(0, frames.length), `${file} cut at ${length}`);
        if (error === undefined) continue;
        assert.ok(error instanceof PcaptsError, file);
        if (!isCompressed)
          assert.match(error.message, new RegExp(`at byte ${length}\\b|empty|starts with`));
      }
    }
  },
);

test(
  "captures that other projects test with, with damaged bytes, end with frames or an error in bounded memory",
  { timeout: 1_200_000 },
  async (t) => {
    for (const [seed, file] of findCaptures().whole.entries()) {
      const random = randomNumbers(seed);
      const bytes = readFileSync(file).subarray(0, MOST_BYTES);
      for (let n = 0; n < DAMAGES; n++) {
        const damaged = Buffer.from(bytes);
        for (let left = 1 + random(5); left > 0; left--) {
          // Most near the front, where the headers are.
          const at = random(2) === 0 ? random(Math.min(200, bytes.length)) : random(bytes.length);
          damaged[at] = random(3) === 0 ? 0xff : random(256);
        }
        const { error } = await readWholeCapture(damaged, 1 + random(70_000));
        assert.ok(error === undefined || error instanceof PcaptsError, `${file}: ${String(error)}`);
      }
    }
    const peakMegabytes = process.resourceUsage().maxRSS / 1024;
    t.diagnostic(`at most ${peakMegabytes.toFixed(0)} MB`);
    assert.ok(peakMegabytes < 700);
  },
);
