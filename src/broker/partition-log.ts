import { mkdir } from "node:fs/promises";
import { OFFSET_OF } from "../kafka-wire/record-batch-format.ts";
import { type BatchFacts, stampAppendTime } from "./batch-check.ts";
import { BrokerError } from "./broker-error.ts";
import { type Checkpoint, type CheckpointKind, saveCheckpoint } from "./checkpoint.ts";
import { syncDirectory } from "../storage/file-io.ts";
import { type RecoveredLog, recoverLog } from "./log-recovery.ts";
import { findLatest, findPosition, findTime, type FoundRecord, segmentOf } from "./log-search.ts";
import type { LogEnvironment, LogSettings } from "./partition-settings.ts";
import type { ProducerStates } from "./producer-states.ts";
import { Segment } from "./segment.ts";

/** What became of a batch. */
export interface Appended {
  readonly baseOffset: number;
  /** -1 where records keep the time of their producer. */
  readonly appendTimeMs: number;
}

/** Where a batch stands. */
export interface LogPosition {
  readonly segment: Segment;
  readonly position: number;
}

/** Epoch of the one leader there ever is. */
export const LEADER_EPOCH = 0;

/** As many as Kafka has in one segment; what one batch can claim to hold fits by itself. */
const MOST_OFFSETS_OF_SEGMENT = 2 ** 31;

/** Where readers left off, so that the next fetch does not search. */
const MOST_HINTS = 32;

/**
 * The log of one partition: segments on disk, one writer at a time, any number
 * of readers.
 *
 * ```
 *   logStartOffset                                nextOffset
 *   ▼                                             ▼
 *   segment ─ segment ─ … ─ segment written to ───┤
 *   └─ retention removes from here
 * ```
 */
export class PartitionLog {
  readonly #directory: string;
  readonly #environment: LogEnvironment;
  readonly #settings: LogSettings;
  readonly #segments: Segment[];
  readonly #producers: ProducerStates;
  #nextOffset: number;
  /** Everything that changes the log, one after another. */
  #queue: Promise<unknown> = Promise.resolve();
  #isClosed = false;
  readonly #hints = new Map<number, LogPosition>();
  readonly #listeners = new Set<(bytes: number) => void>();
  /** Closed segments that may not be on the disk yet. */
  readonly #unsynced = new Set<Segment>();
  #checkpoints: Promise<void> = Promise.resolve();
  readonly #saved: Record<CheckpointKind, string> = { written: "", synced: "" };

  private constructor(
    directory: string,
    environment: LogEnvironment,
    settings: LogSettings,
    log: RecoveredLog,
  ) {
    this.#directory = directory;
    this.#environment = environment;
    this.#settings = settings;
    this.#segments = log.segments;
    this.#producers = log.producers;
    this.#nextOffset = log.nextOffset;
    for (const segment of log.unsynced) this.#unsynced.add(segment);
  }

  /** Opens a log, or begins one; see {@link recoverLog}. */
  static async open(
    directory: string,
    environment: LogEnvironment,
    settings: LogSettings,
  ): Promise<PartitionLog> {
    await mkdir(directory, { recursive: true });
    const found = await recoverLog(directory, environment);
    if (found.cutBytes > 0) {
      environment.logger.warn(
        `Cut '${found.cutBytes}' byte(s) behind the last whole batch of ${directory}, which ends at offset ${found.nextOffset}`,
      );
    }
    return new PartitionLog(directory, environment, settings, found);
  }

  /** First offset that is there. */
  get logStartOffset(): number {
    return this.#segments[0]!.baseOffset;
  }

  /** Offset that the next record gets. */
  get nextOffset(): number {
    return this.#nextOffset;
  }

