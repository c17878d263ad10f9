import assert from "node:assert/strict";
import { test } from "node:test";
import type { BrokersReport } from "../../../bench/brokers/report.ts";
import { formatBrokersReport, formatRestart } from "../../../bench/brokers/tables.ts";
import type { Run } from "../../../bench/report.ts";

const workload = { partitions: 4, frameBytes: undefined, averageFrameBytes: 199 };

function run(task: Run["task"], broker: string, round: number, wallSeconds: number): Run {
  return {
    task,
    program: broker,
    workload,
    round,
    frames: 1_000_000,
    wallSeconds,
    cpuSeconds: 1,
    brokerCpuSeconds: broker === "kafka" ? 3 : 1,
    peakMegabytes: 100,
    fault: undefined,
  };
}

const report: BrokersReport = {
  rounds: 2,
  frames: 1_000_000,
  environment: {
    date: "2026-01-31",
    commit: "abc1234",
    machine: "2 × CPU",
    system: "Linux",
    loadAverage: 0.1,
    software: "Node",
    output: "tmpfs",
  },
  brokers: [
    { name: "embedded", settings: "its defaults", peakMegabytes: 123.4 },
    { name: "kafka", settings: "one node", peakMegabytes: 1234.5 },
  ],
  runs: [
    run("publish", "embedded", 1, 1),
    run("publish", "kafka", 1, 2),
    run("publish", "embedded", 2, 4),
    run("publish", "kafka", 2, 4),
    run("read", "embedded", 1, 1),
    { ...run("read", "kafka", 1, 1), fault: "exit status 1" },
  ],
  restarts: [
    { broker: "embedded", round: 1, dataBytes: 0, readyMs: 100 },
    { broker: "embedded", round: 2, dataBytes: 0, readyMs: 300 },
    { broker: "embedded", round: 1, dataBytes: 5.1e9, readyMs: 900 },
    { broker: "kafka", round: 1, dataBytes: 0, readyMs: 4000 },
  ],
  largeLogs: [
    { broker: "embedded", dataBytes: 5.1e9, publishingMegabytes: 130, readingMegabytes: 140 },
  ],
};

/** Cells behind the first of each row that begins with it. */
function rowsOf(text: string, begin: string): string[][] {
  return text
    .split("\n")
    .map((line) => line.split("|").map((cell) => cell.trim()))
    .filter((cells) => cells[1] === begin)
    .map((cells) => cells.slice(2, -1));
}

test("formatBrokersReport() compares publishing and reading within a round", () => {
  const text = formatBrokersReport(report);
  const [publish, read] = rowsOf(text, "embedded broker");
  assert.equal(publish?.[0], "625,000 (250,000-1,000,000)");
  assert.equal(read?.[0], "1,000,000 (1,000,000-1,000,000)");
  const [, againstPublish, , againstRead] = rowsOf(text, "Kafka");
  // Twice as fast, then the same; 2 of 4 seconds.
  assert.deepEqual(againstPublish, ["1.50 (1.00-2.00)", "0.50 (0.50-0.50)"]);
  assert.deepEqual(againstRead, ["none", "none"]);
  assert.match(text, /^### pcapts publishes a capture file: 4 partitions, frames of 199 bytes/m);
  assert.match(text, /Runs that do not count:\n\n- read 1 kafka: does not count: exit status 1$/);
});

test("formatBrokersReport() has memory and starts of each broker, with data and without", () => {
  const text = formatBrokersReport(report);
  assert.deepEqual(rowsOf(text, "embedded broker").at(-1), [
    "123",
    "130",
    "140",
    "200 (100-300)",
    "900 (900-900)",
  ]);
  assert.deepEqual(rowsOf(text, "Kafka").at(-1), [
    "1235",
    "none",
    "none",
    "4,000 (4,000-4,000)",
    "none",
  ]);
  assert.match(text, /peak MB, 5\.1 GB published/);
});

test("formatRestart() is one line", () => {
  assert.equal(
    formatRestart({ broker: "embedded", round: 2, dataBytes: 5.1e9, readyMs: 812.3 }),
    "start 2 embedded: ready after 812 ms with 5.1 GB",
  );
});
