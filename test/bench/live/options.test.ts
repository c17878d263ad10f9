import assert from "node:assert/strict";
import { test } from "node:test";
import { BenchUsageError } from "../../../bench/arguments.ts";
import {
  LIVE_PROGRAM_NAMES,
  LIVE_USAGE,
  formatRate,
  framesAt,
  parseLiveOptions,
} from "../../../bench/live/options.ts";
import { LIVE_PROGRAMS } from "../../../bench/live/programs.ts";

test("parseLiveOptions() asks for a million frames at five rates and everything by default", () => {
  const options = parseLiveOptions([]);
  assert.equal(options.frames, 1_000_000);
  assert.equal(options.rounds, 3);
  assert.equal(options.partitions, 4);
  assert.deepEqual(options.rates, [10_000, 100_000, 200_000, 400_000, undefined]);
  assert.deepEqual([...options.tasks], ["frames", "pauses", "delay"]);
  assert.deepEqual([...options.programs], LIVE_PROGRAM_NAMES);
});

test("parseLiveOptions() names the flag and what it expects", () => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ["--frames none", /--frames expects a positive integer, not "none"/],
    ["--rates 100,fast", /--rates expects a positive integer, not "fast"/],
    ["--rates ,", /--rates expects frames a second or "top", not ","/],
    ["--only loss", /--only expects some of frames, pauses, delay, not "loss"/],
    ["--programs rust", /--programs expects some of pcapts, .*, not "rust"/],
    ["--faster", /--faster/],
  ];
  for (const [line, reason] of refused) {
    assert.throws(
      () => parseLiveOptions(line.split(" ")),
      (error) => error instanceof BenchUsageError && reason.test(error.message),
      line,
    );
  }
});

test("framesAt() sends for five seconds at most, unless at top speed", () => {
  assert.equal(framesAt(10_000, 1_000_000), 50_000);
  assert.equal(framesAt(400_000, 1_000_000), 1_000_000);
  assert.equal(framesAt(undefined, 1_000_000), 1_000_000);
});

test("formatRate() says a rate and its absence", () => {
  assert.equal(formatRate(100_000), "100,000/s");
  assert.equal(formatRate(undefined), "top speed");
});

test("every program that can be chosen is there, and the usage names every flag", () => {
  assert.deepEqual(
    LIVE_PROGRAMS.map(({ name }) => name),
    LIVE_PROGRAM_NAMES,
  );
  const flags = ["frames", "rounds", "only", "programs", "rates", "partitions", "seconds"].concat([
    "json",
    "from",
    "docs",
    "run-limit",
  ]);
  for (const flag of flags) assert.match(LIVE_USAGE, new RegExp(`^  --${flag} `, "m"));
});
