import { decompressBatch } from "../kafka-wire/compression.ts";
import { NO_PRODUCER_ID } from "../kafka-wire/record-batch-writer.ts";
import { RecordBatchWriter } from "../kafka-wire/record-batch-writer.ts";
import type { Backlog } from "./backlog.ts";
import { copyRecords, newBatch } from "./batch.ts";
import type { Batch, Refusal } from "./batch.ts";
import type { BatchCompressor, CompressedBatch } from "./batch-compressor.ts";
import type { BatchMemory } from "./batch-memory.ts";

/** Largest producer epoch; behind it a new producer id is needed. */
const MAX_EPOCH = 32_767;

/** Sequence numbers wrap after this one. */
const MAX_SEQUENCE = 0x7fff_ffff;

/** Under which a partition's broker recognises batches it already has. */
export interface ProducerIdentity {
  /** {@link NO_PRODUCER_ID} without idempotence. */
  producerId: bigint;
  epoch: number;
  nextSequence: number;
}

/** Compresses the batches of a queue. */
export interface QueueCompression {
  readonly compressor: BatchCompressor;
  /** A batch was compressed meanwhile: there may be something to send, and there is memory. */
  readonly compressed: () => void;
  /** What ends the run: a codec fails on no input. */
  readonly failed: (error: unknown) => void;
}

/** Told what becomes of frames that a queue gives up. */
export interface QueueLosses {
  /** Frames that are certainly not in the log. */
  failed(frames: number, reason: string): void;
  /** A batch stands at `offset` of the log, which was beyond it: at `expected`. */
  logBegunAnew(partition: number, offset: bigint, expected: bigint): void;
}

/**
 * The batches of one partition, in order.
 *
 * ```
 *   frames → open → waiting → in flight (at most 5) → acknowledged
 *                      ↑            │
 *                      └── returned ┘   once nothing is in flight
 * ```
 *
 * With a compressor a batch is compressed as soon as it is closed; where that
 * takes a while, those behind it wait with it. From then on it is its
 * compressed records alone, so that more frames can wait when a broker is away.
 *
 * When a batch comes back, nothing more is sent until all that was in flight
 * is answered; then the returned ones go to the front in their order, keep
 * their sequence numbers, and are sent again before anything new is. So the
 * broker drops what it already has: it recognises the last five batches, and
 * never more than five are between the oldest unanswered and the newest sent.
 * A partition that does not know the producer id yet takes any sequence number
 * for the first, so until one batch is acknowledged only one is in flight.
 *
 * A batch that was refused for good is rewritten without the refused records;
 * those behind it cannot be in the log (their sequence did not follow), so the
 * epoch is raised and sequences begin at 0 again (KIP-360). A batch whose time
 * is up is dropped without that: should the gap matter, the broker says so
 * with OUT_OF_ORDER_SEQUENCE_NUMBER, and only then it is certain that nothing
 * behind it was appended.
 */
export class PartitionQueue {
  readonly partition: number;
  identity: ProducerIdentity;
  /** The batch that frames are appended to. */
  open: Batch | undefined;
  /** Nothing is sent: the publisher pauses after an error. */
  isHeldBack = false;
  readonly #memory: BatchMemory;
  readonly #losses: QueueLosses;
  readonly #maxInFlight: number;
  readonly #compression: QueueCompression | undefined;
  /** Behind what is in memory, where there is a spool. */
  readonly backlog: Backlog | undefined;
  #waiting: Batch[] = [];
  #inFlight: Batch[] = [];
  #returned = new Set<Batch>();
  #resequence = false;
  /** Under which the partition's leader acknowledged a batch; undefined: it may know none. */
  #knownProducerId: bigint | undefined;
  /** Where the next batch is expected in the log; -1 when that is not known. */
  #nextOffset = -1n;

  constructor(
    partition: number,
    identity: ProducerIdentity,
    maxInFlight: number,
    memory: BatchMemory,
    losses: QueueLosses,
    compression?: QueueCompression,
    backlog?: Backlog,
  ) {
    this.partition = partition;
    this.identity = identity;
    this.#maxInFlight = maxInFlight;
    this.#memory = memory;
    this.#losses = losses;
    this.#compression = compression;
    this.backlog = backlog;
  }

  /** Batches in flight. */
  get inFlightCount(): number {
    return this.#inFlight.length;
  }

