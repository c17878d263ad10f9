// pcapts beside its peers in one run: npm run bench -- --help
//
// Each program is a process of its own, measured from start to end by the kernel's account of it. The
// programs take turns, so that what else the machine does meets all of them; ratios are taken
// within a round, because only those compare like with like.
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { BenchUsageError } from "./arguments.ts";
import { BenchBroker } from "./bench-broker.ts";
import { writeDocsBlock } from "./docs-block.ts";
import { generateCapture } from "./generate-capture.ts";
import { atEnd } from "./life.ts";
import { type Machine, describeMachine, fileSystemOf } from "./machine.ts";
import { cpuSecondsOf, measure } from "./measure.ts";
import { BENCH_USAGE, type BenchOptions, parseBenchOptions } from "./options.ts";
import { faultOfOutput } from "./output-check.ts";
import { compilePeers } from "./peers.ts";
import {
  C_PEERS,
  type Program,
  choosePrograms,
  libraryVersions,
  ownPublisher,
} from "./programs.ts";
import type { Environment, Report, Run, Workload } from "./report.ts";
import { inTurn } from "./statistics.ts";
import { formatReport, formatRun } from "./tables.ts";

/** What warms up is this part of a run: the broker's JVM compiles what it meets often. */
const WARM_UP_SHARE = 5;

/** A capture file of a workload. */
interface Input {
  readonly file: string;
  readonly frames: number;
  readonly frameBytes: number;
}

/** What the runs share. */
interface Bench {
  readonly options: BenchOptions;
  readonly broker: BenchBroker;
  /** On disk, beside the broker's data. */
  readonly scratch: string;
  readonly outputFile: string;
  readonly programs: readonly Program[];
  readonly runs: Run[];
  readonly deadlineMs: number;
}

class OutOfTime extends Error {}

let options: BenchOptions;
try {
  options = parseBenchOptions(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof BenchUsageError)) throw error;
  console.error(`bench: ${error.message}\n\n${BENCH_USAGE}`);
  process.exit(2);
}
if (options.help) {
  console.log(BENCH_USAGE);
} else {
  const report =
    options.fromFile === undefined
      ? await measureAll(options)
      : (JSON.parse(fs.readFileSync(options.fromFile, "utf8")) as Report);
  publishReport(report, options);
}

async function measureAll(wanted: BenchOptions): Promise<Report> {
  const machine = describeMachine();
  compilePeers(C_PEERS);
  const { programs, absent } = choosePrograms(wanted);
  const scratch = fs.mkdtempSync(path.join(tmpdir(), "pcapts-bench-"));
  let outputFolder = scratch;
  let broker: BenchBroker | undefined;
  const cleanUp = (): void => {
    for (const folder of new Set([scratch, outputFolder])) {
      fs.rmSync(folder, { recursive: true, force: true });
    }
  };
  atEnd(cleanUp);
  try {
    outputFolder = makeOutputFolder(scratch, wanted);
    broker = await BenchBroker.start();
    const bench: Bench = {
      options: wanted,
      broker,
      scratch,
      outputFile: path.join(outputFolder, "output"),
      programs,
      runs: [],
      deadlineMs: Date.now() + wanted.totalLimitSeconds * 1000,
    };
    const environment = describeEnvironment(bench, machine);
    await measureWorkloads(bench);
    return {
      table: wanted.table2 ? 2 : 1,
      rounds: wanted.rounds,
      frames: wanted.frames,
      environment,
      programs: programs.map(({ task, name, title, settings }) => ({
        task,
        name,
        title,
        settings,
      })),
      absent,
      runs: bench.runs,
    };
  } finally {
    await broker?.remove();
    cleanUp();
  }
}

function publishReport(report: Report, { jsonFile, docs }: BenchOptions): void {
  const text = formatReport(report);
  console.log(`\n${text}`);
  if (jsonFile !== undefined) fs.writeFileSync(jsonFile, `${JSON.stringify(report, null, 2)}\n`);
  const faulty = report.runs.some(({ fault }) => fault !== undefined);
  if (faulty) process.exitCode = 1;
  if (!docs) return;
  if (faulty || process.exitCode === 1) {
    console.error("bench: docs/benchmarks.md stays as it is, because not every run counts");
    return;
  }
  writeDocsBlock(report.table === 1 ? "table 1" : "table 2", text);
}

async function measureWorkloads(bench: Bench): Promise<void> {
  const { frameBytes, partitions, table2 } = bench.options;
  const shapes = table2
    ? [64, 200, 1400].flatMap((bytes) => [1, 4, 64].map((count) => [bytes, count] as const))
    : [[frameBytes, partitions] as const];
  try {
    for (const [bytes, count] of shapes) await measureWorkload(bench, bytes, count);
  } catch (error) {
    if (!(error instanceof OutOfTime)) throw error;
    console.error("bench: --total-limit is over; what follows is incomplete");
    process.exitCode = 1;
  }
}

