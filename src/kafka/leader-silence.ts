import type { PartitionQueue } from "./partition-queue.ts";
import type { TopicFinding } from "./topic-watch.ts";

/** A broker that has not answered for this long is said to be silent, and others are asked who leads. */
const SILENT_AFTER_MS = 5000;

/** What {@link LeaderSilence} needs of the publisher. */
export interface SilenceHost {
  /** Partitions by the node that leads them, -1 for nobody. */
  queuesByLeader(): ReadonlyMap<number, readonly PartitionQueue[]>;
  /** These partitions wait for an answer for too long. */
  silent(partitions: readonly number[], reason: string): void;
  /** Asks who leads, a broker other than this one. */
  look(exceptNode: number): Promise<TopicFinding>;
  /** Loses the connection to a broker. */
  giveUp(nodeId: number, reason: string): void;
}

/**
 * Notices brokers that do not answer although their connections stand: a cable
 * that is out, a firewall that drops packets, a process that hangs. A request
 * is lost only after `socket.timeout.ms`, a minute; by then the others have
 * long had a new leader, and know it.
 */
export class LeaderSilence {
  readonly #host: SilenceHost;
  #isAsking = false;
  #nextQuestionMs = 0;

  constructor(host: SilenceHost) {
    this.#host = host;
  }

  /** Looks whether somebody is silent; called now and then. @throws what {@link SilenceHost.look} does */
  async check(): Promise<void> {
    const nowMs = performance.now();
    for (const [nodeId, queues] of this.#host.queuesByLeader()) {
      const silent = queues.filter(
        ({ unansweredSinceMs = nowMs }) => nowMs - unansweredSinceMs >= SILENT_AFTER_MS,
      );
      if (silent.length === 0) continue;
      this.#host.silent(
        silent.map(({ partition }) => partition),
        `broker ${nodeId} has not answered for ${SILENT_AFTER_MS / 1000} s`,
      );
      await this.#ask(nodeId, silent);
    }
  }

  async #ask(nodeId: number, silent: readonly PartitionQueue[]): Promise<void> {
    if (this.#isAsking || performance.now() < this.#nextQuestionMs) return;
    this.#isAsking = true;
    try {
      const found = await this.#host.look(nodeId);
      if (!("leaders" in found)) return;
      const hasMoved = silent.some(({ partition }) => {
        const leader = found.leaders[partition] ?? -1;
        return leader >= 0 && leader !== nodeId;
      });
      if (hasMoved) this.#host.giveUp(nodeId, "another broker leads now");
    } finally {
      this.#isAsking = false;
      this.#nextQuestionMs = performance.now() + SILENT_AFTER_MS;
    }
  }
}
