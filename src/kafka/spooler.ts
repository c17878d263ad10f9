import { loadCodec } from "../kafka-wire/compression.ts";
import type { RecordCodec } from "../kafka-wire/compression.ts";
import { readRecordBatchHeader } from "../kafka-wire/record-batch-reader.ts";
import { NO_PRODUCER_ID, RecordBatchWriter } from "../kafka-wire/record-batch-writer.ts";
import type { Logger } from "../logger.ts";
import type { ReadEntry, SpoolableBatch } from "../spool/partition-spool.ts";
import type { Spool } from "../spool/spool.ts";
import type { Backlog } from "./backlog.ts";
import { newBatch } from "./batch.ts";
import type { Batch } from "./batch.ts";
import type { BatchMemory } from "./batch-memory.ts";
import type { PartitionQueue } from "./partition-queue.ts";

/** Batches of a partition that stay in memory, or are read ahead: as many as may be in flight. */
export const KEPT_IN_MEMORY = 5;

/** What a {@link Spooler} needs of the publisher. */
export interface SpoolerHost {
  readonly spool: Spool;
  readonly queues: readonly PartitionQueue[];
  /** Memory for batches out of the spool. */
  readonly memory: BatchMemory;
  readonly topic: { readonly name: string; readonly retentionMs: number | undefined };
  readonly logger: Logger;
  readonly wallClock: () => number;
  /** Memory was freed, or there is something to send. */
  changed(): void;
  /** Frames that are lost because the disk does not give them back. */
  failed(frames: number, reason: string): void;
  /** Nothing is to be read or written any more. */
  isClosed(): boolean;
}

/** Moves batches between memory and spool, as long as a publisher runs and when it ends. */
export class Spooler {
  readonly #host: SpoolerHost;
  readonly #codecs = new Map<string, RecordCodec>();
  #isWriting = false;
  /** What is read or written at present. */
  readonly #underWay = new Set<Promise<void>>();
  #isAgeTold = false;

  constructor(host: SpoolerHost) {
    this.#host = host;
  }

  /** Leaves what the memory cannot hold to the spool. */
  spill(): void {
    for (const queue of this.#host.queues) queue.spill(KEPT_IN_MEMORY);
    this.advance();
  }

  /** True when a batch found no room in the spool, and waits in memory. */
  get isFull(): boolean {
    return this.#host.spool.isFull;
  }

  /** Writes what is to be written, reads what will be sent soon. Called whenever something has changed. */
  advance(): void {
    if (this.#host.isClosed()) return;
    for (const queue of this.#host.queues) {
      const { backlog } = queue;
      if (backlog === undefined || backlog.isEmpty) continue;
      this.#catchUp(queue, backlog);
      if (!backlog.isAllRead) this.#track(this.#read(queue, backlog));
    }
    this.#track(this.#write());
  }

  #track(work: Promise<void>): void {
    this.#underWay.add(work);
    void work.finally(() => this.#underWay.delete(work));
  }

  /** When all of the spool is read, batches go on in memory that nobody has begun to write. */
  #catchUp(queue: PartitionQueue, backlog: Backlog): void {
    while (
      backlog.isAllRead &&
      !backlog.isWriting &&
      backlog.pending.length > 0 &&
      queue.wantsMore(KEPT_IN_MEMORY)
    ) {
      queue.addNext(backlog.pending.shift()!);
    }
  }

  async #write(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    try {
      for (let found = this.#nextToWrite(); found !== undefined; found = this.#nextToWrite()) {
        const { queue, backlog, batch } = found;
        backlog.isWriting = true;
        const isWritten = await this.#host.spool
          .append(queue.partition, this.#spoolable(batch, backlog))
          .finally(() => (backlog.isWriting = false));
        if (!isWritten) return;
        backlog.pending.shift();
        batch.memory.giveBack(batch.writer.buffer);
        if (this.#host.isClosed()) return;
        this.#host.changed();
      }
    } finally {
      this.#isWriting = false;
    }
  }

  #nextToWrite(): { queue: PartitionQueue; backlog: Backlog; batch: Batch } | undefined {
    for (const queue of this.#host.queues) {
      const { backlog } = queue;
      const batch = backlog?.pending[0];
      if (backlog !== undefined && batch !== undefined && !batch.isCompressing) {
        return { queue, backlog, batch };
      }
    }
    return undefined;
  }

