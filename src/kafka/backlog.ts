import type { PartitionSpool } from "../spool/partition-spool.ts";
import type { Batch } from "./batch.ts";

/**
 * What stands behind the batches that a partition has in memory: entries of the
 * spool, and behind them batches that are still to be written there.
 *
 * ```
 *   [in flight][waiting] │ [spool, oldest first][pending] │ [open]
 *                        │        backlog                 │
 * ```
 */
export class Backlog {
  readonly spool: PartitionSpool;
  /** To be written, in order; the first one may be under way. */
  readonly pending: Batch[] = [];
  isWriting = false;
  isReading = false;
  readonly #filesDone: () => void;
  readonly #wallClock: () => number;
  #lastSentMs = 0;

  /** @param filesDone files of the spool can go */
  constructor(spool: PartitionSpool, filesDone: () => void, wallClock: () => number) {
    this.spool = spool;
    this.#filesDone = filesDone;
    this.#wallClock = wallClock;
  }

  /** True when the next closed batch may stand behind those in memory. */
  get isEmpty(): boolean {
    return this.pending.length === 0 && this.isAllRead;
  }

  /** True when every entry of the spool is in memory, or done. */
  get isAllRead(): boolean {
    return !this.spool.hasUnread && !this.isReading;
  }

  /** Frames that are not in the queue's memory. */
  get frameCount(): number {
    return this.pending.reduce(
      (sum, { writer }) => sum + writer.recordCount,
      this.spool.unreadFrames,
    );
  }

  /** Notes that a batch is about to be sent, and under which identity if it is of the spool. */
  noteSent({ spooled, producerId = -1n, epoch, baseSequence }: Batch): void {
    this.#lastSentMs = this.#wallClock();
    if (spooled === undefined) return;
    // Parts of a divided batch have identities of their own, and the entry is still whole.
    const isSame = !spooled.isDivided;
    this.spool.noteSent(
      {
        serial: spooled.serial,
        producerId: isSame ? producerId : -1n,
        epoch: isSame ? epoch : -1,
        baseSequence: isSame ? baseSequence : -1,
        isAcknowledged: false,
      },
      this.#lastSentMs,
    );
  }

  /** Wall clock when a batch was last sent, out of the spool or not; 0: none was. */
  get lastSentMs(): number {
    return this.#lastSentMs;
  }

  /** A batch, or a part of one, is dealt with. */
  done({ spooled }: Batch): void {
    if (spooled === undefined || --spooled.parts > 0) return;
    this.spool.done(spooled.serial);
    if (this.spool.hasDoneFiles) this.#filesDone();
  }
}
