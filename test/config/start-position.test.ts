import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseStartPosition, parseStartPosition } from "../../src/config/start-position.ts";
import { PcaptsError } from "../../src/errors.ts";

const NOW_MS = 1_700_000_000_000;

const timeOf = (text: string): number => {
  const position = parseStartPosition(text, NOW_MS);
  assert.equal(position.kind, "time");
  return position.kind === "time" ? position.timestampMs : NaN;
};

test("parseStartPosition() knows begin, end and stored in any case", () => {
  assert.deepEqual(parseStartPosition("begin", NOW_MS), { kind: "begin" });
  assert.deepEqual(parseStartPosition("END", NOW_MS), { kind: "end" });
  assert.deepEqual(parseStartPosition("stored", NOW_MS), { kind: "stored" });
});

test("parseStartPosition() counts seconds, minutes, hours and days back from now", () => {
  assert.equal(timeOf("-90s"), NOW_MS - 90_000);
  assert.equal(timeOf("-5m"), NOW_MS - 300_000);
  assert.equal(timeOf("-2h"), NOW_MS - 7_200_000);
  assert.equal(timeOf("-1d"), NOW_MS - 86_400_000);
});

test("parseStartPosition() goes back no further than 1970", () => {
  assert.equal(timeOf("-99999999d"), 0);
  assert.equal(timeOf("1969-12-31T00:00:00Z"), 0);
});

test("parseStartPosition() takes a time without a zone for local", () => {
  assert.equal(timeOf("2026-01-31"), new Date(2026, 0, 31).getTime());
  assert.equal(timeOf("2026-01-31T09:30"), new Date(2026, 0, 31, 9, 30).getTime());
  assert.equal(timeOf("2026-01-31 09:30:15.250"), new Date(2026, 0, 31, 9, 30, 15, 250).getTime());
});

test("parseStartPosition() heeds a zone", () => {
  const utc = Date.UTC(2026, 0, 31, 9, 30);
  for (const text of ["09:30Z", "11:30+02:00", "11:30+0200", "11:30+02", "04:00-05:30"]) {
    assert.equal(timeOf(`2026-01-31T${text}`), utc, text);
  }
});

test("parseStartPosition() cuts fractions to milliseconds", () => {
  assert.equal(timeOf("2026-01-31T09:30:00.123999999Z"), Date.UTC(2026, 0, 31, 9, 30, 0, 123));
});

test("parseStartPosition() refuses what is no position and times that do not exist", () => {
  for (const text of [
    "",
    "beginning",
    "5m",
    "-5",
    "-5M",
    "-5w",
    "2026-02-30",
    "2026-13-01",
    "2026-01-31T24:30",
    "2026-01-31T09:60",
    "09:30",
    "2026-01-31T09:30+",
  ]) {
    assert.throws(
      () => parseStartPosition(text, NOW_MS),
      (error) => error instanceof PcaptsError && error.message.endsWith(`not "${text}"`),
      text,
    );
  }
});

test("chooseStartPosition() begins where a group left off, and at the end alone", () => {
  const choose = (
    choice: Partial<Parameters<typeof chooseStartPosition>[0]>,
  ): ReturnType<typeof chooseStartPosition> =>
    chooseStartPosition({ text: undefined, reset: undefined, inGroup: false, nowMs: 0, ...choice });
  assert.deepEqual(choose({}), { kind: "end" });
  assert.deepEqual(choose({ reset: { kind: "begin" } }), { kind: "begin" });
  assert.deepEqual(choose({ text: "end", reset: { kind: "begin" } }), { kind: "end" });
  assert.deepEqual(choose({ inGroup: true, reset: { kind: "begin" } }), { kind: "stored" });
  assert.deepEqual(choose({ inGroup: true, text: "begin" }), { kind: "begin" });
  assert.deepEqual(choose({ inGroup: true, text: "stored" }), { kind: "stored" });
  assert.throws(() => choose({ text: "stored" }), /needs a consumer group/);
  // It used to start at the end, where nothing is from before a time that is past.
  assert.deepEqual(choose({ toMicros: 5000, nowMs: 5 }), { kind: "begin" });
  assert.deepEqual(choose({ toMicros: 5001, nowMs: 5 }), { kind: "end" });
  assert.deepEqual(choose({ toMicros: 1, nowMs: 5, text: "end" }), { kind: "end" });
  assert.deepEqual(choose({ toMicros: 1, nowMs: 5, inGroup: true }), { kind: "stored" });
});
