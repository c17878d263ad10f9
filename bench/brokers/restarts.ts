import { setTimeout as sleep } from "node:timers/promises";
import { listOffsets } from "../../src/kafka/offsets.ts";
import { ConnectionError } from "../../src/kafka/connection-error.ts";
import { createTransport, type Transport } from "../../src/kafka/transport.ts";
import { silentLogger } from "../../src/logger.ts";
import type { BenchBroker } from "../bench-broker.ts";
import { type RunSurroundings, type RunOrder, runOnce } from "../program-run.ts";
import { ownProgramFor } from "../programs.ts";
import type { LargeLog, Restart } from "./report.ts";

/** Between two questions to a broker that is not ready. */
const ASK_AGAIN_MS = 5;
const START_LIMIT_MS = 120_000;

/** Records of a topic that a broker has to know again. */
interface Kept {
  readonly topic: string;
  readonly records: number;
}

/** Kills a broker and starts it again so often. */
export async function measureRestarts(
  broker: BenchBroker,
  rounds: number,
  kept?: Kept,
): Promise<Restart[]> {
  const restarts: Restart[] = [];
  const dataBytes = kept === undefined ? 0 : broker.dataBytes();
  for (let round = 1; round <= rounds; round++) {
    await broker.kill();
    const readyMs = await restart(broker, kept);
    restarts.push({ broker: broker.name, round, dataBytes, readyMs });
  }
  return restarts;
}

/**
 * Publishes until there is so much on the broker's disk, kills it over and over, and reads
 * everything at the end.
 *
 * @throws Error when not every frame is there
 */
export async function measureLargeLog(
  around: RunSurroundings,
  order: Pick<RunOrder, "input" | "workload">,
  { gigabytes, rounds }: { readonly gigabytes: number; readonly rounds: number },
): Promise<{ readonly largeLog: LargeLog; readonly restarts: readonly Restart[] }> {
  const { broker } = around;
  const topic = await broker.newTopic("large", order.workload.partitions);
  let records = 0;
  while (broker.dataBytes() < gigabytes * 1e9) {
    const publisher = ownProgramFor("publish");
    const run = await runOnce(around, { ...order, program: publisher, round: 0 }, topic);
    records += order.input.frames;
    if (run.fault !== undefined || (await broker.recordsOf(topic)) !== records) {
      throw new Error(`Cannot fill a large topic: ${run.fault ?? "records are missing"}`);
    }
  }
  const dataBytes = broker.dataBytes();
  const publishingMegabytes = broker.peakMegabytes();
  const restarts = await measureRestarts(broker, rounds, { topic, records });
  const reading = { ...around, outputFile: "/dev/null" };
  const read = await runOnce(
    reading,
    { ...order, program: ownProgramFor("read"), round: 0 },
    topic,
  );
  if (read.fault !== undefined) throw new Error(`Cannot read a large topic: ${read.fault}`);
  const readingMegabytes = broker.peakMegabytes();
  const largeLog = { broker: broker.name, dataBytes, publishingMegabytes, readingMegabytes };
  return { largeLog, restarts };
}

/** Starts a broker that is down. @returns milliseconds until it has answered */
async function restart(broker: BenchBroker, kept: Kept | undefined): Promise<number> {
  const [host = "", port = ""] = broker.bootstrap.split(":");
  const transport = createTransport(
    {
      brokers: [{ host, port: Number(port) }],
      clientId: "bench",
      connectTimeoutMs: START_LIMIT_MS,
      connectionSetupTimeoutMs: START_LIMIT_MS,
      requestTimeoutMs: START_LIMIT_MS,
      retryBackoffMs: ASK_AGAIN_MS,
      retryBackoffMaxMs: ASK_AGAIN_MS,
    },
    silentLogger,
  );
  const beganMs = performance.now();
  const restarted = broker.restart();
  try {
    // It may resolve later than the broker is ready, because it looks at a log; its failure counts at once.
    const failed = restarted.then(() => new Promise<never>(() => {}));
    await Promise.race([transport.connect(), failed]);
    if (kept !== undefined) await untilThere(transport, kept, beganMs + START_LIMIT_MS);
    return performance.now() - beganMs;
  } finally {
    await transport.close();
    await restarted;
  }
}

async function untilThere(transport: Transport, kept: Kept, deadlineMs: number): Promise<void> {
  while (!(await hasRecords(transport, kept))) {
    if (performance.now() > deadlineMs) {
      throw new Error(`The broker is not ready after ${START_LIMIT_MS / 1000} s`);
    }
    await sleep(ASK_AGAIN_MS);
  }
}

async function hasRecords(transport: Transport, { topic, records }: Kept): Promise<boolean> {
  try {
    const found = await transport.lookUpTopic(topic);
    if (!("leaders" in found) || found.leaders.some((leader) => leader < 0)) return false;
    const { leaders } = found;
    const ends = await listOffsets(transport, {
      topic,
      leaders,
      partitions: leaders.map((_, partition) => partition),
      readCommitted: false,
      at: "end",
    });
    const there = [...ends.values()].reduce((sum, end) => sum + Number(end), 0);
    if (there === records) return true;
    throw new Error(`After a start ${there} records are there, not ${records}`);
  } catch (error) {
    if (error instanceof ConnectionError) return false;
    throw error;
  }
}