  async #read(queue: PartitionQueue, backlog: Backlog): Promise<void> {
    if (backlog.isReading || !queue.wantsMore(KEPT_IN_MEMORY)) return;
    const { spool, memory } = this.#host;
    backlog.isReading = true;
    let isProgress = false;
    try {
      const result = await spool.run(() => backlog.spool.read((bytes) => memory.lend(bytes)));
      switch (result.kind) {
        case "entry":
          queue.addNext(await this.#batchOf(result.entry));
          isProgress = true;
          break;
        case "damaged": {
          if (result.buffer !== undefined) memory.giveBack(result.buffer);
          const reason = `"${result.path}" of the spool is damaged`;
          this.#host.failed(result.frameCount, reason);
          isProgress = true;
          break;
        }
        case "nothing":
      }
    } catch (error) {
      spool.tellUnreadable(error, "it is tried again, and frames behind it wait");
    } finally {
      backlog.isReading = false;
    }
    if (isProgress) this.#host.changed();
  }

  async #batchOf({ buffer, batchLength, serial, frameCount, ...entry }: ReadEntry): Promise<Batch> {
    const { wallClock, memory } = this.#host;
    const { compression } = readRecordBatchHeader(buffer, 0, batchLength, false)!;
    if (compression !== "none" && !this.#codecs.has(compression)) {
      this.#codecs.set(compression, await loadCodec(compression));
    }
    const writer = RecordBatchWriter.restore(buffer, batchLength);
    const codec = this.#codecs.get(compression);
    const bornMs = performance.now() - (wallClock() - entry.bornMs);
    const spooled = { serial, frameCount, parts: 1, isDivided: false };
    const batch = newBatch({ writer, memory, bornMs, spooled, codec });
    this.#moveOldTimestamps(writer);
    if (entry.identity === undefined) return batch;
    const { producerId, epoch, baseSequence } = entry.identity;
    Object.assign(batch, { producerId, epoch, baseSequence, wasSent: true, isRetry: true });
    batch.sealed = writer.seal(producerId, epoch, baseSequence);
    return batch;
  }

  /** A broker would delete what is older than its topic keeps, perhaps before anybody has read it. */
  #moveOldTimestamps(writer: RecordBatchWriter): void {
    const { topic, logger, wallClock } = this.#host;
    const nowMs = wallClock();
    if (topic.retentionMs === undefined || nowMs - writer.maxTimestampMs <= topic.retentionMs) {
      return;
    }
    const wasMs = writer.maxTimestampMs;
    writer.moveTimestamps(nowMs);
    if (this.#isAgeTold) return;
    this.#isAgeTold = true;
    logger.warn(
      `Spooled frames of ${new Date(wasMs).toISOString()} are older than topic "${topic.name}" keeps ` +
        `(retention.ms ${topic.retentionMs}): they get the time of publishing as record timestamp, keys keep the capture time`,
    );
  }

  /** Waits until nothing is on its way between memory and spool; the publisher is closed. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  /**
   * Leaves all that is held to the spool, for the next process; nothing is sent
   * or answered any more, and all is settled.
   *
   * @returns frames that found no room
   */
  async keepHeld(): Promise<number> {
    let unkept = 0;
    for (const queue of this.#host.queues) {
      for (const { batches, before } of queue.takeHeld()) {
        unkept += await this.#keep(queue, batches, before);
      }
    }
    return unkept;
  }

  /** @returns frames that found no room */
  async #keep(
    { partition, backlog }: PartitionQueue,
    batches: readonly Batch[],
    before: number | "unread" | "end",
  ): Promise<number> {
    const { spool } = this.#host;
    const spoolable = batches.map((batch) => this.#spoolable(batch, backlog));
    if (before !== "end") {
      const serial = before === "unread" ? undefined : before;
      return (await spool.insert(partition, spoolable, serial)) ? 0 : countFrames(batches);
    }
    for (const [index, batch] of spoolable.entries()) {
      if (await spool.append(partition, batch)) continue;
      return countFrames(batches.slice(index));
    }
    return 0;
  }

  /** A batch that was sent keeps what it was sent under. */
  #spoolable(
    { writer, sealed, wasSent, bornMs }: Batch,
    backlog: Backlog | undefined,
  ): SpoolableBatch {
    return {
      sentMs: wasSent ? backlog?.lastSentMs : undefined,
      bytes: sealed ?? writer.seal(NO_PRODUCER_ID, -1, -1),
      frameCount: writer.recordCount,
      bornMs: this.#host.wallClock() - (performance.now() - bornMs),
    };
  }
}

function countFrames(batches: readonly Batch[]): number {
  return batches.reduce((sum, { writer }) => sum + writer.recordCount, 0);
}
