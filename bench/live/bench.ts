// Live capture beside its peers in one run: npm run bench:live -- --help
//
// tcpreplay sends from a network namespace of its own into a veth pair, a program captures at the other
// end and publishes. Each program is a process of its own, measured from start to end by the kernel's
// account of it; programs take turns at each rate.
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { BenchUsageError } from "../arguments.ts";
import { BenchBroker } from "../bench-broker.ts";
import { writeDocsBlock } from "../docs-block.ts";
import { atEnd } from "../life.ts";
import { describeMachine } from "../machine.ts";
import { compilePeers } from "../peers.ts";
import { inTurn } from "../statistics.ts";
import { type LiveBench, runCapture } from "./capture-run.ts";
import { DELAY_CASES, DELAY_RATE, measureDelay } from "./delay.ts";
import { LIVE_USAGE, type LiveOptions, type Rate, framesAt, parseLiveOptions } from "./options.ts";
import { PAUSE_RATE, measurePauses } from "./pauses.ts";
import { LIVE_C_PEERS, LIVE_PROGRAMS, type LiveProgram, liveLibraryVersions } from "./programs.ts";
import { type DelayRun, type LiveReport, type LiveRun, type PauseRun, keptRate } from "./report.ts";
import { formatDelayRun, formatLiveReport, formatLiveRun, formatPauseRun } from "./tables.ts";
import { FRAME_BYTES, TCPREPLAY_SETTINGS, Traffic } from "./traffic.ts";

/** The broker's JVM compiles what it meets often, whoever it comes from. */
const WARM_UP = { rate: 100_000, frames: 200_000 };
const WARM_UP_SECONDS = 5;

let options: LiveOptions;
try {
  options = parseLiveOptions(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof BenchUsageError)) throw error;
  console.error(`bench: ${error.message}\n\n${LIVE_USAGE}`);
  process.exit(2);
}
if (options.help) {
  console.log(LIVE_USAGE);
} else {
  const report =
    options.fromFile === undefined
      ? await measureAll(options)
      : (JSON.parse(fs.readFileSync(options.fromFile, "utf8")) as LiveReport);
  publishReport(report, options);
}

async function measureAll(wanted: LiveOptions): Promise<LiveReport> {
  const machine = describeMachine();
  compilePeers(LIVE_C_PEERS);
  const programs = LIVE_PROGRAMS.filter(({ name }) => wanted.programs.has(name));
  const scratch = fs.mkdtempSync(path.join(tmpdir(), "pcapts-bench-live-"));
  const cleanUp = (): void => fs.rmSync(scratch, { recursive: true, force: true });
  atEnd(cleanUp);
  let traffic: Traffic | undefined;
  let broker: BenchBroker | undefined;
  try {
    traffic = await Traffic.create(scratch);
    broker = await BenchBroker.start();
    const bench: LiveBench = { ...wanted, broker, traffic, scratch };
    console.log("warming up");
    for (const program of programs) {
      console.log(formatLiveRun(await measureFrames(bench, program, WARM_UP, 0)));
    }
    if (wanted.tasks.has("delay")) {
      for (const program of ownOf(programs)) {
        console.log(
          formatDelayRun(await measureDelay(bench, program, DELAY_CASES[0]!, WARM_UP_SECONDS, 0)),
        );
      }
    }
    const { runs, pauses, delays } = await measureRounds(bench, programs, wanted);
    return {
      rounds: wanted.rounds,
      frames: wanted.frames,
      partitions: wanted.partitions,
      environment: {
        ...machine,
        software: liveLibraryVersions(tcpreplayVersion()),
        broker: broker.describe(),
        sender: `tcpreplay, frames of ${FRAME_BYTES} bytes, ${TCPREPLAY_SETTINGS}`,
      },
      programs: programs.map(({ name, title, settings }) => ({ name, title, settings })),
      runs,
      pauseRate: PAUSE_RATE,
      pauses,
      delayRate: DELAY_RATE,
      delays,
    };
  } finally {
    await traffic?.remove();
    await broker?.remove();
    cleanUp();
  }
}

async function measureRounds(
  bench: LiveBench,
  programs: readonly LiveProgram[],
  { rounds, rates, tasks, frames, seconds }: LiveOptions,
): Promise<{ runs: LiveRun[]; pauses: PauseRun[]; delays: DelayRun[] }> {
  const [runs, pauses, delays]: [LiveRun[], PauseRun[], DelayRun[]] = [[], [], []];
  for (let round = 1; round <= rounds; round++) {
    for (const rate of tasks.has("frames") ? rates : []) {
      const load = { rate, frames: framesAt(rate, frames) };
      for (const program of inTurn(programs, round)) {
        runs.push(told(await measureFrames(bench, program, load, round), formatLiveRun));
      }
    }
    for (const program of inTurn(ownOf(programs), round)) {
      if (tasks.has("pauses")) {
        pauses.push(told(await measurePauses(bench, program, seconds, round), formatPauseRun));
      }
      for (const of of tasks.has("delay") ? inTurn(DELAY_CASES, round) : []) {
        delays.push(told(await measureDelay(bench, program, of, seconds, round), formatDelayRun));
      }
    }
  }
  return { runs, pauses, delays };
}

function ownOf(programs: readonly LiveProgram[]): LiveProgram[] {
  return programs.filter(({ name }) => name.startsWith("pcapts"));
}

async function measureFrames(
  bench: LiveBench,
  program: LiveProgram,
  { rate, frames }: { readonly rate: Rate; readonly frames: number },
  round: number,
): Promise<LiveRun> {
  const result = await runCapture(bench, program, frames, () => bench.traffic.replay(frames, rate));
  const { sent, cost } = result;
  return {
    program: program.name,
    rate: keptRate(rate),
    round,
    sent: sent.frames,
    sentPerSecond: sent.framesPerSecond,
    arrived: result.arrived,
    stored: result.stored,
    droppedByKernel: result.droppedByKernel ?? null,
    cpuSeconds: cost.cpuSeconds,
    brokerCpuSeconds: result.brokerCpuSeconds,
    peakMegabytes: cost.peakMegabytes,
    busyBefore: result.busyBefore,
    fault: result.fault,
  };
}

function publishReport(report: LiveReport, { jsonFile, docs }: LiveOptions): void {
  const text = formatLiveReport(report);
  console.log(`\n${text}`);
  if (jsonFile !== undefined) fs.writeFileSync(jsonFile, `${JSON.stringify(report, null, 2)}\n`);
  if (report.runs.some(({ fault }) => fault !== undefined)) process.exitCode = 1;
  if (!docs) return;
  if (process.exitCode === 1) {
    console.error("bench: docs/live-benchmarks.md stays as it is, because not every run counts");
    return;
  }
  writeDocsBlock("live", text);
}

function told<Run>(run: Run, format: (run: Run) => string): Run {
  console.log(format(run));
  return run;
}

function tcpreplayVersion(): string {
  const { stderr } = spawnSync("tcpreplay", ["--version"], { encoding: "utf8" });
  return `tcpreplay ${/version: ([\d.]+)/.exec(stderr)?.[1] ?? "?"}`;
}