  /** When the batch was sent that waits longest for its answer; undefined: none waits. */
  get unansweredSinceMs(): number | undefined {
    return this.#inFlight.find((batch) => !batch.isAcknowledged && !this.#returned.has(batch))
      ?.sentMs;
  }

  /** True when no frame is held. */
  get isEmpty(): boolean {
    return (
      this.open === undefined &&
      this.#waiting.length === 0 &&
      this.#inFlight.length === 0 &&
      this.backlog?.isEmpty !== false
    );
  }

  /** Frames that wait here: never sent, and sent without an answer. */
  countFrames(): { unsent: number; unanswered: number } {
    let unsent = this.backlog?.frameCount ?? 0;
    let unanswered = 0;
    const held = [...this.#waiting, ...this.#inFlight.filter((batch) => !batch.isAcknowledged)];
    if (this.open !== undefined) held.push(this.open);
    for (const { wasSent, refusal, writer } of held) {
      if (wasSent && refusal === undefined) unanswered += writer.recordCount;
      else unsent += writer.recordCount;
    }
    return { unsent, unanswered };
  }

  /** Opens a batch in `buffer`. The one that was open waits to be sent. */
  openBatch(buffer: Buffer, limitBytes: number, nowMs: number): RecordBatchWriter {
    this.closeOpen();
    const writer = new RecordBatchWriter(buffer, limitBytes, this.#memory.arena);
    this.open = newBatch({ writer, memory: this.#memory, bornMs: nowMs });
    return this.open.writer;
  }

  /** Moves the open batch to those that wait. */
  closeOpen(): void {
    const { open } = this;
    if (open === undefined) return;
    this.open = undefined;
    if (open.writer.recordCount > 0) {
      // Never past what is on disk.
      if (this.backlog?.isEmpty === false) this.backlog.pending.push(open);
      else this.#waiting.push(open);
      this.#compress(open);
    } else open.memory.giveBack(open.writer.buffer);
  }

  #compress(batch: Batch): void {
    if (this.#compression === undefined) return;
    const { compressor, compressed, failed } = this.#compression;
    const compressing = compressor.compress(batch.writer);
    if (!(compressing instanceof Promise)) {
      this.#useCompressed(batch, compressing);
      return;
    }
    batch.isCompressing = true;
    compressing.then((buffer) => {
      batch.isCompressing = false;
      if (batch.isDropped) batch.memory.giveBack(batch.writer.buffer);
      else this.#useCompressed(batch, buffer);
      compressed();
    }, failed);
  }

  #useCompressed({ writer, memory }: Batch, buffer: CompressedBatch): void {
    if (buffer === undefined) return;
    memory.adopt(buffer);
    memory.giveBack(writer.buffer);
    writer.useCompressed(this.#compression!.compressor.codec.name, buffer);
  }

  /**
   * @param openBefore an open batch born before this time is ready too
   * @returns true when `take` will give a batch, or begin to compress the one it would give
   */
  isReady(openBefore: number): boolean {
    if (this.#returned.size > 0 || this.isHeldBack || this.needsProducerId) return false;
    const first = this.#next;
    if (first === undefined) return false;
    const isKnown = this.#knownProducerId === (first.producerId ?? this.identity.producerId);
    if (this.#inFlight.length >= (isKnown ? this.#maxInFlight : 1)) return false;
    if (!first.wasSent && this.#inFlight.some((batch) => batch.isRetry)) return false;
    if (first === this.open) return first.bornMs <= openBefore;
    if (first.isCompressing) return false;
    return first.refusal === undefined || this.#inFlight.length === 0;
  }

  /** Bytes of the batch that `take` would give, or 0. */
  nextBatchBytes(): number {
    return this.#next?.writer.length ?? 0;
  }

  /** The batch to be sent next; the open one has to wait for what is on disk. */
  get #next(): Batch | undefined {
    return this.#waiting[0] ?? (this.backlog?.isEmpty === false ? undefined : this.open);
  }

  /** Takes the next batch into flight; call only when `isReady`. */
  take(nowMs: number): Batch | undefined {
    if (this.#waiting.length === 0) this.closeOpen();
    while (this.#waiting[0]?.refusal !== undefined) this.#rewriteFirst();
    if (this.#resequence && this.#inFlight.length === 0) this.#beginEpoch();
    if (this.#waiting[0]?.isCompressing === true) return undefined;
    const batch = this.#waiting.shift();
    if (batch === undefined) return undefined;
    this.#seal(batch);
    this.backlog?.noteSent(batch);
    batch.wasSent = true;
    batch.sentMs = nowMs;
    this.#inFlight.push(batch);
    return batch;
  }

  #seal(batch: Batch): void {
    if (batch.sealed !== undefined) return;
    const { identity } = this;
    batch.producerId = identity.producerId;
    batch.epoch = identity.epoch;
    if (identity.producerId === NO_PRODUCER_ID) {
      batch.sealed = batch.writer.seal(NO_PRODUCER_ID, -1, -1);
      return;
    }
    const { recordCount } = batch.writer;
    batch.baseSequence = identity.nextSequence;
    batch.sealed = batch.writer.seal(identity.producerId, identity.epoch, batch.baseSequence);
    const next = identity.nextSequence + recordCount;
    identity.nextSequence = next > MAX_SEQUENCE ? next - MAX_SEQUENCE - 1 : next;
  }

  /** The broker has the batch: its memory is free. */
  acknowledged(batch: Batch, baseOffset: bigint): void {
    this.#knownProducerId = batch.producerId;
    batch.baseOffset = baseOffset;
    batch.isAcknowledged = true;
    batch.isRetry = false;
    batch.memory.giveBack(batch.writer.buffer);
    this.backlog?.done(batch);
    while (this.#inFlight[0]?.isAcknowledged === true) this.#passed(this.#inFlight.shift()!);
    this.#settle();
  }

  /** Everything up to this batch is in the log: it has to stand behind what was there before. */
  #passed({ baseOffset, writer }: Batch): void {
    if (baseOffset < 0n) return;
    if (baseOffset < this.#nextOffset) {
      this.#losses.logBegunAnew(this.partition, baseOffset, this.#nextOffset);
    }
    this.#nextOffset = baseOffset + BigInt(writer.recordCount);
  }

  /**
   * The topic is gone. A log that takes its place knows no producer: its first
   * batch goes alone. If it was only not there for a moment, that costs nothing.
   */
  logLost(): void {
    this.#knownProducerId = undefined;
  }

  /** A batch in flight came back, to be sent again under its identity. */
  returned(batch: Batch): void {
    this.#returned.add(batch);
    this.#settle();
  }

  /** A batch in flight was refused for good. */
  refused(batch: Batch, refusal: Refusal): void {
    batch.refusal = refusal;
    this.#returned.add(batch);
    this.#settle();
  }

  /**
   * The broker misses batches before this one. If one of those came back too,
   * it only has to be sent first; otherwise sequences begin anew.
   */
  outOfOrder(batch: Batch): void {
    if (this.#inFlight[0] === batch) this.#resequence = true;
    this.returned(batch);
  }

  /** The broker does not know the producer id, or knows a newer epoch of it. */
  identityLost(batch: Batch): void {
    this.#knownProducerId = undefined;
    this.#resequence = true;
    this.returned(batch);
  }

  #settle(): void {
    if (this.#returned.size === 0) return;
    const unacknowledged = this.#inFlight.filter((batch) => !batch.isAcknowledged);
    if (this.#returned.size < unacknowledged.length) return;
    for (const batch of unacknowledged) batch.isRetry = true;
    this.#waiting.unshift(...unacknowledged);
    this.#inFlight = [];
    this.#returned.clear();
  }

  /** Takes the refused records out of the first batch, or halves it. */
  #rewriteFirst(): void {
    const batch = this.#waiting.shift()!;
    const { records, reason } = batch.refusal!;
    const { recordCount, buffer } = batch.writer;
    const { spooled, memory } = batch;
    const parts: Batch[] = [];
    const sealed = this.uncompressed(batch);
    if (records !== undefined) {
      this.#losses.failed(records.size, reason);
      parts.push(copyRecords(batch, sealed, (index) => !records.has(index)));
    } else if (recordCount === 1) {
      this.#losses.failed(1, reason);
    } else {
      const half = recordCount >>> 1;
      parts.push(
        copyRecords(batch, sealed, (index) => index < half),
        copyRecords(batch, sealed, (index) => index >= half),
      );
    }
    memory.giveBack(buffer);
    for (const part of parts) {
      if (part.writer.recordCount === 0) memory.giveBack(part.writer.buffer);
    }
    const kept = parts.filter(({ writer }) => writer.recordCount > 0);
    if (spooled !== undefined) {
      spooled.isDivided = true;
      spooled.parts += kept.length;
    }
    this.backlog?.done(batch);
    this.#waiting.unshift(...kept);
    for (const part of kept) this.#compress(part);
    this.#resequence = true;
  }

  /** A batch that was sealed, as it was before it was compressed. */
  uncompressed(batch: Batch): Buffer {
    const sealed = batch.sealed!;
    const codec = batch.codec ?? this.#compression?.compressor.codec;
    return codec === undefined ? sealed : decompressBatch(sealed, codec);
  }

  /**
   * Leaves what waits behind the first few to the backlog, to be written to disk.
   *
   * @param kept batches that stay, so that there is something to send at once
   */
  spill(kept: number): void {
    const { backlog } = this;
    if (backlog === undefined) return;
    // Behind entries that were read nothing can stand in memory that is older than those on disk.
    if (!backlog.isEmpty) return;
    const lastSpooled = this.#waiting.findLastIndex(({ spooled }) => spooled !== undefined);
    const from = Math.max(kept, lastSpooled + 1);
    backlog.pending.push(...this.#waiting.splice(from));
  }

  /** Whether a batch out of the backlog would be sent soon. */
  wantsMore(kept: number): boolean {
    return this.#waiting.length < kept;
  }

  /** Takes a batch out of the backlog. */
  addNext(batch: Batch): void {
    this.#waiting.push(batch);
  }

  /**
   * What a run that ends leaves to the spool: all that is in memory alone.
   *
   * @returns in order; each group with the serial of the entry it belongs in front of, `unread` for the
   *   first that was not read, or `end`
   */
  takeHeld(): { batches: Batch[]; before: number | "unread" | "end" }[] {
    this.closeOpen();
    const groups: { batches: Batch[]; before: number | "unread" | "end" }[] = [];
    let batches: Batch[] = [];
    const held = [...this.#inFlight.filter((batch) => !batch.isAcknowledged), ...this.#waiting];
    for (const batch of held) {
      const { spooled } = batch;
      if (spooled === undefined) {
        batches.push(batch);
      } else if (batches.length > 0) {
        groups.push({ batches, before: spooled.serial });
        batches = [];
      }
    }
    const { spool, pending } = this.backlog!;
    if (spool.hasUnread) groups.push({ batches, before: "unread" });
    else pending.unshift(...batches);
    groups.push({ batches: pending, before: "end" });
    return groups.filter((group) => group.batches.length > 0);
  }

  /** True when the epoch is used up: nothing is sent until `useProducerId`. */
  get needsProducerId(): boolean {
    if (this.identity.epoch < MAX_EPOCH) return false;
    return this.#resequence || this.#waiting[0]?.refusal !== undefined;
  }

  /** Goes on under a new producer id; call only when `needsProducerId` and nothing is in flight. */
  useProducerId(identity: ProducerIdentity): void {
    this.identity = { ...identity };
    this.#knownProducerId = undefined;
    this.#forgetSequences();
  }

  #beginEpoch(): void {
    if (this.identity.producerId !== NO_PRODUCER_ID) this.identity.epoch++;
    this.identity.nextSequence = 0;
    this.#forgetSequences();
  }

  #forgetSequences(): void {
    this.#resequence = false;
    for (const batch of this.#waiting) {
      // One that was refused too is about to be rewritten, from these bytes.
      if (batch.refusal === undefined) batch.sealed = undefined;
      batch.producerId = undefined;
      batch.baseSequence = -1;
      batch.wasSent = false;
      batch.isRetry = false;
    }
  }

  /**
   * Drops the batches that wait and were born before `bornBeforeMs`.
   *
   * @returns their frames: never sent, and sent without an answer
   */
  expire(bornBeforeMs: number): { unsent: number; unanswered: number } {
    let unsent = 0;
    let unanswered = 0;
    if (this.open !== undefined && this.open.bornMs < bornBeforeMs) this.closeOpen();
    while (this.#waiting[0] !== undefined && this.#waiting[0].bornMs < bornBeforeMs) {
      const batch = this.#waiting.shift()!;
      const { wasSent, writer } = batch;
      if (wasSent && batch.refusal === undefined) unanswered += writer.recordCount;
      else unsent += writer.recordCount;
      batch.isDropped = true;
      if (!batch.isCompressing) batch.memory.giveBack(writer.buffer);
      this.backlog?.done(batch);
    }
    return { unsent, unanswered };
  }
}