async function measureWorkload(
  bench: Bench,
  frameBytes: number | undefined,
  partitions: number,
): Promise<void> {
  const { options: wanted, programs, scratch } = bench;
  const input = makeInput(path.join(scratch, "capture.pcap"), wanted.frames, frameBytes);
  const warmUpFrames = Math.max(1, Math.round(wanted.frames / WARM_UP_SHARE));
  const warmUp = makeInput(path.join(scratch, "warm-up.pcap"), warmUpFrames, frameBytes);
  const workload: Workload = {
    partitions,
    frameBytes,
    averageFrameBytes: input.frameBytes / input.frames,
  };
  const publishers = programs.filter(({ task }) => task === "publish");
  const readers = programs.filter(({ task }) => task === "read");

  console.log(`\nwarming up: ${partitions} partitions, ${frameBytes ?? "mixed"} bytes`);
  for (const program of publishers) await publishOnce(bench, program, warmUp, workload, 0);
  let topic: string | undefined;
  if (readers.length > 0) {
    const small = await fillTopic(bench, warmUp, workload);
    for (const program of readers) await readOnce(bench, program, small, warmUp, workload, 0);
    await bench.broker.deleteTopic(small);
    topic = await fillTopic(bench, input, workload);
  }
  for (let round = 1; round <= wanted.rounds; round++) {
    for (const program of inTurn(publishers, round)) {
      await publishOnce(bench, program, input, workload, round);
    }
    if (topic === undefined) continue;
    for (const program of inTurn(readers, round)) {
      await readOnce(bench, program, topic, input, workload, round);
    }
  }
  if (topic !== undefined) await bench.broker.deleteTopic(topic);
}

/** The topic that all readers read: pcapts' own, as that is what its users have. */
async function fillTopic(bench: Bench, input: Input, workload: Workload): Promise<string> {
  const topic = await bench.broker.newTopic("read", workload.partitions);
  const run = await runOnce(bench, ownPublisher(), topic, input, workload, 0);
  const stored = await bench.broker.recordsOf(topic);
  if (run.fault !== undefined || stored !== input.frames) {
    throw new Error(`Cannot fill a topic to read: ${run.fault ?? `it has ${stored} records`}`);
  }
  return topic;
}

async function publishOnce(
  bench: Bench,
  program: Program,
  input: Input,
  workload: Workload,
  round: number,
): Promise<void> {
  const topic = await bench.broker.newTopic(program.name, workload.partitions);
  const run = await runOnce(bench, program, topic, input, workload, round);
  const stored = await bench.broker.recordsOf(topic);
  await bench.broker.deleteTopic(topic);
  keep(bench, {
    ...run,
    fault:
      run.fault ?? (stored === run.frames ? undefined : `${stored} records, not ${run.frames}`),
  });
}

async function readOnce(
  bench: Bench,
  program: Program,
  topic: string,
  input: Input,
  workload: Workload,
  round: number,
): Promise<void> {
  fs.rmSync(bench.outputFile, { force: true });
  const run = await runOnce(bench, program, topic, input, workload, round);
  const fault = run.fault ?? faultOfOutput(bench.outputFile, program.rawOutput, input);
  fs.rmSync(bench.outputFile, { force: true });
  keep(bench, { ...run, fault });
}

async function runOnce(
  bench: Bench,
  program: Program,
  topic: string,
  input: Input,
  workload: Workload,
  round: number,
): Promise<Run> {
  const leftSeconds = (bench.deadlineMs - Date.now()) / 1000;
  if (leftSeconds <= 0) throw new OutOfTime();
  const brokerPid = bench.broker.pid;
  const frames = Math.max(1, Math.round(input.frames / program.share));
  // What an earlier run left for the disk shall not be written during this one.
  spawnSync("sync", ["-f", bench.scratch]);
  const brokerBefore = cpuSecondsOf(brokerPid);
  const cost = await measure({
    command: program.command({
      bootstrap: bench.broker.bootstrap,
      topic,
      capture: input.file,
      frames,
    }),
    output: program.task === "read" ? bench.outputFile : "/dev/null",
    resultFile: path.join(bench.scratch, "cost.json"),
    limitSeconds: Math.min(bench.options.runLimitSeconds, leftSeconds),
  });
  const faults = [];
  if (cost.timedOut) faults.push(`ended after ${cost.wallSeconds.toFixed(0)} s`);
  else if (cost.status !== 0) faults.push(`exit status ${cost.status}: ${cost.complaint}`);
  return {
    task: program.task,
    program: program.name,
    workload,
    round,
    frames,
    wallSeconds: cost.wallSeconds,
    cpuSeconds: cost.cpuSeconds,
    brokerCpuSeconds: cpuSecondsOf(brokerPid) - brokerBefore,
    peakMegabytes: cost.peakMegabytes,
    fault: faults[0],
  };
}

/** Round 0 is warming up: it counts only when it fails. */
function keep(bench: Bench, run: Run): void {
  if (run.round > 0 || run.fault !== undefined) bench.runs.push(run);
  console.log(formatRun(run));
}

function makeInput(file: string, frames: number, frameBytes: number | undefined): Input {
  const { frameBytes: bytes } = generateCapture(file, { frames, frameBytes });
  return { file, frames, frameBytes: bytes };
}

/** In memory where there is room for a whole output, so that no disk is measured; else on disk. */
function makeOutputFolder(scratch: string, { frames, frameBytes, table2 }: BenchOptions): string {
  const needed = frames * ((table2 ? 1400 : (frameBytes ?? 204)) + 16) * 1.1;
  try {
    const { bavail, bsize } = fs.statfsSync("/dev/shm");
    if (bavail * bsize > needed) return fs.mkdtempSync("/dev/shm/pcapts-bench-");
  } catch {
    // No such place, or not for us.
  }
  return scratch;
}

function describeEnvironment(bench: Bench, machine: Machine): Environment {
  return {
    ...machine,
    software: libraryVersions(),
    broker: `${bench.broker.describe()}; a fresh topic for each publishing run, made before it`,
    output: `a file on ${fileSystemOf(path.dirname(bench.outputFile))}`,
  };
}
