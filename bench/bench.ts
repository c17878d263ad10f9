// pcapts beside its peers in one run: npm run bench -- --help
//
// Each program is a process of its own, measured from start to end by the kernel's account of it. The
// programs take turns, so that what else the machine does meets all of them; ratios are taken
// within a round, because only those compare like with like.
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { BenchUsageError } from "./arguments.ts";
import { BenchBroker } from "./bench-broker.ts";
import { writeDocsBlock } from "./docs-block.ts";
import { atEnd } from "./life.ts";
import { type Machine, describeMachine, fileSystemOf } from "./machine.ts";
import { BENCH_USAGE, type BenchOptions, parseBenchOptions } from "./options.ts";
import { compilePeers } from "./peers.ts";
import {
  type Input,
  type RunSurroundings,
  OutOfTimeError,
  addPcapng,
  fillTopic,
  makeInput,
  makeOutputFolder,
  publishOnce,
  readOnce,
  runOnce,
} from "./program-run.ts";
import { C_PEERS, type Program, choosePrograms, libraryVersions } from "./programs.ts";
import type { Environment, Report, Run, Workload } from "./report.ts";
import { inTurn } from "./statistics.ts";
import { formatReport, formatRun } from "./tables.ts";

/** What warms up is this part of a run: the broker's JVM compiles what it meets often. */
const WARM_UP_SHARE = 5;

/** What the runs share. */
interface Bench extends RunSurroundings {
  readonly options: BenchOptions;
  readonly programs: readonly Program[];
  readonly runs: Run[];
}

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
    outputFolder = makeOutputFolder(scratch, largestOutput(wanted));
    broker = await BenchBroker.start();
    const bench: Bench = {
      options: wanted,
      broker,
      scratch,
      outputFile: path.join(outputFolder, "output"),
      programs,
      runs: [],
      runLimitSeconds: wanted.runLimitSeconds,
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
    if (!(error instanceof OutOfTimeError)) throw error;
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
  const make = async (name: string, frames: number): Promise<Input> => {
    const pcap = makeInput(path.join(scratch, name), frames, frameBytes);
    return programs.some(({ fromPcapng }) => fromPcapng) ? addPcapng(pcap) : pcap;
  };
  const input = await make("capture.pcap", wanted.frames);
  const warmUpFrames = Math.max(1, Math.round(wanted.frames / WARM_UP_SHARE));
  const warmUp = await make("warm-up.pcap", warmUpFrames);
  const workload: Workload = {
    partitions,
    frameBytes,
    averageFrameBytes: input.frameBytes / input.frames,
  };
  const publishers = programs.filter(({ task }) => task === "publish");
  const readers = programs.filter(({ task }) => task === "read");
  const fileReaders = programs.filter(({ task }) => task === "file");
  const whole = { input, workload };
  const part = { input: warmUp, workload, round: 0 };

  console.log(`\nwarming up: ${partitions} partitions, ${frameBytes ?? "mixed"} bytes`);
  for (const program of publishers) keep(bench, await publishOnce(bench, { ...part, program }));
  for (const program of fileReaders) keep(bench, await runOnce(bench, { ...part, program }));
  let topic: string | undefined;
  if (readers.length > 0) {
    const small = await fillTopic(bench, part);
    for (const program of readers) keep(bench, await readOnce(bench, { ...part, program }, small));
    await bench.broker.deleteTopic(small);
    topic = await fillTopic(bench, whole);
  }
  for (let round = 1; round <= wanted.rounds; round++) {
    for (const program of inTurn(publishers, round)) {
      keep(bench, await publishOnce(bench, { ...whole, program, round }));
    }
    for (const program of inTurn(fileReaders, round)) {
      keep(bench, await runOnce(bench, { ...whole, program, round }));
    }
    if (topic === undefined) continue;
    for (const program of inTurn(readers, round)) {
      keep(bench, await readOnce(bench, { ...whole, program, round }, topic));
    }
  }
  if (topic !== undefined) await bench.broker.deleteTopic(topic);
}

/** Round 0 is warming up: it counts only when it fails. */
function keep(bench: Bench, run: Run): void {
  if (run.round > 0 || run.fault !== undefined) bench.runs.push(run);
  console.log(formatRun(run));
}

function largestOutput({ frames, frameBytes, table2 }: BenchOptions): number {
  return frames * ((table2 ? 1400 : (frameBytes ?? 204)) + 16);
}

function describeEnvironment(bench: Bench, machine: Machine): Environment {
  return {
    ...machine,
    software: libraryVersions(),
    broker: `${bench.broker.describe()}; a fresh topic for each publishing run, made before it`,
    output: `a file on ${fileSystemOf(path.dirname(bench.outputFile))}`,
  };
}
