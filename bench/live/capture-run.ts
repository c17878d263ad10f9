import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { BenchBroker } from "../bench-broker.ts";
import { busyShare } from "../machine.ts";
import { type Cost, cpuSecondsOf, startMeasuring } from "../measure.ts";
import { type LiveProgram, droppedByKernel } from "./programs.ts";
import type { Traffic } from "./traffic.ts";

/** What all runs share. */
export interface LiveBench {
  readonly broker: BenchBroker;
  readonly traffic: Traffic;
  readonly scratch: string;
  readonly partitions: number;
  readonly runLimitSeconds: number;
}

/** A program while it captures. */
export interface Capturing {
  readonly topic: string;
  /** Whatever the program has written to standard error. */
  errorOutput(): string;
}

/** What came of a run, whoever sent. */
export interface CaptureResult<Sent> {
  readonly sent: Sent;
  readonly arrived: number;
  readonly stored: number;
  readonly droppedByKernel: number | undefined;
  readonly brokerCpuSeconds: number;
  readonly busyBefore: number;
  readonly cost: Cost;
  readonly fault: string | undefined;
}

const READY_TIMEOUT_MS = 30_000;
const BUSY_WINDOW_MS = 500;
const SETTLE_POLL_MS = 200;
/** Counts that stay put for so long are final: nothing pauses longer between two batches. */
const SETTLED_MS = 3_000;

/**
 * One program on one fresh topic: starts it, has frames sent once it captures, waits until the topic's
 * offsets stay put, interrupts it and counts after its end.
 *
 * @param frames how many will be sent, to see early that all are there
 * @param send resolves when they are sent
 * @param environment over this process's, for the program
 */
export async function runCapture<Sent>(
  bench: LiveBench,
  program: LiveProgram,
  frames: number,
  send: (capturing: Capturing) => Promise<Sent>,
  environment: Readonly<Record<string, string>> = {},
): Promise<CaptureResult<Sent>> {
  const { broker, traffic } = bench;
  const topic = await broker.newTopic(program.name, bench.partitions);
  const busyBefore = await busyShare(BUSY_WINDOW_MS);
  const brokerBefore = cpuSecondsOf(broker.pid);
  const arrivedBefore = traffic.arrivedFrames();
  const { interfaceName } = traffic;
  const measured = startMeasuring({
    command: program.command({ bootstrap: broker.bootstrap, topic, interfaceName }),
    output: "/dev/null",
    resultFile: path.join(bench.scratch, "capture-cost.json"),
    limitSeconds: bench.runLimitSeconds,
    environment,
  });
  const errorOutput = (): string => measured.errorOutput();
  let hasEnded = false;
  const cost = measured.cost.finally(() => (hasEnded = true));
  // Looked at below; what fails before is said first.
  cost.catch(() => {});
  await waitUntil(() => hasEnded || program.ready.test(errorOutput()), READY_TIMEOUT_MS);
  if (hasEnded) throw new Error(`${program.title} ended at once: ${errorOutput()}`);
  const sent = await send({ topic, errorOutput });
  await settle(broker, topic, frames, () => hasEnded);
  measured.interrupt();
  const end = await cost;
  const result = {
    sent,
    arrived: traffic.arrivedFrames() - arrivedBefore,
    stored: await broker.recordsOf(topic),
    droppedByKernel: droppedByKernel(errorOutput()),
    brokerCpuSeconds: cpuSecondsOf(broker.pid) - brokerBefore,
    busyBefore,
    cost: end,
    fault: faultOf(end),
  };
  await broker.deleteTopic(topic);
  return result;
}

/** Resolves when a condition holds, looked at often, or when the time is over. */
export async function waitUntil(condition: () => boolean, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`nothing happened within ${timeoutMs / 1000} s`);
    await sleep(20);
  }
}

async function settle(
  broker: BenchBroker,
  topic: string,
  frames: number,
  hasEnded: () => boolean,
): Promise<void> {
  let [stored, since] = [-1, Date.now()];
  while (!hasEnded()) {
    const now = await broker.recordsOf(topic);
    if (now !== stored) [stored, since] = [now, Date.now()];
    if (stored >= frames || Date.now() - since > SETTLED_MS) return;
    await sleep(SETTLE_POLL_MS);
  }
}

function faultOf(cost: Cost): string | undefined {
  if (cost.timedOut) return `ended after ${cost.wallSeconds.toFixed(0)} s`;
  if (cost.status !== 0) return `exit status ${cost.status}: ${cost.complaint}`;
  return undefined;
}
