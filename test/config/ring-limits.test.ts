import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRingLimits, type RingFlags } from "../../src/config/ring-limits.ts";

const NONE: RingFlags = {
  ringBuffer: [],
  rotateSize: undefined,
  rotateSeconds: undefined,
  rotateCount: undefined,
};

test("parseRingLimits() reads dumpcap's conditions and tcpdump's flags", () => {
  for (const [flags, expected] of [
    [{}, undefined],
    [{ ringBuffer: ["filesize:100", "files:3"] }, { fileBytes: 100_000, files: 3 }],
    [
      { ringBuffer: ["duration:1.5", "interval:60", "packets:7"] },
      { durationSeconds: 1.5, intervalSeconds: 60, packets: 7 },
    ],
    [{ rotateSize: "5" }, { fileBytes: 5_000_000 }],
    [
      { rotateSize: "2K", rotateCount: 4 },
      { fileBytes: 2048, files: 4 },
    ],
    [
      { rotateSize: "3m", rotateSeconds: 9, rotateCount: 4 },
      { fileBytes: 3 << 20, durationSeconds: 9, files: 4 },
    ],
    [
      { rotateSeconds: 3600, rotateCount: 24 },
      { durationSeconds: 3600, lastFile: 24 },
    ],
  ] as const) {
    assert.deepEqual(parseRingLimits({ ...NONE, ...flags }), expected);
  }
});

test("parseRingLimits() refuses what is none", () => {
  for (const flags of [
    { ringBuffer: ["filesize:0"] },
    { ringBuffer: ["packets:1.5"] },
    { ringBuffer: ["files"] },
    { ringBuffer: ["files:2"] },
    { rotateSize: "5T" },
    { rotateSize: "0" },
    { rotateCount: 3 },
  ]) {
    assert.throws(() => parseRingLimits({ ...NONE, ...flags }), { code: "USAGE" });
  }
});
