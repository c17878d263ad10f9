import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { generateCapture } from "../../bench/generate-capture.ts";
import type { FaultyRequest, RequestFault } from "../../src/broker/faults.ts";
import { createTopic } from "../brokers.ts";
import { assertSameFrames, type CapturedFrame, readCapture } from "../capture-frames.ts";
import { type EmbeddedBroker, startEmbeddedBroker } from "../embedded-broker.ts";
import { committedOffsets } from "./group-offsets.ts";
import { runProgram } from "./other-programs.ts";
import { publish, type RunningProcess, startPcapts } from "./pcapts-process.ts";

/*
 * Consumers that are killed with SIGKILL at the very moments that matter: the embedded broker, in
 * the test's own process, kills them when a certain request of theirs comes.
 */

/** When a consumer is killed. */
const MOMENTS = [
  /** Its offsets are on their way, and never arrive. */
  { api: "OffsetCommit", fault: { drop: "before" }, most: 4 },
  /** Its offsets are committed, and it never learns that. */
  { api: "OffsetCommit", fault: { drop: "after" }, most: 4 },
  /** Any time while frames are read and written. */
  { api: "Fetch", fault: undefined, most: 12 },
  /** It is about to go on. */
  { api: "OffsetFetch", fault: undefined, most: 1 },
] as const;

/** A broker that kills clients. */
export class KillingBroker {
  readonly #victims = new Map<string, (request: FaultyRequest) => RequestFault | undefined>();
  #embedded!: EmbeddedBroker;

  private constructor() {}

  static async start(): Promise<KillingBroker> {
    const broker = new KillingBroker();
    broker.#embedded = await startEmbeddedBroker({
      faults: { onRequest: (request) => broker.#victims.get(request.clientId)?.(request) },
    });
    return broker;
  }

  /**
   * Makes a topic of three partitions. Two publish into it at the same time what was captured at the same
   * time, so that the frames of a partition are out of order, and some are written before others that
   * came before them.
   *
   * @returns what is in it
   */
  async fill(topic: string, frames: number, scratch: string): Promise<CapturedFrame[]> {
    await createTopic(this.bootstrap, topic, { partitions: 3 });
    const sent = [1, 2].map(async (seed) => {
      const file = path.join(scratch, `sent-${seed}.pcap`);
      generateCapture(file, { frames: frames / 2, seed });
      await publish(this.bootstrap, topic, file, "-X", "batch.size=50000");
      return readCapture(readFileSync(file)).frames;
    });
    return (await Promise.all(sent)).flat();
  }

  get bootstrap(): string {
    return this.#embedded.bootstrap;
  }

  /** Kills a client soon, at a moment that chance gives. */
  killAtRandom(consumer: RunningProcess, clientId: string, random: () => number): void {
    const { api, fault, most } = MOMENTS[Math.floor(random() * MOMENTS.length)]!;
    let left = 1 + Math.floor(random() * most);
    this.#victims.set(clientId, (request) => {
      if (request.api !== api || --left > 0) return undefined;
      this.#victims.delete(clientId);
      consumer.child.kill("SIGKILL");
      return fault;
    });
  }

  troubleAtRandom(consumer: RunningProcess, clientId: string, random: () => number): void {
    let kill = 3 + Math.floor(random() * 30);
    this.#victims.set(clientId, ({ api }) => {
      if (api === "Heartbeat" && random() < 0.5) return { errorCode: 25 };
      if (api === "OffsetCommit") {
        if (--kill === 0) {
          this.#victims.delete(clientId);
          consumer.child.kill("SIGKILL");
          return { drop: random() < 0.5 ? "before" : "after" };
        }
        const r = random();
        if (r < 0.05) return { errorCode: 25 };
        if (r < 0.1) return { drop: "before" };
        if (r < 0.15) return { drop: "after" };
      }
      return undefined;
    });
  }

  /** How many records a group that began at the beginning has committed. */
  async committedCount(group: string, topic: string): Promise<number> {
    const offsets = await committedOffsets(this.bootstrap, group, topic);
    return offsets.reduce((sum, { offset }) => sum + offset, 0);
  }

  async remove(): Promise<void> {
    await this.#embedded.remove();
  }
}

/** A member of a group that writes files, begun at the beginning of the topic; its client id is its name. */
export function joinWriting(
  bootstrap: string,
  { topic, group, name }: { topic: string; group: string; name: string },
  ...args: readonly string[]
): RunningProcess {
  const line =
    `-c -k ${bootstrap} -t ${topic} -o begin -X group.id=${group} -X client.id=${name} ` +
    "-X session.timeout.ms=1000 -X heartbeat.interval.ms=100 -X auto.commit.interval.ms=20 " +
    // Small answers, so that there are many places to be killed at.
    "-X fetch.message.max.bytes=20000";
  return startPcapts([...line.split(" "), ...args]);
}

/** Fails unless the capture files of folders, as mergecap reads them, hold exactly these frames, each once. */
export async function assertFilesHold(
  folders: readonly string[],
  expected: readonly CapturedFrame[],
): Promise<void> {
  const merged = path.join(folders[0]!, "merged");
  const paths: string[] = [];
  for (const whole of folders.flatMap((folder) =>
    readdirSync(folder).map((file) => path.join(folder, file)),
  )) {
    const file = path.basename(whole);
    if (file.endsWith(".offsets")) continue;
    // Wireshark's programs of some systems read no zstd.
    if (file.endsWith(".zst")) await runProgram(["zstd", "-d", "-q", whole]);
    paths.push(file.endsWith(".zst") ? whole.slice(0, -".zst".length) : whole);
  }
  await runProgram(["mergecap", "-a", "-F", "pcap", "-w", merged, ...paths]);
  assertSameFrames(readCapture(readFileSync(merged)).frames, expected);
}
