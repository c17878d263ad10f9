import assert from "node:assert/strict";
import { test } from "node:test";
import type { LiveReport, LiveRun } from "../../../bench/live/report.ts";
import {
  formatDelayRun,
  formatLiveReport,
  formatLiveRun,
  formatPauseRun,
} from "../../../bench/live/tables.ts";

function run(program: string, round: number, differing: Partial<LiveRun> = {}): LiveRun {
  return {
    program,
    rate: null,
    round,
    sent: 1_000_000,
    sentPerSecond: 650_000,
    arrived: 1_000_000,
    stored: 1_000_000,
    droppedByKernel: 0,
    cpuSeconds: 1,
    brokerCpuSeconds: 1,
    peakMegabytes: 100,
    busyBefore: 0.02,
    ...differing,
  };
}

const pause = { program: "pcapts", round: 1, sent: 100, stored: 99, p99Ms: 1.25, maxMs: 7 };
const delay = {
  program: "pcapts",
  consumer: "",
  flows: 256,
  round: 1,
  sent: 100,
  frames: 100,
  p50Ms: 4,
  p99Ms: 12.34,
  maxMs: 30,
  senderLatestMs: 0.5,
};

function reportOf(runs: readonly LiveRun[]): LiveReport {
  return {
    rounds: 2,
    frames: 1_000_000,
    partitions: 4,
    environment: {
      date: "2026-01-31",
      commit: "abc1234",
      machine: "2 × CPU",
      system: "Linux",
      loadAverage: 0.1,
      software: "Node",
      broker: "Kafka",
      sender: "tcpreplay",
    },
    programs: ["pcapts", "c", "cap-kafkajs"].map((name) => ({
      name,
      title: `the ${name}`,
      settings: `settings of ${name}`,
    })),
    runs,
    pauseRate: 100_000,
    pauses: [pause],
    delayRate: 10_000,
    delays: [delay, { ...delay, consumer: "--unordered", flows: 1, p50Ms: 3 }],
  };
}

/** Cells of the first row that begins with these. */
function rowOf(text: string, ...begin: string[]): string[] {
  const rows = text.split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
  const row = rows.find((cells) => begin.every((cell, index) => cells[index + 1] === cell));
  assert.ok(row !== undefined, begin.join(" "));
  return row.slice(1 + begin.length, -1);
}

test("formatLiveReport() has a row for each rate and program, compared with C within a round", () => {
  const text = formatLiveReport(
    reportOf([
      run("pcapts", 1, { cpuSeconds: 1 }),
      run("c", 1, { cpuSeconds: 2 }),
      run("pcapts", 2, { cpuSeconds: 6, stored: 900_000, droppedByKernel: 100_000 }),
      run("c", 2, { cpuSeconds: 4 }),
      run("pcapts", 1, { rate: 10_000, sent: 50_000, arrived: 50_000, stored: 50_000 }),
      run("cap-kafkajs", 1, { droppedByKernel: null }),
    ]),
  );
  assert.deepEqual(rowOf(text, "top speed", "the pcapts"), [
    "650,000",
    "1,000,000",
    "950,000 (900,000-1,000,000)",
    "50,000 (0-100,000)",
    "5.00 (0.00-10.00)",
    "3.50 (1.00-6.00)",
    "1.00 (0.50-1.50)",
    "100",
  ]);
  assert.deepEqual(rowOf(text, "10,000/s", "the pcapts").slice(1, 3), ["50,000", "50,000"]);
  assert.equal(rowOf(text, "10,000/s", "the pcapts")[6], "none");
  assert.equal(rowOf(text, "top speed", "the cap-kafkajs")[3], "unknown");
  assert.deepEqual(rowOf(text, "the pcapts"), ["100", "99", "1.3", "7.0"]);
  assert.match(text, /^### From the interface to a consumer's output at 10,000\/s$/m);
  const consumers = ["in order, 256 flows", "--unordered, one flow"];
  assert.deepEqual(
    consumers.map((consumer) => rowOf(text, "the pcapts", consumer)[2]),
    ["4.0", "3.0"],
  );
  assert.match(text, /^- processors busy just before a run: 2 % /m);
  assert.match(text, /^- the c: settings of c$/m);
  assert.doesNotMatch(text, /did not reach|do not count|no count explains/);
});

test("formatLiveReport() leaves out what failed and says it, and what never reached the interface", () => {
  const text = formatLiveReport(
    reportOf([
      run("c", 1, { arrived: 999_000, stored: 999_000 }),
      run("c", 2, { stored: 3, fault: "exit status 1" }),
    ]),
  );
  assert.deepEqual(rowOf(text, "top speed", "the c").slice(1, 3), ["1,000,000", "999,000"]);
  assert.match(text, /^1,000 frames of all runs did not reach the interface\.$/m);
  assert.match(text, /^- top speed 2 c: does not count: exit status 1$/m);
});

test("formatLiveReport() names runs that lost frames without a count", () => {
  const lossy = { stored: 990_000, droppedByKernel: 9_000 };
  const text = formatLiveReport(
    reportOf([run("c", 2, lossy), run("cap-kafkajs", 1, { ...lossy, droppedByKernel: null })]),
  );
  assert.deepEqual(text.match(/^.*no count explains\.$/gm), [
    "c at top speed, round 2: 1,000 frames are missing that no count explains.",
  ]);
});

test("formatLiveRun() and its neighbours are one line", () => {
  assert.equal(
    formatLiveRun(run("c", 1, { arrived: 999_000, stored: 500_000, droppedByKernel: null })),
    "top speed 1 c: sent 1,000,000 at 650,000/s, in Kafka 500,000 (lost 50.00 %), dropped by the kernel " +
      "unknown, 1,000 did not reach the interface, 1.00 s CPU (broker 1.00 s), 100 MB, machine 2 % busy before",
  );
  assert.match(formatPauseRun(pause), /^pauses 1 pcapts: 99 % below 1\.3 ms, longest 7\.0 ms/);
  assert.match(
    formatDelayRun(delay),
    /pcapts, in order, 256 flows: half below 4\.0 ms, 99 % below 12\.3 ms, longest 30\.0 ms/,
  );
});
