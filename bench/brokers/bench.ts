// pcapts through the embedded broker beside Kafka in one run: npm run bench:brokers -- --help
//
// The brokers take turns in rounds, and each ratio is taken within a round.
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { BenchUsageError } from "../arguments.ts";
import { BenchBroker } from "../bench-broker.ts";
import { writeDocsBlock } from "../docs-block.ts";
import { atEnd } from "../life.ts";
import { describeMachine, fileSystemOf } from "../machine.ts";
import {
  type RunSurroundings,
  fillTopic,
  makeInput,
  makeOutputFolder,
  publishOnce,
  readOnce,
} from "../program-run.ts";
import { ownProgramFor } from "../programs.ts";
import type { Run, Workload } from "../report.ts";
import { inTurn } from "../statistics.ts";
import { formatRun } from "../tables.ts";
import { BROKERS_USAGE, type BrokersOptions, parseBrokersOptions } from "./options.ts";
import type { BrokerInReport, BrokersReport, LargeLog, Restart } from "./report.ts";
import { measureLargeLog, measureRestarts } from "./restarts.ts";
import { formatBrokersReport, formatRestart } from "./tables.ts";

/** What warms up is this part of a run: Kafka's JVM compiles what it meets often. */
const WARM_UP_SHARE = 5;
/** Of the mixture, with the header that pcap gives it. */
const FRAME_BYTES = 220;

const STARTS = [() => BenchBroker.startEmbedded(), () => BenchBroker.start()];

/** One of the brokers, with what its runs share. */
interface Side {
  readonly around: RunSurroundings;
  readonly broker: BenchBroker;
  topic: string;
}

let options: BrokersOptions;
try {
  options = parseBrokersOptions(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof BenchUsageError)) throw error;
  console.error(`bench: ${error.message}\n\n${BROKERS_USAGE}`);
  process.exit(2);
}
if (options.help) {
  console.log(BROKERS_USAGE);
} else {
  const report =
    options.fromFile === undefined
      ? await measureAll(options)
      : (JSON.parse(fs.readFileSync(options.fromFile, "utf8")) as BrokersReport);
  publishReport(report, options);
}

async function measureAll(wanted: BrokersOptions): Promise<BrokersReport> {
  const machine = describeMachine();
  const scratch = fs.mkdtempSync(path.join(tmpdir(), "pcapts-bench-brokers-"));
  let outputFolder = scratch;
  const cleanUp = (): void => {
    for (const folder of new Set([scratch, outputFolder])) {
      fs.rmSync(folder, { recursive: true, force: true });
    }
  };
  atEnd(cleanUp);
  try {
    outputFolder = makeOutputFolder(scratch, wanted.frames * FRAME_BYTES);
    const surroundings = {
      scratch,
      outputFile: path.join(outputFolder, "output"),
      runLimitSeconds: wanted.runLimitSeconds,
      deadlineMs: Infinity,
    };
    const input = makeInput(path.join(scratch, "capture.pcap"), wanted.frames, undefined);
    const workload: Workload = {
      partitions: wanted.partitions,
      frameBytes: undefined,
      averageFrameBytes: input.frameBytes / input.frames,
    };
    const speeds = await measureSpeeds(wanted, surroundings, { input, workload });
    const largeLogs: LargeLog[] = [];
    const restarts: Restart[] = [...speeds.restarts];
    for (const start of STARTS) {
      const broker = await start();
      try {
        const around = { ...surroundings, broker };
        const measured = await measureLargeLog(around, { input, workload }, wanted);
        largeLogs.push(measured.largeLog);
        restarts.push(...measured.restarts.map(toldRestart));
      } finally {
        await broker.remove();
      }
    }
    const output = `a file on ${fileSystemOf(outputFolder)}`;
    return {
      rounds: wanted.rounds,
      frames: wanted.frames,
      environment: { ...machine, software: `Node ${process.version}`, output },
      brokers: speeds.brokers,
      runs: speeds.runs,
      restarts,
      largeLogs,
    };
  } finally {
    cleanUp();
  }
}

/** Starts with nothing on disk, then publishing and reading in turns. */
async function measureSpeeds(
  { rounds, frames }: BrokersOptions,
  surroundings: Omit<RunSurroundings, "broker">,
  whole: { readonly input: ReturnType<typeof makeInput>; readonly workload: Workload },
): Promise<{ brokers: BrokerInReport[]; runs: Run[]; restarts: Restart[] }> {
  const sides: Side[] = [];
  const runs: Run[] = [];
  const restarts: Restart[] = [];
  const { scratch } = surroundings;
  const { workload } = whole;
  try {
    for (const start of STARTS) {
      const idle = await start();
      try {
        restarts.push(...(await measureRestarts(idle, rounds)).map(toldRestart));
      } finally {
        await idle.remove();
      }
    }
    for (const start of STARTS) {
      const broker = await start();
      sides.push({ broker, around: { ...surroundings, broker }, topic: "" });
    }
    const warmUpFrames = Math.max(1, Math.round(frames / WARM_UP_SHARE));
    const warmUp = makeInput(path.join(scratch, "warm-up.pcap"), warmUpFrames, undefined);
    const [publisher, reader] = [ownProgramFor("publish"), ownProgramFor("read")];
    console.log("warming up");
    for (const side of sides) {
      const { around, broker } = side;
      const part = { input: warmUp, workload, round: 0 };
      const published = await publishOnce(around, { ...part, program: publisher });
      keep(runs, published, broker);
      const small = await fillTopic(around, part);
      keep(runs, await readOnce(around, { ...part, program: reader }, small), broker);
      await broker.deleteTopic(small);
      side.topic = await fillTopic(around, whole);
    }
    for (let round = 1; round <= rounds; round++) {
      for (const { around, broker } of inTurn(sides, round)) {
        keep(runs, await publishOnce(around, { ...whole, program: publisher, round }), broker);
      }
      for (const { around, broker, topic } of inTurn(sides, round)) {
        keep(runs, await readOnce(around, { ...whole, program: reader, round }, topic), broker);
      }
    }
    const brokers = sides.map(({ broker }) => ({
      name: broker.name,
      settings: broker.describe(),
      peakMegabytes: broker.peakMegabytes(),
    }));
    return { brokers, runs, restarts };
  } finally {
    for (const { broker } of sides) await broker.remove();
  }
}

/** Round 0 is warming up: it counts only when it fails. */
function keep(runs: Run[], run: Run, broker: BenchBroker): void {
  const kept = { ...run, program: broker.name };
  if (run.round > 0 || run.fault !== undefined) runs.push(kept);
  console.log(formatRun(kept));
}

function toldRestart(restart: Restart): Restart {
  console.log(formatRestart(restart));
  return restart;
}

function publishReport(report: BrokersReport, { jsonFile, docs }: BrokersOptions): void {
  const text = formatBrokersReport(report);
  console.log(`\n${text}`);
  if (jsonFile !== undefined) fs.writeFileSync(jsonFile, `${JSON.stringify(report, null, 2)}\n`);
  if (report.runs.some(({ fault }) => fault !== undefined)) process.exitCode = 1;
  if (!docs) return;
  if (process.exitCode === 1) {
    console.error("bench: docs/benchmarks.md stays as it is, because not every run counts");
    return;
  }
  writeDocsBlock("brokers", text);
}
