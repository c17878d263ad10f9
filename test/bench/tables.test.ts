import assert from "node:assert/strict";
import { test } from "node:test";
import { replaceDocsBlock } from "../../bench/docs-block.ts";
import type { Report, Run } from "../../bench/report.ts";
import {
  formatCount,
  formatReport,
  formatRun,
  formatSpread,
  formatTable,
  ratioOf,
} from "../../bench/tables.ts";

const workload = { partitions: 4, frameBytes: undefined, averageFrameBytes: 201.6 };

function run(program: string, round: number, wallSeconds: number, fault?: string): Run {
  return {
    task: "publish",
    program,
    workload,
    round,
    frames: program === "kafkajs" ? 200_000 : 1_000_000,
    wallSeconds,
    cpuSeconds: wallSeconds / 2,
    brokerCpuSeconds: 1,
    peakMegabytes: 100,
    fault,
  };
}

function reportOf(runs: readonly Run[], table: 1 | 2 = 1): Report {
  return {
    table,
    rounds: 3,
    frames: 1_000_000,
    environment: {
      date: "2026-01-31",
      commit: "abc1234",
      machine: "2 × CPU",
      system: "Linux",
      software: "Node",
      broker: "Kafka",
      output: "tmpfs",
      loadAverage: 0.1,
    },
    programs: [...new Set(runs.map(({ program }) => program))].map((name) => ({
      task: "publish",
      name,
      title: `the ${name}`,
      settings: `settings of ${name}`,
    })),
    absent: [{ name: "node-rdkafka", reason: "no compiler" }],
    runs,
  };
}

test("formatCount() groups thousands", () => {
  assert.deepEqual([0, 999, 1000, 1234567.4].map(formatCount), ["0", "999", "1,000", "1,234,567"]);
});

test("formatSpread() is the median, then least and most", () => {
  assert.equal(
    formatSpread({ median: 2, least: 1, most: 3.5 }, (number) => number.toFixed(1)),
    "2.0 (1.0-3.5)",
  );
});

test("formatTable() pads to equal widths, numbers to the right", () => {
  assert.equal(
    formatTable(
      ["program", "s"],
      [
        ["a", "1.5"],
        ["longer name", "22.5"],
      ],
    ),
    [
      "| program     |    s |",
      "| ----------- | ---: |",
      "| a           |  1.5 |",
      "| longer name | 22.5 |",
    ].join("\n"),
  );
});

test("ratioOf() divides within a round and leaves out rounds in which one does not count", () => {
  const runs = [
    run("pcapts", 1, 1),
    run("c", 1, 2),
    run("pcapts", 2, 10),
    run("c", 2, 30),
    run("pcapts", 3, 1, "lost a frame"),
    run("c", 3, 100),
  ];
  const ratio = ratioOf(runs, "c", ({ wallSeconds }) => wallSeconds);
  assert.deepEqual(ratio, { median: (1 / 2 + 1 / 3) / 2, least: 1 / 3, most: 1 / 2 });
  assert.equal(
    ratioOf(runs, "kcat", ({ wallSeconds }) => wallSeconds),
    undefined,
  );
});

test("formatReport() says machine, settings, absent programs, fewer frames and the ratios", () => {
  const text = formatReport(
    reportOf([run("pcapts", 1, 1), run("c", 1, 2), run("kafkajs", 1, 4), run("c", 2, 1, "exit 1")]),
  );
  assert.match(text, /^- 2026-01-31, commit abc1234$/m);
  assert.match(text, /^- not run: node-rdkafka: no compiler$/m);
  assert.match(text, /1,000,000 frames a run; kafkajs publish: 200,000$/m);
  assert.match(text, /^### .*: 4 partitions, frames of 202 bytes on average$/m);
  assert.match(text, /^\| the pcapts +\| 1,000,000 \(1,000,000-1,000,000\) \|/m);
  // Twenty times: five times fewer frames in four times the time.
  assert.match(text, /^\| the kafkajs +\| 20\.00 \(20\.00-20\.00\) \|/m);
  assert.match(text, /^- the c: settings of c$/m);
  assert.match(text, /Runs that do not count:\n\n- publish 2 c: does not count: exit 1$/);
});

test("formatReport() of the second table has a row for each workload", () => {
  const wide = { partitions: 64, frameBytes: 1400, averageFrameBytes: 1400 };
  const runs = [run("pcapts", 1, 1), run("c", 1, 2)];
  const text = formatReport(
    reportOf([...runs, ...runs.map((one) => ({ ...one, workload: wide }))], 2),
  );
  assert.match(text, /^\| 4 × mixed +\|.*\| 2\.00 \(2\.00-2\.00\) \|/m);
  assert.match(text, /^\| 64 × 1400 +\|/m);
  assert.match(text, /speed \/ c/);
});

test("formatReport() of programs without a run that counts says none", () => {
  assert.match(
    formatReport(reportOf([run("pcapts", 1, 1, "exit 1")])),
    /\| the pcapts +\| +none \|/,
  );
});

test("formatRun() is one line", () => {
  assert.equal(
    formatRun(run("c", 2, 2)),
    "publish 2 c: 2.00 s, 500,000 frames/s, 1.00 s CPU (broker 1.00 s), 100 MB",
  );
});

test("replaceDocsBlock() leaves what stands outside the marks, and can be repeated", () => {
  const document = "a\n<!-- table 1: begin -->\nold\n<!-- table 1: end -->\nb\n";
  const once = replaceDocsBlock(document, "table 1", "new\n");
  assert.equal(once, "a\n<!-- table 1: begin -->\n\nnew\n\n<!-- table 1: end -->\nb\n");
  assert.equal(replaceDocsBlock(once, "table 1", "new"), once);
  assert.throws(() => replaceDocsBlock(document, "table 2", "new"), /table 2: begin/);
});
