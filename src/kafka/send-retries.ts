import type { BackOff } from "../back-off.ts";
import type { PartitionQueue } from "./partition-queue.ts";

/** What {@link SendRetries} needs of the publisher. */
export interface RetryHost {
  /** Asks who leads; false when the brokers do not know at the moment. */
  refreshLeaders(): Promise<boolean>;
  /** Asking failed. */
  failed(error: Error): void;
  /** The queues are free again: send. */
  resume(): void;
}

/**
 * Holds queues back for a pause after an error; then asks who leads their
 * partitions, if that may have changed, and lets them go.
 */
export class SendRetries {
  readonly #backOff: BackOff;
  readonly #host: RetryHost;
  readonly #held = new Set<PartitionQueue>();
  /** The next retry asks who leads. */
  #isLeaderStale = false;
  #isUnderWay = false;
  #isCancelled = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(backOff: BackOff, host: RetryHost) {
    this.#backOff = backOff;
    this.#host = host;
  }

  /** Holds these queues back, beside those that are already, until the next retry. */
  later(staleLeader: boolean, queues: readonly PartitionQueue[]): void {
    if (this.#isCancelled) return;
    for (const queue of queues) {
      queue.isHeldBack = true;
      this.#held.add(queue);
    }
    if (this.#held.size === 0) return;
    this.#isLeaderStale ||= staleLeader;
    if (this.#timer !== undefined || this.#isUnderWay) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#retry();
    }, this.#backOff.nextDelayMs());
  }

  /** Something succeeded: the next pause is a short one. */
  reset(): void {
    this.#backOff.reset();
  }

  /** Nothing is retried any more. */
  cancel(): void {
    this.#isCancelled = true;
    clearTimeout(this.#timer);
  }

  async #retry(): Promise<void> {
    this.#isUnderWay = true;
    let failure: Error | undefined;
    try {
      if (this.#isLeaderStale && (await this.#host.refreshLeaders())) this.#isLeaderStale = false;
    } catch (error) {
      failure = error as Error;
    }
    this.#isUnderWay = false;
    if (this.#isCancelled) return;
    if (failure !== undefined) {
      this.#host.failed(failure);
      this.later(true, []);
      return;
    }
    if (this.#isLeaderStale) {
      this.later(true, []);
      return;
    }
    for (const queue of this.#held) queue.isHeldBack = false;
    this.#held.clear();
    this.#host.resume();
  }
}
