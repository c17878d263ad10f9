import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ReplaySchedule } from "../../src/capture/replay-schedule.ts";

/** A turn of the event loop. */
const TURN_MS = 0.05;

/** Frames that went together. */
interface Burst {
  readonly atMs: number;
  /** When whoever took them was done. */
  readonly goneMs: number;
  readonly firstDueMs: number;
  readonly lastDueMs: number;
}

/**
 * Plays frames by a clock of its own, as a source does.
 *
 * @param dues when they are due, ascending
 * @param delays what comes upon each wait, and upon each burst that is handed over, in turn
 */
function play(dues: readonly number[], delays: readonly number[]): [Burst[], ReplaySchedule] {
  const schedule = new ReplaySchedule();
  const bursts: Burst[] = [];
  let nowMs = 12_345.678;
  let looks = 0;
  const delay = (): number => delays[looks++ % delays.length] ?? 0;
  for (let next = 0; next < dues.length;) {
    const firstDueMs = dues[next]!;
    const limitMs = schedule.reach(nowMs, firstDueMs);
    if (firstDueMs > limitMs) {
      nowMs += Math.max(schedule.waitMs(firstDueMs), TURN_MS) + delay();
      continue;
    }
    let lastDueMs = firstDueMs;
    while (next < dues.length && dues[next]! <= limitMs) lastDueMs = dues[next++]!;
    schedule.sent(lastDueMs);
    const atMs = nowMs;
    nowMs += delay();
    schedule.gone(nowMs);
    bursts.push({ atMs, goneMs: nowMs, firstDueMs, lastDueMs });
  }
  return [bursts, schedule];
}

/** So many frames, so many a second. */
function evenly(frames: number, perSecond: number): number[] {
  return Array.from({ length: frames }, (_, n) => (n * 1000) / perSecond);
}

/** Frames as captures have them: many at once, and long pauses. */
const someDues = fc
  .array(fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(3000)), {
    minLength: 1,
    maxLength: 300,
  })
  .map((gaps) => {
    let dueMs = 0;
    return gaps.map((gap, n) => (dueMs += n === 0 ? 0 : gap));
  });

const someDelays = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.double({ min: 0, max: 2, noNaN: true }) },
    { weight: 1, arbitrary: fc.nat(100) },
    { weight: 1, arbitrary: fc.nat(30_000) },
  ),
  { minLength: 1, maxLength: 100 },
);

test("no frame goes before it is due, whatever the stalls", () => {
  fc.assert(
    fc.property(someDues, someDelays, (dues, delays) => {
      const [bursts] = play(dues, delays);
      const startMs = bursts[0]!.atMs;
      for (const { atMs, lastDueMs } of bursts) assert.ok(atMs - startMs >= lastDueMs - 1e-6);
    }),
  );
});

test("no burst exceeds 9 ms of frames, and late frames come at twice the speed, whatever the stalls", () => {
  fc.assert(
    fc.property(
      fc.oneof(someDues, fc.constantFrom(evenly(5000, 100_000), evenly(400, 50))),
      someDelays,
      (dues, delays) => {
        const [bursts] = play(dues, delays);
        for (const [n, first] of bursts.entries()) {
          for (const last of bursts.slice(n)) {
            const framesMs = last.lastDueMs - first.firstDueMs;
            assert.ok(framesMs <= 9 + 2 * (last.atMs - first.atMs) + 1e-6);
          }
        }
      },
    ),
  );
});

// The machine may stand still while frames are taken: the next burst then is right behind them.
test("no more than 10 ms of frames are handed over within a ms, whatever the stalls", () => {
  fc.assert(
    fc.property(fc.constantFrom(5, 50, 5000), someDelays, (perSecond, delays) => {
      const gapMs = 1000 / perSecond;
      const [bursts] = play(evenly(1000, perSecond), delays);
      for (const [n, first] of bursts.entries()) {
        for (const last of bursts.slice(n)) {
          if (last.atMs - first.goneMs >= 1) break;
          const frames = (last.lastDueMs - first.firstDueMs) / gapMs;
          assert.ok(frames <= Math.max(10 / gapMs, 1) + 1e-6, `${frames} frames`);
        }
      }
    }),
  );
});

test("a million frames at 100,000 a second end in time, though waits are late and some stall", () => {
  const delays = Array.from({ length: 997 }, (_, n) => (n % 250 === 7 ? 40 : (n % 5) / 4));
  const [bursts, schedule] = play(evenly(1_000_000, 100_000), delays);
  assert.ok(Math.abs(schedule.wantedMs - 9999.99) < 1e-6);
  assert.ok(schedule.takenMs < 10_050, `${schedule.takenMs} ms`);
  assert.ok(schedule.lateMs > 39 && schedule.lateMs < 90, `${schedule.lateMs} ms`);
  assert.equal(bursts.at(-1)!.atMs - bursts[0]!.atMs, schedule.takenMs);
});

test("timers that are a bit late add up to nothing", () => {
  const [, schedule] = play(evenly(100_000, 1000), [0.7]);
  assert.ok(schedule.takenMs - schedule.wantedMs < 2, `${schedule.takenMs} ms`);
});

/** A frame for each ms, the machine standing still behind the thousandth. @returns how late each is */
function playStalled(frames: number, stallMs: number): [number[], ReplaySchedule] {
  const schedule = new ReplaySchedule();
  const lateMs: number[] = [];
  let nowMs = 0;
  for (let dueMs = 0; dueMs < frames; dueMs++) {
    while (schedule.reach(nowMs, dueMs) < dueMs) {
      nowMs += Math.max(schedule.waitMs(dueMs), TURN_MS);
    }
    schedule.sent(dueMs);
    schedule.gone(nowMs);
    lateMs.push(nowMs - dueMs);
    if (dueMs === 1000) nowMs += stallMs;
  }
  return [lateMs, schedule];
}

test("a stall is caught up at twice the speed, and then frames are in time again", () => {
  const [lateMs] = playStalled(10_000, 1000);
  assert.ok(lateMs[1001]! > 990);
  // A second of delay takes two seconds of frames.
  assert.ok(lateMs[2000]! > 400 && lateMs[2000]! < 600, `${lateMs[2000]} ms`);
  assert.ok(Math.max(...lateMs.slice(3010)) <= 1);
});

test("of a stall of a minute 10 s are caught up, and the end is later by the rest", () => {
  const [, { takenMs, wantedMs }] = playStalled(100_000, 60_000);
  const lateMs = takenMs - wantedMs;
  assert.ok(lateMs > 49_900 && lateMs < 50_100, `${lateMs} ms`);
});

test("a pause in the capture is waited for, and nothing is to be caught up behind it", () => {
  const [bursts] = play([0, 1, 2, 86_400_000, 86_400_000], [0]);
  assert.deepEqual(
    bursts.map(({ atMs }) => Math.round(atMs - bursts[0]!.atMs)),
    [0, 1, 2, 86_400_000],
  );
});
