import assert from "node:assert/strict";
import { test } from "node:test";
import { BenchUsageError } from "../../bench/arguments.ts";
import { BENCH_USAGE, parseBenchOptions } from "../../bench/options.ts";

test("parseBenchOptions() asks for five million frames and five rounds of everything by default", () => {
  const options = parseBenchOptions([]);
  assert.equal(options.frames, 5_000_000);
  assert.equal(options.rounds, 5);
  assert.equal(options.partitions, 4);
  assert.deepEqual([...options.tasks], ["publish", "read", "file"]);
  assert.equal(options.peers, undefined);
  assert.equal(options.frameBytes, undefined);
  assert.equal(options.table2, false);
});

test("parseBenchOptions() makes the second table of fewer frames unless told otherwise", () => {
  assert.equal(parseBenchOptions(["--table2"]).frames, 1_000_000);
  assert.equal(parseBenchOptions(["--table2"]).rounds, 3);
  assert.equal(parseBenchOptions(["--table2", "--frames", "20,000"]).frames, 20_000);
});

test("parseBenchOptions() leaves reading a file alone out of the second table", () => {
  assert.deepEqual([...parseBenchOptions(["--table2"]).tasks], ["publish", "read"]);
});

test("parseBenchOptions() always runs pcapts beside the chosen peers", () => {
  const options = parseBenchOptions(["--peers", "c,kcat", "--only", "read,publish"]);
  assert.deepEqual([...(options.peers ?? [])], ["pcapts", "c", "kcat"]);
});

test("parseBenchOptions() names the flag and what it expects", () => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ["--frames 0", /--frames expects a positive integer, not "0"/],
    ["--rounds two", /--rounds expects a positive integer, not "two"/],
    ["--only write", /--only expects some of publish, read, file, not "write"/],
    ["--only ,", /--only expects some of publish, read, file, not ","/],
    ["--peers rust", /--peers expects some of pcapts, .*c, .*kcat.*, not "rust"/],
    ["--only publish --peers kcat", /--peers expects some of .*, not "kcat"/],
    ["--frame-bytes 65", /--frame-bytes expects an even number from 54 to 1514, not 65/],
    ["--frame-bytes 1516", /--frame-bytes expects an even number/],
    ["--table2 --partitions 3", /--table2 has its own partitions and frame lengths/],
    ["--faster", /--faster/],
  ];
  for (const [line, reason] of refused) {
    assert.throws(
      () => parseBenchOptions(line.split(" ")),
      (error) => error instanceof BenchUsageError && reason.test(error.message),
      line,
    );
  }
});

test("the usage names every flag", () => {
  for (const flag of [
    "frames",
    "rounds",
    "only",
    "peers",
    "partitions",
    "frame-bytes",
    "table2",
    "json",
    "from",
    "docs",
    "run-limit",
    "total-limit",
  ]) {
    assert.match(BENCH_USAGE, new RegExp(`^  --${flag} `, "m"));
  }
});
