import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { startMeasuring } from "../measure.ts";
import { cPeer, ownProgram } from "../peers.ts";
import { type LiveBench, runCapture, waitUntil } from "./capture-run.ts";
import type { LiveProgram } from "./programs.ts";
import type { DelayRun } from "./report.ts";

/** Frames a second while the delay is measured. */
export const DELAY_RATE = 10_000;

/** What a delay is measured with, beside the program that captures. */
export interface DelayCase {
  /** A flag of the consumer, or "". */
  readonly consumer: "" | "--unordered";
  /** Many are in all partitions, one is in one of them. */
  readonly flows: number;
}

/** Partitions that are all busy, and one that waits for three which have nothing. */
export const DELAY_CASES: readonly DelayCase[] = [
  { consumer: "", flows: 256 },
  { consumer: "--unordered", flows: 256 },
  { consumer: "", flows: 1 },
  { consumer: "--unordered", flows: 1 },
];

/** A consumer says so after three seconds without a frame. */
const CONSUMER_READY = /No frame yet/;
const TIMEOUT_MS = 30_000;

/** What bench/peers/timed-frames.c prints of what it read. */
interface Reading {
  readonly frames: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  readonly maxMs?: number;
}

/** The time of each frame from just before it is sent to where a consumer's pipe is read. */
export async function measureDelay(
  bench: LiveBench,
  program: LiveProgram,
  { consumer, flows }: DelayCase,
  seconds: number,
  round: number,
): Promise<DelayRun> {
  const frames = DELAY_RATE * seconds;
  const { sent, fault } = await runCapture(bench, program, frames, async ({ topic }) => {
    const reader = startConsumerAndReader(bench, topic, consumer, frames);
    await waitUntil(() => CONSUMER_READY.test(reader.consumerSays()), TIMEOUT_MS);
    const { latestMs } = await bench.traffic.sendTimed(DELAY_RATE, seconds, flows);
    return { latestMs, reading: await reader.reading() };
  });
  if (fault !== undefined) throw new Error(`${program.title}: ${fault}`);
  const { frames: read, p50Ms = NaN, p99Ms = NaN, maxMs = NaN } = sent.reading;
  const senderLatestMs = sent.latestMs;
  return {
    program: program.name,
    consumer,
    flows,
    round,
    sent: frames,
    frames: read,
    p50Ms,
    p99Ms,
    maxMs,
    senderLatestMs,
  };
}

/** `pcapts -c | timed-frames read`, the pipe having a name so that both die with this process. */
function startConsumerAndReader(
  bench: LiveBench,
  topic: string,
  flag: DelayCase["consumer"],
  frames: number,
) {
  const pipe = path.join(bench.scratch, "pipe");
  const output = path.join(bench.scratch, "delays.json");
  rmSync(pipe, { force: true });
  execFileSync("mkfifo", [pipe]);
  const limits = { limitSeconds: bench.runLimitSeconds };
  const consumer = startMeasuring({
    ...limits,
    command: [...ownProgram, "-c", "-t", topic, "-k", bench.broker.bootstrap, "-o", "begin"].concat(
      flag === "" ? [] : [flag],
    ),
    output: pipe,
    resultFile: path.join(bench.scratch, "consumer-cost.json"),
  });
  const reader = startMeasuring({
    ...limits,
    command: ["sh", "-c", `exec "$0" read ${frames} < "$1"`, cPeer("timed-frames"), pipe],
    output,
    resultFile: path.join(bench.scratch, "reader-cost.json"),
  });
  return {
    consumerSays: () => consumer.errorOutput(),
    /** Resolves when all frames came, or nothing any more for a while. */
    async reading(): Promise<Reading> {
      let hasEnded = false;
      const end = reader.cost.finally(() => (hasEnded = true));
      end.catch(() => {});
      // A frame that was dropped will not come; the reader then ends with the consumer.
      await waitUntil(() => hasEnded, TIMEOUT_MS).catch(() => {});
      consumer.interrupt();
      await Promise.all([end, consumer.cost]);
      return JSON.parse(readFileSync(output, "utf8")) as Reading;
    },
  };
}
