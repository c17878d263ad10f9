import assert from "node:assert/strict";
import { test } from "node:test";
import { ProgressMeter } from "../../src/cli/progress-line.ts";

test("progress says how much is done, how fast it goes and how long the rest takes", () => {
  const meter = new ProgressMeter(500);
  const lines = [
    meter.measure(1500, { frames: 0, bytes: 0, share: 0 }),
    meter.measure(2500, { frames: 1000, bytes: 200_000, share: 0.1 }),
    meter.measure(3500, { frames: 3000, bytes: 600_000, share: 0.3 }),
    // Frames of two seconds.
    meter.measure(5500, { frames: 8000, bytes: 1_600_000, share: 0.8 }),
    meter.measure(6500, { frames: 10_000, bytes: 2_000_000, share: 1 }),
  ];
  assert.deepEqual(lines, [
    "0 %, 0 frames, 0 B, 0 frames/s, 0 B/s",
    "10 %, 1000 frames, 200 kB, 1000 frames/s, 200 kB/s",
    // A fifth took one second since the first frame was seen, and seven tenths are left.
    "30 %, 3000 frames, 600 kB, 2000 frames/s, 400 kB/s, 0:04 left",
    "80 %, 8000 frames, 1.6 MB, 2500 frames/s, 500 kB/s, 0:01 left",
    "100 %, 10000 frames, 2.0 MB, 2000 frames/s, 400 kB/s, 0:00 left",
  ]);
});

test("progress without a known end says what was done", () => {
  const meter = new ProgressMeter(0);
  assert.equal(
    meter.measure(2000, { frames: 3, bytes: 99_949_999, share: undefined }),
    "3 frames, 99.9 MB, 2 frames/s, 50.0 MB/s",
  );
  assert.equal(
    meter.measure(3000, { frames: 3, bytes: 2_500_000_000_000, share: undefined }),
    "3 frames, 2.5 TB, 0 frames/s, 2.5 TB/s",
  );
});

test("progress writes bytes and times as people read them", () => {
  const units: string[] = [];
  for (const bytes of [999, 1000, 9949, 99_949, 99_951, 999_499, 999_501, 123_456_789]) {
    const line = new ProgressMeter(0).measure(1000, { frames: 1, bytes, share: undefined });
    units.push(line.split(", ")[1] ?? "");
  }
  assert.deepEqual(units, [
    "999 B",
    "1.0 kB",
    "9.9 kB",
    "99.9 kB",
    "100 kB",
    "999 kB",
    "1.0 MB",
    "123 MB",
  ]);
  const times: string[] = [];
  for (const share of [0.5, 0.01, 0.000_36, 0.000_001]) {
    const meter = new ProgressMeter(0);
    meter.measure(0, { frames: 1, bytes: 1, share: Number.MIN_VALUE });
    const line = meter.measure(36_000, { frames: 2, bytes: 2, share });
    times.push(line.split(", ").at(-1) ?? "");
  }
  assert.deepEqual(times, ["0:36 left", "59:24 left", "27:46:04 left", "417 days left"]);
});
