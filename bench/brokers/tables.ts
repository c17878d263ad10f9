import type { BrokerName } from "../bench-broker.ts";
import type { Task } from "../options.ts";
import type { Run } from "../report.ts";
import { spreadOf } from "../statistics.ts";
import {
  fixed,
  formatCount,
  formatRun,
  formatSpread,
  formatTable,
  formatWorkload,
  framesPerSecond,
  machineFacts,
  over,
  ratioOf,
  ratioText,
} from "../tables.ts";
import type { BrokersReport, Restart } from "./report.ts";

const TITLES: Readonly<Record<BrokerName, string>> = {
  embedded: "embedded broker",
  kafka: "Kafka",
};
/** What goes through a broker. */
type BrokerTask = Exclude<Task, "file">;

const TASK_TITLES: Readonly<Record<BrokerTask, string>> = {
  publish: "pcapts publishes a capture file",
  read: "pcapts reads a topic out as pcap",
};
/** Stands where nothing was measured. */
const NOTHING = "none";

/** The whole report as Markdown. */
export function formatBrokersReport(report: BrokersReport): string {
  const { environment: on, runs } = report;
  const facts = [
    ...machineFacts(on),
    `software: ${on.software}`,
    ...report.brokers.map(({ settings }) => `broker: ${settings}`),
    `output of readers: ${on.output}`,
    `rounds: ${report.rounds}; ${formatCount(report.frames)} frames a run`,
  ];
  const faults = runs.filter(({ fault }) => fault !== undefined);
  return [
    facts.map((fact) => `- ${fact}`).join("\n"),
    ...(["publish", "read"] as const).map((task) => formatTask(report, task)),
    formatProcesses(report),
    ...(faults.length === 0
      ? []
      : [`Runs that do not count:\n\n${faults.map((run) => `- ${formatRun(run)}`).join("\n")}`]),
  ].join("\n\n");
}

/** One line about one start, for following the measuring. */
export function formatRestart({ broker, round, dataBytes, readyMs }: Restart): string {
  return `start ${round} ${broker}: ready after ${readyMs.toFixed(0)} ms with ${gigabytes(dataBytes)} GB`;
}

function formatTask(report: BrokersReport, task: BrokerTask): string {
  const runs = report.runs.filter((run) => run.task === task);
  const figures = formatTable(
    ["broker", "frames/s", "wall s", "CPU s per million", "broker CPU s per million"],
    report.brokers.map(({ name }) => [
      TITLES[name],
      over(runs, name, framesPerSecond, formatCount),
      over(runs, name, ({ wallSeconds }) => wallSeconds, fixed(2)),
      over(runs, name, (run) => (run.cpuSeconds / run.frames) * 1e6, fixed(2)),
      over(runs, name, (run) => (run.brokerCpuSeconds / run.frames) * 1e6, fixed(2)),
    ]),
  );
  const speed = ratioOf(runs, "kafka", framesPerSecond, "embedded");
  const cpu = ratioOf(runs, "kafka", allCpuPerMillion, "embedded");
  const ratios = formatTable(
    ["embedded broker against", "times its frames/s", "of the CPU time, both processes"],
    [[TITLES.kafka, ratioText(speed), ratioText(cpu)]],
  );
  const workload = runs[0]?.workload;
  const title = `${TASK_TITLES[task]}${workload === undefined ? "" : `: ${formatWorkload(workload)}`}`;
  return [`### ${title}`, figures, ratios].join("\n\n");
}

function formatProcesses({ brokers, restarts, largeLogs }: BrokersReport): string {
  const size = gigabytes(Math.max(0, ...largeLogs.map(({ dataBytes }) => dataBytes)));
  const rows = brokers.map(({ name, peakMegabytes }) => {
    const large = largeLogs.find(({ broker }) => broker === name);
    return [
      TITLES[name],
      peakMegabytes.toFixed(0),
      large?.publishingMegabytes.toFixed(0) ?? NOTHING,
      large?.readingMegabytes.toFixed(0) ?? NOTHING,
      readyTimes(restarts, name, false),
      readyTimes(restarts, name, true),
    ];
  });
  const heading = [
    "broker",
    "peak MB in the tables above",
    `peak MB, ${size} GB published`,
    `peak MB, ${size} GB read after a start`,
    "ready ms, no topics",
    `ready ms, ${size} GB, after kill -9`,
  ];
  return ["### The broker's process", formatTable(heading, rows)].join("\n\n");
}

function readyTimes(restarts: readonly Restart[], name: BrokerName, withData: boolean): string {
  const times = restarts
    .filter(({ broker, dataBytes }) => broker === name && dataBytes > 0 === withData)
    .map(({ readyMs }) => readyMs);
  return times.length === 0 ? NOTHING : formatSpread(spreadOf(times), formatCount);
}

function allCpuPerMillion(run: Run): number {
  return ((run.cpuSeconds + run.brokerCpuSeconds) / run.frames) * 1e6;
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(1);
}
