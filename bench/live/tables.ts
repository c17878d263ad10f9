import { type Spread, spreadOf } from "../statistics.ts";
import { formatCount, formatSpread, formatTable, machineFacts } from "../tables.ts";
import { formatRate } from "./options.ts";
import type { DelayRun, LiveReport, LiveRun, PauseRun } from "./report.ts";

/** What the others' CPU time is compared with. */
const COMPARED = "c";
/** Stands where no run counts, or a program does not know. */
const NOTHING = "none";
const UNKNOWN = "unknown";

/** The whole report as Markdown. */
export function formatLiveReport(report: LiveReport): string {
  const { environment: on, runs, pauses, delays } = report;
  const facts = [
    ...machineFacts(on),
    `software: ${on.software}`,
    `broker: ${on.broker}; a fresh topic of ${report.partitions} partitions for each run, made before it`,
    `sender: ${on.sender}`,
    `rounds: ${report.rounds}`,
    ...(runs.length === 0 ? [] : [`processors busy just before a run: ${busyBefore(runs)}`]),
  ];
  const faults = runs.filter(({ fault }) => fault !== undefined);
  const sections = [
    facts.map((fact) => `- ${fact}`).join("\n"),
    ...(runs.length === 0 ? [] : [formatFrames(report)]),
    ...(pauses.length === 0 ? [] : [formatPauses(report)]),
    ...(delays.length === 0 ? [] : [formatDelays(report)]),
    report.programs.map(({ title, settings }) => `- ${title}: ${settings}`).join("\n"),
  ];
  if (faults.length > 0) {
    const lines = faults.map((run) => `- ${formatLiveRun(run)}`).join("\n");
    sections.push(`Runs that do not count:\n\n${lines}`);
  }
  return sections.join("\n\n");
}

/** One line about one run, for following the measuring. */
export function formatLiveRun(run: LiveRun): string {
  const which = `${formatRate(run.rate ?? undefined)} ${run.round} ${run.program}`;
  if (run.fault !== undefined) return `${which}: does not count: ${run.fault}`;
  const missing = run.sent - run.arrived;
  return (
    `${which}: sent ${formatCount(run.sent)} at ${formatCount(run.sentPerSecond)}/s, ` +
    `in Kafka ${formatCount(run.stored)} (lost ${lostPercent(run).toFixed(2)} %), ` +
    `dropped by the kernel ${run.droppedByKernel ?? UNKNOWN}, ` +
    (missing === 0 ? "" : `${formatCount(missing)} did not reach the interface, `) +
    `${run.cpuSeconds.toFixed(2)} s CPU (broker ${run.brokerCpuSeconds.toFixed(2)} s), ` +
    `${run.peakMegabytes.toFixed(0)} MB, machine ${percent(run.busyBefore)} busy before`
  );
}

/** One line about pauses. */
export function formatPauseRun(run: PauseRun): string {
  return (
    `pauses ${run.round} ${run.program}: 99 % below ${run.p99Ms.toFixed(1)} ms, longest ` +
    `${run.maxMs.toFixed(1)} ms, ${formatCount(run.stored)} of ${formatCount(run.sent)} frames in Kafka`
  );
}

/** One line about delays. */
export function formatDelayRun(run: DelayRun): string {
  return (
    `delay ${run.round} ${run.program}, ${describeCase(run)}: half below ${run.p50Ms.toFixed(1)} ms, ` +
    `99 % below ${run.p99Ms.toFixed(1)} ms, longest ${run.maxMs.toFixed(1)} ms, ` +
    `${formatCount(run.frames)} of ${formatCount(run.sent)} frames, ` +
    `the sender at most ${run.senderLatestMs.toFixed(1)} ms late`
  );
}

/** `in order, one flow`. */
function describeCase({ consumer, flows }: DelayRun): string {
  return `${consumer === "" ? "in order" : consumer}, ${flows === 1 ? "one flow" : `${flows} flows`}`;
}

function formatFrames({ runs, programs }: LiveReport): string {
  const counting = runs.filter(({ fault }) => fault === undefined);
  const rates = [...new Set(runs.map(({ rate }) => rate))];
  const rows = rates.flatMap((rate) =>
    programs
      .filter(({ name }) => runs.some((run) => run.rate === rate && run.program === name))
      .map(({ name, title }) => {
        const these = counting.filter((run) => run.rate === rate && run.program === name);
        const figure = (of: (run: LiveRun) => number, digits: number): string =>
          spreadText(these.map(of), digits);
        return [
          formatRate(rate ?? undefined),
          title,
          figure(({ sentPerSecond }) => sentPerSecond, 0),
          figure(({ sent }) => sent, 0),
          figure(({ stored }) => stored, 0),
          dropsText(these),
          figure(lostPercent, 2),
          figure(({ cpuSeconds }) => cpuSeconds, 2),
          name === COMPARED ? "1" : ratioText(counting, rate, name),
          figure(({ peakMegabytes }) => peakMegabytes, 0),
        ];
      }),
  );
  const heading = ["asked for", "program", "frames/s reached", "sent", "in Kafka"].concat([
    "dropped by the kernel",
    "lost %",
    "CPU s",
    "CPU / C's",
    "peak MB",
  ]);
  const missing = counting.reduce((sum, run) => sum + run.sent - run.arrived, 0);
  return [
    "### Frames that arrive in Kafka",
    formatTable(heading, rows, 2),
    ...(missing === 0
      ? []
      : [`${formatCount(missing)} frames of all runs did not reach the interface.`]),
    ...uncountedLosses(counting),
  ].join("\n\n");
}

