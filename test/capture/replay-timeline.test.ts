import assert from "node:assert/strict";
import { test } from "node:test";
import { ReplayTimeline, type ReplayPace } from "../../src/capture/replay-timeline.ts";

/** When frames are due of these capture times, in ms, and lengths. */
function place(pace: ReplayPace, frames: readonly (readonly [number, number])[]): number[] {
  const timeline = new ReplayTimeline(pace);
  return frames.map(([ms, length]) => placeAt(timeline, ms, length));
}

function placeAt(timeline: ReplayTimeline, ms: number, length = 60): number {
  const seconds = Math.floor(ms / 1000);
  return timeline.place(1_700_000_000 + seconds, (ms - seconds * 1000) * 1e6, length);
}

test("pps counts frames, whatever their times and lengths", () => {
  const frames = [
    [0, 60],
    [9000, 1500],
    [5, 0],
  ] as const;
  assert.deepEqual(place({ unit: "pps", value: 1000 }, frames), [0, 1, 2]);
  assert.deepEqual(place({ unit: "pps", value: 0.25 }, frames), [0, 4000, 8000]);
});

test("mbps counts the bits of the frames before", () => {
  // 1250 bytes are 10,000 bits: 10 ms at 1 Mbit/s.
  const frames = [
    [0, 1250],
    [0, 125],
    [0, 9],
  ] as const;
  assert.deepEqual(place({ unit: "mbps", value: 1 }, frames), [0, 10, 11]);
});

test("multiplier divides the recorded time", () => {
  const frames = [
    [250, 60],
    [250, 60],
    [1000, 60],
    [60_250, 60],
  ] as const;
  assert.deepEqual(place({ unit: "multiplier", value: 1 }, frames), [0, 0, 750, 60_000]);
  assert.deepEqual(place({ unit: "multiplier", value: 10 }, frames), [0, 0, 75, 6000]);
  assert.deepEqual(place({ unit: "multiplier", value: 0.5 }, frames), [0, 0, 1500, 120_000]);
});

test("a million frames that swap places with their neighbours end when they were recorded to end", () => {
  const timeline = new ReplayTimeline({ unit: "multiplier", value: 1 });
  const ends: number[] = [];
  for (let n = 0; n < 1_000_000; n++) ends[n % 2] = placeAt(timeline, n ^ 1);
  // The first frame was recorded 1 ms behind the second.
  assert.deepEqual(ends, [999_998, 999_998]);
});

test("a time that goes back costs no wait, and frames behind it keep their distances", () => {
  const frames = [
    [0, 60],
    [100, 60],
    [40, 60],
    [110, 60],
  ] as const;
  assert.deepEqual(place({ unit: "multiplier", value: 1 }, frames), [0, 100, 100, 110]);
});

test("behind a clock that was set back frames are due as they were recorded there", () => {
  const hour = 3_600_000;
  const frames = [
    [hour, 60],
    [hour + 10, 60],
    [5, 60],
    [25, 60],
    [hour + 5, 60],
  ] as const;
  assert.deepEqual(place({ unit: "multiplier", value: 1 }, frames), [0, 10, 10, 30, hour + 10]);
});

test("another file follows at once, whatever its times", () => {
  const timeline = new ReplayTimeline({ unit: "multiplier", value: 2 });
  const dues: number[] = [];
  for (const start of [5000, 5000, 9_000_000]) {
    dues.push(placeAt(timeline, start), placeAt(timeline, start + 300));
    timeline.beginFile();
  }
  assert.deepEqual(dues, [0, 150, 150, 300, 300, 450]);
});