  get sizeBytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.sizeBytes, 0);
  }

  /** Largest batch that is taken. */
  get maxMessageBytes(): number {
    return this.#settings.maxMessageBytes;
  }

  get #active(): Segment {
    return this.#segments.at(-1)!;
  }

  /** Calls `listener` after each append with the bytes that came. @returns how to end that */
  onAppend(listener: (bytes: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Appends a batch that was checked; one that is in the log already is only
   * found. With `fsync` "every" it is on the disk when this resolves.
   *
   * @param batch offset and leader epoch are written into it, and the time for LogAppendTime
   * @throws BrokerError what the producer is told
   */
  async append(batch: Buffer, facts: BatchFacts): Promise<Appended> {
    const { appended, segment } = await this.#inTurn(() => this.#append(batch, facts));
    if (this.#environment.fsync === "every" && segment !== undefined) {
      await segment.sync().catch((error: unknown) => {
        throw storageError(error);
      });
    }
    return appended;
  }

  async #append(
    batch: Buffer,
    facts: BatchFacts,
  ): Promise<{ appended: Appended; segment: Segment | undefined }> {
    const nowMs = this.#environment.now();
    const duplicate = this.#producers.findDuplicate(facts);
    if (duplicate !== undefined) {
      return {
        appended: { baseOffset: duplicate, appendTimeMs: -1 },
        // It may have been written and not synced when its answer was lost.
        segment: segmentOf(this.#segments, duplicate),
      };
    }
    this.#producers.check(facts);
    if (!this.#hasRoom(batch.length, facts)) await this.#roll();
    const segment = this.#active;
    const baseOffset = this.#nextOffset;
    batch.writeBigInt64BE(BigInt(baseOffset), OFFSET_OF.baseOffset);
    batch.writeInt32BE(LEADER_EPOCH, OFFSET_OF.partitionLeaderEpoch);
    const { logAppendTime } = this.#settings;
    if (logAppendTime) stampAppendTime(batch, nowMs);
    try {
      await segment.append(batch, baseOffset, logAppendTime ? nowMs : facts.maxTimestampMs);
    } catch (error) {
      throw storageError(error);
    }
    this.#producers.note(facts, baseOffset, nowMs);
    this.#nextOffset = baseOffset + facts.lastOffsetDelta + 1;
    for (const listener of this.#listeners) listener(batch.length);
    return { appended: { baseOffset, appendTimeMs: logAppendTime ? nowMs : -1 }, segment };
  }

  /** A segment ends by its size, and before an index could not count its offsets any more. */
  #hasRoom(bytes: number, { lastOffsetDelta }: BatchFacts): boolean {
    const { sizeBytes, baseOffset } = this.#active;
    const lastOffset = this.#nextOffset + lastOffsetDelta;
    return (
      sizeBytes + bytes <= this.#settings.segmentBytes &&
      lastOffset - baseOffset < MOST_OFFSETS_OF_SEGMENT
    );
  }

  /** Runs what changes the log after all that came before. */
  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(() => {
      if (this.#isClosed) {
        throw new BrokerError("NOT_LEADER_OR_FOLLOWER", "The partition is closed");
      }
      return change();
    });
    this.#queue = turn.catch(() => {});
    return turn;
  }

  /** Begins a new segment. */
  async #roll(): Promise<void> {
    const full = this.#active;
    if (full.sizeBytes === 0) return;
    const next = new Segment(this.#directory, this.#nextOffset);
    const isSynced = this.#environment.fsync === "every";
    try {
      await full.finish(this.#nextOffset);
      // Behind a gap nothing is kept: what is acknowledged in the next file needs all of this one.
      if (isSynced) await full.sync();
      // Its name remembers the offset, also when everything before it is deleted.
      await next.create();
      if (isSynced) await syncDirectory(this.#directory);
    } catch (error) {
      // A smaller batch may still fit into this segment; the name would then hide it from readers.
      await next.remove().catch(() => {});
      throw storageError(error);
    }
    this.#segments.push(next);
    this.#unsynced.add(full);
    this.#hints.clear();
    // Not waited for: a gigabyte takes its time, and nobody was promised that it is on the disk.
    void this.checkpoint("synced");
  }

  /**
   * Where to read from.
   *
   * @returns undefined at the end of the log
   * @throws BrokerError OFFSET_OUT_OF_RANGE
   */
  async locate(offset: number): Promise<LogPosition | undefined> {
    if (offset < this.logStartOffset || offset > this.#nextOffset) {
      throw new BrokerError(
        "OFFSET_OUT_OF_RANGE",
        `Offset ${offset} is not there: the log has ${this.logStartOffset} to ${this.#nextOffset}`,
      );
    }
    if (offset === this.#nextOffset) return undefined;
    const hint = this.#hints.get(offset);
    if (hint !== undefined && hint.position < hint.segment.sizeBytes) return hint;
    const segment = segmentOf(this.#segments, offset);
    return { segment, position: await findPosition(segment, offset) };
  }

  /** Notes where the batch with an offset stands, or will. */
  remember(offset: number, at: LogPosition): void {
    if (!this.#segments.includes(at.segment)) return;
    this.#hints.set(offset, at);
    if (this.#hints.size > MOST_HINTS) this.#hints.delete(this.#hints.keys().next().value!);
  }

  /** The first record at or after a time, undefined when all are earlier. */
  findTime(timestampMs: number): Promise<FoundRecord | undefined> {
    return findTime([...this.#segments], timestampMs);
  }

  /** The record with the latest time, undefined in an empty log. */
  async findLatest(): Promise<FoundRecord | undefined> {
    const latestMs = await findLatest([...this.#segments]);
    return latestMs === -Infinity ? undefined : this.findTime(latestMs);
  }

  /** Deletes segments that are too old or too many. */
  applyRetention(): Promise<void> {
    return this.#inTurn(async () => {
      const nowMs = this.#environment.now();
      this.#producers.expire(nowMs);
      if (this.#active.sizeBytes > 0 && (await this.#isOld(this.#active, nowMs)))
        await this.#roll();
      let bytes = this.sizeBytes;
      for (;;) {
        const [first, second] = this.#segments;
        if (first === undefined || second === undefined) return;
        const { retentionBytes } = this.#settings;
        const tooMuch = retentionBytes >= 0 && bytes - first.sizeBytes >= retentionBytes;
        if (!tooMuch && !(await this.#isOld(first, nowMs))) return;
        this.#segments.shift();
        this.#hints.clear();
        bytes -= first.sizeBytes;
        this.#unsynced.delete(first);
        await first.remove();
      }
    });
  }

  async #isOld(segment: Segment, nowMs: number): Promise<boolean> {
    const { retentionMs } = this.#settings;
    if (retentionMs < 0) return false;
    await segment.loadIndex();
    return nowMs - (segment.latestMs ?? -Infinity) > retentionMs;
  }

  /** Says up to where the log is good; does nothing when that has not changed. */
  checkpoint(kind: CheckpointKind): Promise<void> {
    this.#checkpoints = this.#checkpoints.then(() => this.#checkpoint(kind));
    return this.#checkpoints;
  }

  async #checkpoint(kind: CheckpointKind): Promise<void> {
    const segment = this.#active;
    const at = `${segment.baseOffset} ${segment.sizeBytes}`;
    if (this.#isClosed || this.#saved[kind] === at) return;
    const checkpoint: Checkpoint = {
      bootId: this.#environment.bootId,
      segment: segment.baseOffset,
      position: segment.sizeBytes,
      nextOffset: this.#nextOffset,
      latestMs: segment.latestMs === -Infinity ? null : (segment.latestMs ?? null),
      producers: this.#producers.snapshot(),
    };
    try {
      if (kind === "synced") {
        for (const closed of this.#unsynced) {
          if (!closed.isRemoved) await closed.sync();
          this.#unsynced.delete(closed);
        }
        await segment.sync();
      }
      await segment.index.save();
      await saveCheckpoint(this.#directory, kind, checkpoint);
      this.#saved[kind] = at;
    } catch (error) {
      this.#tell(`save the ${kind} checkpoint of`, error);
    }
  }

  /** Gives back files that nobody reads at the moment. */
  closeIdleFiles(): void {
    for (const segment of this.#segments) segment.closeIdle();
  }

  /** Waits for what is being written, and syncs it unless the log is to be deleted. */
  async close(keep: boolean): Promise<void> {
    await this.#inTurn(async () => {
      if (keep) {
        await this.checkpoint("synced");
        await this.checkpoint("written");
      }
      this.#isClosed = true;
      await this.#checkpoints;
    });
    for (const listener of this.#listeners) listener(0);
    // Who still reads closes the file when done, and does not open that of a topic of the same name.
    for (const segment of this.#segments) segment.giveUp();
  }

  #tell(action: string, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#environment.logger.warn(`Cannot ${action} ${this.#directory}: ${reason}`);
  }
}

function storageError(error: unknown): BrokerError {
  const reason = error instanceof Error ? error.message : String(error);
  return new BrokerError("KAFKA_STORAGE_ERROR", `The disk refused it: ${reason}`, { cause: error });
}
