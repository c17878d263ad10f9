// pcapts beside its peers in one run: npm run bench -- --help
//
// Each program is a process of its own, measured from start to end by the kernel's account of it. The
// programs take turns, so that what else the machine does meets all of them; ratios are taken
// within a round, because only those compare like with like.
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { cpus, loadavg, release, tmpdir, totalmem } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Kafka, logLevel } from "kafkajs";
import {
  type TestBroker,
  createTopic,
  projectRoot,
  randomTopicName,
  startBroker,
} from "../test/brokers.ts";
import { replaceDocsBlock } from "./docs-block.ts";
import { generateCapture } from "./generate-capture.ts";
import { cpuSecondsOf, measure, stopMeasuring } from "./measure.ts";
import { BENCH_USAGE, type BenchOptions, BenchUsageError, parseBenchOptions } from "./options.ts";
import { faultOfOutput } from "./output-check.ts";
import {
  type Program,
  choosePrograms,
  compilePeers,
  libraryVersions,
  ownPublisher,
} from "./programs.ts";
import type { Environment, Report, Run, Workload } from "./report.ts";
import { inTurn } from "./statistics.ts";
import { formatReport, formatRun } from "./tables.ts";

const HEAP_MEGABYTES = 1024;
/** For making a topic ready, and for its files to go. */
const TOPIC_TIMEOUT_MS = 30_000;
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
  readonly broker: TestBroker;
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
  const loadAverage = loadavg()[0] ?? NaN;
  if (loadAverage > 0.5) {
    console.log(`bench: the machine is not quiet (load ${loadAverage.toFixed(2)}): expect noise`);
  }
  compilePeers();
  const { programs, absent } = choosePrograms(wanted);
  const scratch = fs.mkdtempSync(path.join(tmpdir(), "pcapts-bench-"));
  let outputFolder = scratch;
  let broker: TestBroker | undefined;
  const cleanUp = (): void => {
    for (const folder of new Set([scratch, outputFolder])) {
      fs.rmSync(folder, { recursive: true, force: true });
    }
  };
  process.once("exit", cleanUp);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      stopMeasuring();
      // The broker goes at exit.
      process.exit(130);
    });
  }
  try {
    outputFolder = makeOutputFolder(scratch, wanted);
    broker = await startBroker({
      jvm: "server",
      heapMegabytes: HEAP_MEGABYTES,
      properties: { "log.retention.ms": -1, "log.segment.delete.delay.ms": 100 },
    });
    const bench: Bench = {
      options: wanted,
      broker,
      scratch,
      outputFile: path.join(outputFolder, "output"),
      programs,
      runs: [],
      deadlineMs: Date.now() + wanted.totalLimitSeconds * 1000,
    };
    const environment = describeEnvironment(bench, loadAverage);
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
  const file = path.join(projectRoot, "docs/benchmarks.md");
  const block = report.table === 1 ? "table 1" : "table 2";
  fs.writeFileSync(file, replaceDocsBlock(fs.readFileSync(file, "utf8"), block, text));
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
    await deleteTopic(bench, small);
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
  if (topic !== undefined) await deleteTopic(bench, topic);
}

/** The topic that all readers read: pcapts' own, as that is what its users have. */
async function fillTopic(bench: Bench, input: Input, workload: Workload): Promise<string> {
  const topic = await newTopic(bench, "read", workload.partitions);
  const run = await runOnce(bench, ownPublisher(), topic, input, workload, 0);
  const stored = await recordsOf(bench, topic);
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
  const topic = await newTopic(bench, program.name, workload.partitions);
  const run = await runOnce(bench, program, topic, input, workload, round);
  const stored = await recordsOf(bench, topic);
  await deleteTopic(bench, topic);
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
  if (brokerPid === undefined) {
    throw new Error(`Kafka has ended; the end of its log:\n${bench.broker.log().slice(-2_000)}`);
  }
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

function describeEnvironment(bench: Bench, loadAverage: number): Environment {
  const processors = cpus();
  const gigabytes = (totalmem() / 2 ** 30).toFixed(0);
  const dataPlace = fileSystemOf(bench.broker.directory);
  const outputPlace = fileSystemOf(path.dirname(bench.outputFile));
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: commit(),
    machine: `${processors.length} × ${processors[0]?.model ?? "?"}, ${gigabytes} GB`,
    system: `Linux ${release().split("-")[0]}, ${distribution()}`,
    software: libraryVersions(),
    broker:
      `Kafka 4.3.0 on the same machine, one node, heap ${HEAP_MEGABYTES} MB, G1, data on ${dataPlace}; ` +
      "a fresh topic for each publishing run, made before it",
    output: `a file on ${outputPlace}`,
    loadAverage,
  };
}

function fileSystemOf(folder: string): string {
  return execFileSync("stat", ["-f", "-c", "%T", folder], { encoding: "utf8" }).trim();
}

function distribution(): string {
  try {
    return /^PRETTY_NAME="(.*)"$/m.exec(fs.readFileSync("/etc/os-release", "utf8"))?.[1] ?? "?";
  } catch {
    return "?";
  }
}

function commit(): string {
  const run = spawnSync("git", ["describe", "--always", "--dirty"], {
    cwd: projectRoot,
    encoding: "utf8",
  });
  return run.status === 0 ? run.stdout.trim() : "unknown";
}

/** A topic whose partitions all answer, so that no program waits for a leader. */
async function newTopic(bench: Bench, prefix: string, partitions: number): Promise<string> {
  const topic = randomTopicName(prefix);
  const deadline = Date.now() + TOPIC_TIMEOUT_MS;
  let made = false;
  for (;;) {
    try {
      // Made once; Kafka may fail while not every part of it knows the topic.
      if (!made) await createTopic(bench.broker.bootstrap, topic, { partitions });
      made = true;
      await recordsOf(bench, topic);
      return topic;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await sleep(100);
    }
  }
}

async function withAdmin<T>(
  { broker }: Bench,
  work: (admin: ReturnType<Kafka["admin"]>) => Promise<T>,
): Promise<T> {
  const admin = new Kafka({ brokers: [broker.bootstrap], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

function recordsOf(bench: Bench, topic: string): Promise<number> {
  return withAdmin(bench, async (admin) => {
    const offsets = await admin.fetchTopicOffsets(topic);
    return offsets.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0);
  });
}

/** Resolves when its files are gone, so that the disk holds no more than two topics. */
async function deleteTopic(bench: Bench, topic: string): Promise<void> {
  await withAdmin(bench, (admin) => admin.deleteTopics({ topics: [topic] }));
  const data = path.join(bench.broker.directory, "data");
  const deadline = Date.now() + TOPIC_TIMEOUT_MS;
  while (fs.readdirSync(data).some((name) => name.startsWith(topic)) && Date.now() < deadline) {
    await sleep(100);
  }
}
