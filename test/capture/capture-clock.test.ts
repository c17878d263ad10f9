import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import fc from "fast-check";
import { CaptureClock } from "../../src/capture/capture-clock.ts";

const START_MS = 1_700_000_000_000;

/** A monotonic clock, and a wall clock that can be set. */
let monotonicMs: number;
let stepMs: number;
const readings = {
  monotonicMs: () => monotonicMs,
  wallMs: () => Math.floor(START_MS + monotonicMs + stepMs),
  originMs: START_MS,
};

beforeEach(() => {
  monotonicMs = 40;
  stepMs = 0;
});

test("the clock gives wall time in microseconds, finer than the wall clock's milliseconds", () => {
  const clock = new CaptureClock(readings);
  monotonicMs += 1.25;
  assert.equal(clock.nowUs(), (START_MS + 41.25) * 1000);
  monotonicMs += 3600_000.125;
  assert.ok(Math.abs(clock.nowUs() - (START_MS + 3_600_041.375) * 1000) <= 1);
});

test("a wall clock set forward is followed within a second", () => {
  const clock = new CaptureClock(readings);
  clock.nowUs();
  stepMs = 60_000;
  monotonicMs += 1000;
  assert.equal(clock.nowUs(), (START_MS + monotonicMs + 60_000) * 1000);
});

test("a wall clock set back slows the clock until both agree, and times still differ", () => {
  const clock = new CaptureClock(readings);
  clock.nowUs();
  stepMs = -10_000;
  let last = 0;
  for (let n = 0; n < 25_000; n++) {
    monotonicMs += 1;
    const now = clock.nowUs();
    assert.ok(now > last, `at ${n} ms`);
    last = now;
  }
  const errorUs = last - (START_MS + monotonicMs + stepMs) * 1000;
  assert.ok(Math.abs(errorUs) <= 1000, `${errorUs} us off after 25 s`);
});

test("time never goes back, however the wall clock is set", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 5000 }), fc.integer({ min: -1e7, max: 1e7 }))),
      (moves) => {
        monotonicMs = 0;
        stepMs = 0;
        const clock = new CaptureClock(readings);
        let last = clock.nowUs();
        for (const [passMs, setMs] of moves) {
          monotonicMs += passMs;
          stepMs = setMs;
          const now = clock.nowUs();
          assert.ok(now >= last && Number.isInteger(now));
          last = now;
        }
      },
    ),
  );
});
