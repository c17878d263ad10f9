import type { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { encodePcap } from "../../src/capture-file/pcap-writer.ts";
import { type RunningProcess, startPcapts } from "../integration/pcapts-process.ts";
import { numberedFrames } from "../kafka/numbered-frames.ts";
import { readPeakMegabytes } from "../resident-memory.ts";

/** pcapts as a process that reads numbered frames of 37 conversations, as they come, until it ends. */
export class FedProducer {
  readonly process: RunningProcess;
  /** Number of the first frame that was not given to it. */
  next: number;
  /** The most memory it had before it was ended. */
  peakMegabytes = 0;
  #isEnding = false;
  readonly #feeding: Promise<void>;

  private constructor(process: RunningProcess, first: number, random: () => number) {
    this.process = process;
    this.next = first;
    this.#feeding = this.#feed(process.child.stdin, random);
  }

  /**
   * Starts one, and feeds it as soon as it captures.
   *
   * @param args all but where frames come from
   * @param first number of the first frame
   * @param command what runs it, instead of this Node
   */
  static async start(
    args: readonly string[],
    first: number,
    random: () => number,
    command?: readonly [string, ...string[]],
  ): Promise<FedProducer> {
    const process = startPcapts([...args, "-r", "-"], {
      limitMs: 180_000,
      ...(command && { command }),
    });
    process.child.stdin.write(encodePcap([]));
    await process.says(/Starting packet capture/, 60_000);
    return new FedProducer(process, first, random);
  }

  /** Kills it with -9. Frames below `next` may not have been read. */
  async kill(): Promise<void> {
    this.peakMegabytes = readPeakMegabytes(this.process.child.pid!);
    this.process.child.kill("SIGKILL");
    await this.process.ended;
    await this.#feeding;
  }

  /** Ends its input, and waits until it has ended by itself. */
  async end(): Promise<{ status: unknown; stderr: string }> {
    this.#isEnding = true;
    await this.#feeding;
    this.peakMegabytes = readPeakMegabytes(this.process.child.pid!);
    this.process.child.stdin.end();
    return this.process.ended;
  }

  async #feed(stdin: Writable, random: () => number): Promise<void> {
    let wake = (): void => {};
    stdin.on("drain", () => wake());
    stdin.on("close", () => wake());
    while (!stdin.destroyed && !this.#isEnding) {
      const count = 1 + Math.floor(random() * 150);
      const isTaken = stdin.write(numberedFrames(this.next, count, 37).bytes);
      this.next += count;
      if (!isTaken && !stdin.destroyed) await new Promise<void>((resolve) => (wake = resolve));
      await sleep(1);
    }
  }
}
