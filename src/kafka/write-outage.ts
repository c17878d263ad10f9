import type { Logger } from "../logger.ts";

/** Shorter troubles, as when a leader changes, are not worth a line. */
const WORTH_A_WARNING_MS = 1000;

interface Trouble {
  readonly sinceMs: number;
  isTold: boolean;
}

/**
 * Tells an operator once that partitions cannot be written for longer than a
 * moment, and once that all of them can be again. A partition that is written
 * says nothing of those that are not.
 */
export class WriteOutage {
  readonly #topic: string;
  readonly #partitionCount: number;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #troubles = new Map<number, Trouble>();
  /** Since when there is an outage that was told; undefined: there is none. */
  #toldSinceMs: number | undefined;

  /** @param now monotonic clock in milliseconds */
  constructor(
    topic: string,
    partitionCount: number,
    logger: Logger,
    now: () => number = () => performance.now(),
  ) {
    this.#topic = topic;
    this.#partitionCount = partitionCount;
    this.#logger = logger;
    this.#now = now;
  }

  /**
   * A try failed and will be repeated.
   *
   * @param partitions those that have something to write; none: what failed concerns all that are in trouble
   * @param reason the broker's words, or what became of the connection
   */
  failed(partitions: readonly number[], reason: string): void {
    const nowMs = this.#now();
    for (const partition of partitions) {
      if (this.#troubles.has(partition)) continue;
      this.#troubles.set(partition, { sinceMs: nowMs, isTold: false });
    }
    const untold = [...this.#troubles.values()].filter(({ isTold }) => !isTold);
    const sinceMs = Math.min(...untold.map((trouble) => trouble.sinceMs));
    if (nowMs - sinceMs < WORTH_A_WARNING_MS || untold.length === 0) return;
    this.#logger.warn(`Cannot write to ${this.#describeUntold()}: ${reason}; trying again`);
    for (const trouble of untold) trouble.isTold = true;
    this.#toldSinceMs ??= sinceMs;
  }

  /** A try succeeded. */
  ended(partition: number): void {
    if (this.#troubles.size === 0 || !this.#troubles.delete(partition)) return;
    if (this.#toldSinceMs === undefined) return;
    for (const { isTold } of this.#troubles.values()) if (isTold) return;
    const seconds = Math.round((this.#now() - this.#toldSinceMs) / 1000);
    this.#toldSinceMs = undefined;
    this.#logger.info(`Can write to topic "${this.#topic}" again, after ${seconds} s`);
  }

  #describeUntold(): string {
    const topic = `topic "${this.#topic}"`;
    if (this.#troubles.size === this.#partitionCount) return topic;
    const numbers = [...this.#troubles].filter(([, { isTold }]) => !isTold).map(([n]) => n);
    numbers.sort((a, b) => a - b);
    return `partition${numbers.length === 1 ? "" : "s"} ${numbers.join(", ")} of ${topic}`;
  }
}
