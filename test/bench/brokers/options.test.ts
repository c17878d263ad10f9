import assert from "node:assert/strict";
import { test } from "node:test";
import { BenchUsageError } from "../../../bench/arguments.ts";
import { BROKERS_USAGE, parseBrokersOptions } from "../../../bench/brokers/options.ts";

test("parseBrokersOptions() asks for five million frames, five rounds and five gigabytes by default", () => {
  const options = parseBrokersOptions([]);
  assert.equal(options.frames, 5_000_000);
  assert.equal(options.rounds, 5);
  assert.equal(options.partitions, 4);
  assert.equal(options.gigabytes, 5);
});

test("parseBrokersOptions() names the flag and what it expects", () => {
  for (const [line, reason] of [
    ["--frames none", /--frames expects a positive integer, not "none"/],
    ["--gigabytes 0", /--gigabytes expects a positive integer, not "0"/],
    ["--faster", /--faster/],
  ] as const) {
    assert.throws(
      () => parseBrokersOptions(line.split(" ")),
      (error) => error instanceof BenchUsageError && reason.test(error.message),
      line,
    );
  }
});

test("the usage names every flag", () => {
  const flags = ["frames", "rounds", "partitions", "gigabytes", "json", "from", "docs"];
  for (const flag of [...flags, "run-limit"]) {
    assert.match(BROKERS_USAGE, new RegExp(`^  --${flag} `, "m"));
  }
});
