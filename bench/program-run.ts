import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { open } from "node:fs/promises";
import path from "node:path";
import { fileBytes } from "../src/capture-file/byte-source.ts";
import { openCaptureReader } from "../src/capture-file/capture-reader.ts";
import { createCaptureWriter } from "../src/capture-file/capture-writer.ts";
import type { BenchBroker } from "./bench-broker.ts";
import { generateCapture } from "./generate-capture.ts";
import { cpuSecondsOf, measure } from "./measure.ts";
import { faultOfOutput } from "./output-check.ts";
import { type Program, ownPublisher } from "./programs.ts";
import type { Run, Workload } from "./report.ts";

/** A capture file of a workload. */
export interface Input {
  readonly file: string;
  /** The same frames as pcapng; "" when it was not made. */
  readonly pcapngFile: string;
  readonly frames: number;
  readonly frameBytes: number;
}

/** What surrounds a run. */
export interface RunSurroundings {
  readonly broker: BenchBroker;
  /** On disk, beside the broker's data. */
  readonly scratch: string;
  /** Gets what readers write. */
  readonly outputFile: string;
  /** A program that takes longer is ended. */
  readonly runLimitSeconds: number;
  /** No run begins after this time, by `Date.now()`. */
  readonly deadlineMs: number;
}

/** What is to run. */
export interface RunOrder {
  readonly program: Program;
  readonly input: Input;
  readonly workload: Workload;
  /** From 1; 0 is warming up. */
  readonly round: number;
}

/** No more runs: the time for all of them is over. */
export class OutOfTimeError extends Error {
  override name = "OutOfTimeError";
}

/** Writes the capture that programs publish. */
export function makeInput(file: string, frames: number, frameBytes: number | undefined): Input {
  const { frameBytes: bytes } = generateCapture(file, { frames, frameBytes });
  return { file, pcapngFile: "", frames, frameBytes: bytes };
}

/** Adds the same capture as pcapng. */
export async function addPcapng(input: Input): Promise<Input> {
  const source = fileBytes(await open(input.file));
  const { reader } = await openCaptureReader(source, input.file);
  const pcapngFile = `${input.file}ng`;
  const writer = createCaptureWriter(fs.createWriteStream(pcapngFile), {
    fileType: "pcapng",
    linkType: undefined,
    snapLengthBytes: 262_144,
    application: "pcapts bench",
  });
  for await (const chunk of reader.chunks()) await writer.writeChunk(chunk);
  await writer.end();
  await source.close();
  return { ...input, pcapngFile };
}

/** In memory where there is room for a whole output, so that no disk is measured; else on disk. */
export function makeOutputFolder(scratch: string, outputBytes: number): string {
  try {
    const { bavail, bsize } = fs.statfsSync("/dev/shm");
    if (bavail * bsize > outputBytes * 1.1) return fs.mkdtempSync("/dev/shm/pcapts-bench-");
  } catch {
    // No such place, or not for us.
  }
  return scratch;
}

/**
 * Makes the topic that all readers read: pcapts' own, as that is what its users have.
 * @returns its name
 * @throws Error when not every frame is in it
 */
export async function fillTopic(
  around: RunSurroundings,
  order: Pick<RunOrder, "input" | "workload">,
): Promise<string> {
  const topic = await around.broker.newTopic("read", order.workload.partitions);
  const run = await runOnce(around, { ...order, program: ownPublisher(), round: 0 }, topic);
  const stored = await around.broker.recordsOf(topic);
  if (run.fault !== undefined || stored !== order.input.frames) {
    throw new Error(`Cannot fill a topic to read: ${run.fault ?? `it has ${stored} records`}`);
  }
  return topic;
}

/** Runs a publisher on a topic of its own. @throws OutOfTimeError */
export async function publishOnce(around: RunSurroundings, order: RunOrder): Promise<Run> {
  const topic = await around.broker.newTopic(order.program.name, order.workload.partitions);
  const run = await runOnce(around, order, topic);
  const stored = await around.broker.recordsOf(topic);
  await around.broker.deleteTopic(topic);
  const fault = stored === run.frames ? undefined : `${stored} records, not ${run.frames}`;
  return { ...run, fault: run.fault ?? fault };
}

/** Runs a reader on a topic that {@link fillTopic} made. @throws OutOfTimeError */
export async function readOnce(
  around: RunSurroundings,
  order: RunOrder,
  topic: string,
): Promise<Run> {
  const { outputFile } = around;
  fs.rmSync(outputFile, { force: true });
  const run = await runOnce(around, order, topic);
  const fault = run.fault ?? faultOfOutput(outputFile, order.program.rawOutput, order.input);
  fs.rmSync(outputFile, { force: true });
  return { ...run, fault };
}

/** Runs a program, on a topic if it needs one, and checks nothing but how it ended. @throws OutOfTimeError */
export async function runOnce(
  { broker, scratch, outputFile, runLimitSeconds, deadlineMs }: RunSurroundings,
  { program, input, workload, round }: RunOrder,
  topic = "",
): Promise<Run> {
  const leftSeconds = (deadlineMs - Date.now()) / 1000;
  if (leftSeconds <= 0) throw new OutOfTimeError();
  const brokerPid = broker.pid;
  const frames = Math.max(1, Math.round(input.frames / program.share));
  // What an earlier run left for the disk shall not be written during this one.
  spawnSync("sync", ["-f", scratch]);
  const brokerBefore = cpuSecondsOf(brokerPid);
  const cost = await measure({
    command: program.command({
      bootstrap: broker.bootstrap,
      topic,
      capture: input.file,
      pcapngCapture: input.pcapngFile,
      frames,
    }),
    output: program.task === "read" ? outputFile : "/dev/null",
    resultFile: path.join(scratch, "cost.json"),
    limitSeconds: Math.min(runLimitSeconds, leftSeconds),
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
