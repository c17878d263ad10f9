import type { Machine } from "./machine.ts";
import { type Task } from "./options.ts";
import type { Report, Run, Workload } from "./report.ts";
import { type Spread, spreadOf } from "./statistics.ts";

const TASK_TITLES: Readonly<Record<Task, string>> = {
  publish: "Publish a capture file",
  read: "Read a topic out as pcap",
  file: "Read a capture file, without Kafka",
};
/** Heading, figure of a run, and how it is written. */
type Column = readonly [string, (run: Run) => number, (number: number) => string];

const BROKER_COLUMN: Column = [
  "broker CPU s per million",
  (run) => (run.brokerCpuSeconds / run.frames) * 1e6,
  fixed(2),
];
const OWN = "pcapts";
/** Stands where no run counts. */
const NOTHING = "none";

/** The whole report as Markdown: what was measured on what, and the tables. */
export function formatReport(report: Report): string {
  const { environment: on } = report;
  const tasks = [...new Set(report.programs.map(({ task }) => task))];
  const facts = [
    ...machineFacts(on),
    `software: ${on.software}`,
    `broker: ${on.broker}`,
    `output of readers: ${on.output}`,
    `rounds: ${report.rounds}; ${formatCount(report.frames)} frames a run${fewerFrames(report)}`,
    ...report.absent.map(({ name, reason }) => `not run: ${name}: ${reason}`),
  ];
  const faults = report.runs.filter(({ fault }) => fault !== undefined);
  return [
    facts.map((fact) => `- ${fact}`).join("\n"),
    ...tasks.map((task) =>
      report.table === 1 ? formatTask(report, task) : formatGrid(report, task),
    ),
    ...(faults.length === 0
      ? []
      : [`Runs that do not count:\n\n${faults.map((run) => `- ${formatRun(run)}`).join("\n")}`]),
  ].join("\n\n");
}

/** What a report's heading says of the machine. */
export function machineFacts(on: Machine): string[] {
  return [
    `${on.date}, commit ${on.commit}`,
    `machine: ${on.machine}, load ${on.loadAverage.toFixed(2)} before the first run`,
    `system: ${on.system}`,
  ];
}

/** One line about one run, for following the measuring. */
export function formatRun(run: Run): string {
  const which = `${run.task} ${run.round} ${run.program}`;
  if (run.fault !== undefined) return `${which}: does not count: ${run.fault}`;
  return (
    `${which}: ${run.wallSeconds.toFixed(2)} s, ${formatCount(framesPerSecond(run))} frames/s, ` +
    `${run.cpuSeconds.toFixed(2)} s CPU (broker ${run.brokerCpuSeconds.toFixed(2)} s), ` +
    `${run.peakMegabytes.toFixed(0)} MB`
  );
}

/**
 * A Markdown table with padded columns: words to the left, figures to the right.
 * @param wordColumns how many columns, from the first, are words
 */
export function formatTable(
  heading: readonly string[],
  rows: readonly (readonly string[])[],
  wordColumns = 1,
): string {
  const widths = heading.map((cell, column) =>
    Math.max(3, cell.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, column) => pad(cells[column] ?? "", width, column < wordColumns)).join(" | ")} |`;
  const rule = widths.map((width, column) => "-".repeat(width - (column < wordColumns ? 0 : 1)));
  return [
    line(heading),
    `| ${rule.map((dashes, column) => (column < wordColumns ? dashes : `${dashes}:`)).join(" | ")} |`,
    ...rows.map(line),
  ].join("\n");
}

/** `1234567` as `1,234,567`. */
export function formatCount(number: number): string {
  return Math.round(number)
    .toString()
    .replaceAll(/\B(?=(\d{3})+$)/g, ",");
}

/** `3.50 (3.10-4.00)`: median, least and most. */
export function formatSpread(spread: Spread, format: (number: number) => string): string {
  const [median, least, most] = [spread.median, spread.least, spread.most].map(format);
  return `${median} (${least}-${most})`;
}

/**
 * A figure of pcapts divided by another program's, round by round; undefined when no round has both.
 * @param figure taken from runs that count
 * @param own the program that stands for pcapts
 */
export function ratioOf(
  runs: readonly Run[],
  other: string,
  figure: (run: Run) => number,
  own = OWN,
): Spread | undefined {
  const counting = runs.filter(({ fault }) => fault === undefined);
  const ratios = counting.flatMap((theirs) => {
    if (theirs.program !== other) return [];
    const mine = counting.find(({ program, round }) => program === own && round === theirs.round);
    return mine === undefined ? [] : [figure(mine) / figure(theirs)];
  });
  return ratios.length === 0 ? undefined : spreadOf(ratios);
}

function formatTask(report: Report, task: Task): string {
  const runs = report.runs.filter((run) => run.task === task);
  const programs = report.programs.filter((program) => program.task === task);
  const columns: readonly Column[] = [
    ["frames/s", framesPerSecond, formatCount],
    ["wall s", ({ wallSeconds }) => wallSeconds, fixed(2)],
    ["CPU s per million", cpuPerMillion, fixed(2)],
    ...(task === "file" ? [] : [BROKER_COLUMN]),
    ["peak MB", ({ peakMegabytes }) => peakMegabytes, fixed(0)],
  ];
  const figures = formatTable(
    ["program", ...columns.map(([heading]) => heading)],
    programs.map(({ name, title }) => [
      title,
      ...columns.map(([, figure, format]) => over(runs, name, figure, format)),
    ]),
  );
  const ratios = formatTable(
    ["pcapts against", "times its frames/s", "of its CPU time"],
    programs
      .filter(({ name }) => name !== OWN)
      .map(({ name, title }) => [
        title,
        ratioText(ratioOf(runs, name, framesPerSecond)),
        ratioText(ratioOf(runs, name, cpuPerMillion)),
      ]),
  );
  const settings = programs.map(({ title, settings: said }) => `- ${title}: ${said}`).join("\n");
  const workload = runs[0]?.workload;
  const title = `${TASK_TITLES[task]}${workload === undefined ? "" : `: ${formatWorkload(workload)}`}`;
  const tables = programs.length > 1 ? [figures, ratios] : [figures];
  return [`### ${title}`, ...tables, settings].join("\n\n");
}