function formatPauses({ pauses, pauseRate, programs }: LiveReport): string {
  const rows = programs.flatMap(({ name, title }) => {
    const these = pauses.filter(({ program }) => program === name);
    if (these.length === 0) return [];
    return [
      [
        title,
        spreadText(
          these.map(({ sent }) => sent),
          0,
        ),
        spreadText(
          these.map(({ stored }) => stored),
          0,
        ),
        spreadText(
          these.map(({ p99Ms }) => p99Ms),
          1,
        ),
        spreadText(
          these.map(({ maxMs }) => maxMs),
          1,
        ),
      ],
    ];
  });
  return [
    `### Pauses of the event loop at ${formatRate(pauseRate)}`,
    formatTable(["program", "sent", "in Kafka", "99 % below, ms", "longest, ms"], rows),
  ].join("\n\n");
}

function formatDelays({ delays, delayRate, programs }: LiveReport): string {
  const cases = [...new Set(delays.map(describeCase))].toSorted();
  const rows = programs.flatMap(({ name, title }) =>
    cases.flatMap((which) => {
      const these = delays.filter((run) => run.program === name && describeCase(run) === which);
      if (these.length === 0) return [];
      const figure = (of: (run: DelayRun) => number, digits: number): string =>
        spreadText(these.map(of), digits);
      return [
        [
          title,
          which,
          figure(({ sent }) => sent, 0),
          figure(({ frames }) => frames, 0),
          figure(({ p50Ms }) => p50Ms, 1),
          figure(({ p99Ms }) => p99Ms, 1),
          figure(({ maxMs }) => maxMs, 1),
          figure(({ senderLatestMs }) => senderLatestMs, 1),
        ],
      ];
    }),
  );
  const heading = ["program", "consumer", "sent", "came out", "half below, ms"].concat([
    "99 % below, ms",
    "longest, ms",
    "sender late at most, ms",
  ]);
  return [
    `### From the interface to a consumer's output at ${formatRate(delayRate)}`,
    formatTable(heading, rows, 2),
  ].join("\n\n");
}

function lostPercent({ sent, stored }: LiveRun): number {
  return ((sent - stored) / sent) * 100;
}

function dropsText(runs: readonly LiveRun[]): string {
  const known = runs.flatMap(({ droppedByKernel }) => droppedByKernel ?? []);
  return runs.length > 0 && known.length === 0 ? UNKNOWN : spreadText(known, 0);
}

/** Frames that a program with counts lost and did not count: a line for each such run. */
function uncountedLosses(runs: readonly LiveRun[]): string[] {
  return runs.flatMap(({ program, rate, round, arrived, stored, droppedByKernel }) => {
    const uncounted = droppedByKernel === null ? 0 : arrived - stored - droppedByKernel;
    if (uncounted === 0) return [];
    const which = `${program} at ${formatRate(rate ?? undefined)}, round ${round}`;
    return [`${which}: ${formatCount(uncounted)} frames are missing that no count explains.`];
  });
}

/** CPU time divided by the C program's, round by round. */
function ratioText(runs: readonly LiveRun[], rate: number | null, name: string): string {
  const at = runs.filter((run) => run.rate === rate);
  const ratios = at.flatMap((mine) => {
    if (mine.program !== name) return [];
    const theirs = at.find(({ program, round }) => program === COMPARED && round === mine.round);
    return theirs === undefined ? [] : [mine.cpuSeconds / theirs.cpuSeconds];
  });
  return spreadText(ratios, 2);
}

/** The median, and least and most where they differ. */
function spreadText(numbers: readonly number[], digits: number): string {
  if (numbers.length === 0) return NOTHING;
  const format = (number: number): string =>
    digits === 0 ? formatCount(number) : number.toFixed(digits);
  const spread: Spread = spreadOf(numbers);
  if (format(spread.least) === format(spread.most)) return format(spread.median);
  return formatSpread(spread, format);
}

function busyBefore(runs: readonly LiveRun[]): string {
  return formatSpread(spreadOf(runs.map((run) => run.busyBefore)), percent);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}
