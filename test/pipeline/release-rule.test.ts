import assert from "node:assert/strict";
import { test } from "node:test";
import type { CaptureInstant } from "../../src/pipeline/capture-instant.ts";
import { type OrderPatience, ReleaseRule } from "../../src/pipeline/release-rule.ts";

const MICROS = 1_000_000;

const instant = (ms: number): CaptureInstant => ({
  seconds: Math.floor(ms / 1000),
  fraction: Math.round((ms % 1000) * 1000),
});

/** A rule over partitions whose state a test sets; times of capture in ms. */
function createScene(partitions: number, patience: OrderPatience, windowMs = 100) {
  const latest = new Map<number, number>();
  const finished = new Set<number>();
  const atEnd = new Set<number>();
  const full = new Set<number>();
  const rule = new ReleaseRule({
    partitions: Array.from({ length: partitions }, (_, partition) => partition),
    patience,
    windowMs,
    view: {
      latestOf: (partition) => {
        const ms = latest.get(partition);
        return ms === undefined ? undefined : instant(ms);
      },
      isFinished: (partition) => finished.has(partition),
      isAtEnd: (partition) => atEnd.has(partition),
      hasEnoughOf: (partition) => full.has(partition),
    },
    nowMs: 0,
  });
  return {
    rule,
    finished,
    atEnd,
    full,
    /** Frames come of a partition, the last the latest. */
    arrive: (partition: number, first: number, last: number, nowMs: number): void => {
      const before = latest.get(partition) ?? -Infinity;
      const disorderMs = Math.max(0, before - first);
      const isBack = disorderMs > windowMs;
      latest.set(partition, isBack ? last : Math.max(before, last));
      const arrival = {
        partition,
        earliest: instant(first),
        highest: instant(last),
        latest: instant(latest.get(partition)!),
        disorderMs: isBack ? 0 : disorderMs,
      };
      rule.heard(partition, nowMs);
      rule.arrived(arrival, MICROS, nowMs);
    },
    /** Up to where frames may go, in ms; Infinity is everything, below 0 nothing. */
    limit: (nowMs: number): number => {
      const to = rule.limit(MICROS, nowMs);
      return to === undefined ? Infinity : to.seconds * 1000 + to.fraction / 1000;
    },
  };
}

test("with patience for partitions frames wait for all of them, however long it takes", () => {
  const { arrive, limit, finished, atEnd } = createScene(3, "partitions");
  arrive(0, 5000, 6000, 1);
  arrive(1, 5000, 5500, 2);
  assert.ok(limit(3) < 0);
  atEnd.add(2);
  assert.ok(limit(1_000_000) < 0);
  arrive(2, 5100, 5200, 1_000_001);
  assert.equal(limit(1_000_002), 5100);
  finished.add(2);
  assert.equal(limit(1_000_003), 5400);
  finished.add(0).add(1);
  assert.equal(limit(1_000_004), Infinity);
});

test("with patience for the memory nothing goes before everything is there, or enough of all", () => {
  const { arrive, limit, finished, full } = createScene(2, "memory");
  arrive(0, 5000, 6000, 1);
  arrive(1, 5000, 6000, 1);
  assert.ok(limit(1_000_000) < 0);
  full.add(0);
  assert.ok(limit(1_000_001) < 0);
  full.add(1);
  assert.equal(limit(1_000_002), Infinity);
  full.clear();
  finished.add(0).add(1);
  assert.equal(limit(1_000_003), Infinity);
});

test("busy partitions let frames go as soon as each has shown one as late", () => {
  const { arrive, limit } = createScene(2, "disorder");
  arrive(0, 5000, 5010, 1);
  assert.ok(limit(1) < 0);
  arrive(1, 5000, 5008, 2);
  assert.equal(limit(2), 5008);
  arrive(0, 5011, 5020, 3);
  assert.equal(limit(3), 5008);
});

test("a window that is asked for is kept in full", () => {
  const { arrive, limit } = createScene(2, "window", 100);
  arrive(0, 5000, 5200, 1);
  arrive(1, 5000, 5300, 1);
  assert.equal(limit(1), 5100);
});

test("a partition at its end is waited for as long as the window says, and no longer", () => {
  const { rule, arrive, limit, atEnd } = createScene(2, "window", 100);
  atEnd.add(1);
  arrive(0, 5000, 5000, 10);
  atEnd.add(0);
  assert.ok(limit(11) < 5000);
  assert.equal(rule.waitMs(11), 99);
  assert.ok(limit(109.5) < 5000);
  assert.equal(limit(110), 5000);
});

test("a pipe waits less for a partition at its end, and longer once that was too short", () => {
  const { rule, arrive, limit, atEnd } = createScene(2, "disorder", 100);
  atEnd.add(0).add(1);
  arrive(1, 4000, 4000, 5);
  arrive(0, 5000, 5000, 10);
  assert.ok(limit(19) < 5000);
  assert.equal(limit(20), 5000);
  // 40 ms behind one that was captured later.
  arrive(1, 4990, 4990, 50);
  assert.equal(limit(50), 5000);
  arrive(0, 5100, 5100, 200);
  assert.ok(limit(259) < 5100);
  assert.equal(limit(260), 5100);
  assert.ok(rule.waitMs(200) >= 1);
});

test("disorder within a partition widens its window, up to the one that is said, and is forgotten", () => {
  const { arrive, limit } = createScene(1, "disorder", 100);
  arrive(0, 5000, 5010, 1);
  assert.equal(limit(1), 5010);
  arrive(0, 4990, 5020, 2);
  assert.equal(limit(2), 4990);
  arrive(0, 4930, 5030, 3);
  assert.equal(limit(3), 4930);
  // Two half minutes later nothing of it counts.
  arrive(0, 6000, 6010, 31_000);
  limit(31_000);
  arrive(0, 6020, 6030, 62_000);
  assert.equal(limit(62_000), 6030);
});

test("times that jump back do not widen the window, and later frames that are here do not wait for ever", () => {
  const { arrive, limit, atEnd, rule } = createScene(2, "disorder", 100);
  arrive(0, 5000, 5010, 1);
  arrive(1, 5000, 5020, 1);
  atEnd.add(0).add(1);
  assert.equal(limit(26), 5020);
  // The same capture again: the order of its frames begins anew.
  arrive(0, 1000, 1010, 40);
  assert.equal(limit(40), 1010);
  arrive(1, 1000, 1005, 41);
  assert.equal(limit(41), 1005);
  assert.equal(limit(65), Infinity);
  rule.allIsOut();
  arrive(0, 1011, 1020, 70);
  arrive(1, 1011, 1015, 70);
  assert.equal(limit(70), 1015);
});

test("times that jump back within what comes at once do not make what was before them wait for ever", () => {
  const { rule, limit, atEnd } = createScene(1, "disorder", 100);
  atEnd.add(0);
  const [earliest, highest, latest] = [instant(1000), instant(5010), instant(1010)];
  rule.arrived({ partition: 0, earliest, highest, latest, disorderMs: 0 }, MICROS, 40);
  assert.equal(limit(65), 5010);
});

test("a partition that has more, but gives nothing, is waited for for a second", () => {
  const { arrive, limit, atEnd } = createScene(2, "window", 100);
  arrive(0, 5000, 5000, 10);
  atEnd.add(0);
  assert.ok(limit(999) < 5000);
  assert.equal(limit(1000), 5000);
});