function formatGrid(report: Report, task: Task): string {
  const programs = report.programs.filter((program) => program.task === task);
  const runs = report.runs.filter((run) => run.task === task);
  const workloads = new Map(
    runs.map((run) => [`${run.workload.partitions} ${run.workload.frameBytes}`, run.workload]),
  );
  const others = programs.filter(({ name }) => name !== OWN);
  const rows = [...workloads].map(([key, { partitions, frameBytes }]) => {
    const here = runs.filter(
      ({ workload }) => `${workload.partitions} ${workload.frameBytes}` === key,
    );
    return [
      `${partitions} × ${frameBytes ?? "mixed"}`,
      ...programs.map(({ name }) => over(here, name, framesPerSecond, formatCount)),
      ...others.map(({ name }) => ratioText(ratioOf(here, name, framesPerSecond))),
      ...others.map(({ name }) => ratioText(ratioOf(here, name, cpuPerMillion))),
    ];
  });
  const heading = [
    "partitions × bytes",
    ...programs.map(({ name }) => `${name} frames/s`),
    ...others.map(({ name }) => `speed / ${name}`),
    ...others.map(({ name }) => `CPU / ${name}`),
  ];
  const settings = programs.map(({ name, settings: said }) => `- ${name}: ${said}`).join("\n");
  return [`### ${TASK_TITLES[task]}`, formatTable(heading, rows), settings].join("\n\n");
}

/** Speed of a run. */
export function framesPerSecond(run: Run): number {
  return run.frames / run.wallSeconds;
}

function cpuPerMillion(run: Run): number {
  return (run.cpuSeconds / run.frames) * 1e6;
}

/** Spread of a figure over a program's runs that count. */
export function over(
  runs: readonly Run[],
  program: string,
  figure: (run: Run) => number,
  format: (number: number) => string,
): string {
  const numbers = runs
    .filter((run) => run.program === program && run.fault === undefined)
    .map(figure);
  return numbers.length === 0 ? NOTHING : formatSpread(spreadOf(numbers), format);
}

/** A ratio with two digits. */
export function ratioText(ratio: Spread | undefined): string {
  return ratio === undefined ? NOTHING : formatSpread(ratio, fixed(2));
}

/** `4 partitions, frames of 199 bytes on average`. */
export function formatWorkload({ partitions, averageFrameBytes }: Workload): string {
  const bytes = averageFrameBytes.toFixed(0);
  return `${partitions} partition${partitions === 1 ? "" : "s"}, frames of ${bytes} bytes on average`;
}

function fewerFrames(report: Report): string {
  const fewer = new Map(
    report.runs
      .filter((run) => run.frames !== report.frames)
      .map((run) => [`${run.program} ${run.task}`, run.frames]),
  );
  return [...fewer].map(([which, frames]) => `; ${which}: ${formatCount(frames)}`).join("");
}

/** Formats with so many digits behind the point. */
export function fixed(digits: number): (number: number) => string {
  return (number) => number.toFixed(digits);
}

function pad(cell: string, width: number, isWords: boolean): string {
  return isWords ? cell.padEnd(width) : cell.padStart(width);
}
