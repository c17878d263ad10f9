import { join } from "node:path";
import { OFFSET_OF } from "../kafka-wire/record-batch-format.ts";
import { ENTRY_HEADER_BYTES } from "./spool-entry.ts";
import type { SpoolEntry } from "./spool-entry.ts";
import type { PartitionProgress, SentIdentity } from "./spool-progress.ts";
import { SpoolSegment } from "./spool-segment.ts";

/** Between the numbers of entries there is room for some that are written later, and stand before. */
const SERIAL_STEP = 2 ** 20;

/** What a {@link PartitionSpool} needs of the spool it is part of. */
export interface PartitionSpoolHost {
  readonly directory: string;
  /** A segment that has this much is followed by the next. */
  readonly segmentBytes: number;
  /** Writes how far the partition is. */
  save(partition: number, progress: PartitionProgress): void;
  /** A file was made or deleted: names are to be brought to the disk. */
  filesChanged(): void;
}

/** A batch that is to be spooled, sealed: with its identity, or with none when it was never sent. */
export interface SpoolableBatch {
  readonly bytes: Buffer;
  readonly frameCount: number;
  /** Wall clock when its first frame was taken. */
  readonly bornMs: number;
  /** Wall clock when it was last sent; undefined: it never was. */
  readonly sentMs: number | undefined;
}

/** An entry that was read. */
export interface ReadEntry extends SpoolEntry {
  /** Memory that was lent for it; begins with the batch. */
  readonly buffer: Buffer;
  /** As it was sent, perhaps by another process; undefined: it never was. */
  readonly identity: SentIdentity | undefined;
}

/** What came of reading the next entry. */
export type ReadResult =
  | { readonly kind: "entry"; readonly entry: ReadEntry }
  /** There is none, or no memory for it. */
  | { readonly kind: "nothing" }
  /** Damaged: it and what stands behind it in its file cannot be read, and is passed over. */
  | {
      readonly kind: "damaged";
      readonly path: string;
      readonly frameCount: number;
      /** What was lent meanwhile. */
      readonly buffer: Buffer | undefined;
    };

/** An entry that was read, and is not passed. */
interface OpenEntry {
  readonly serial: number;
  readonly frameCount: number;
  isDone: boolean;
}

/**
 * The entries of one partition, oldest first:
 *
 * ```
 *   segments   [──────────────][──────────────][────── ─ ─
 *                 ↑ next             ↑ read          ↑ end
 *                 not done           not yet read
 * ```
 *
 * A file goes when all of its entries are done. Calls that return promises are
 * made one at a time, see `Spool.run`.
 */
export class PartitionSpool {
  readonly partition: number;
  readonly #host: PartitionSpoolHost;
  #segments: SpoolSegment[] = [];
  /** All entries below are done. */
  #next = 0;
  #lastSerial = 0;
  #readSegment: SpoolSegment | undefined;
  #readPosition = 0;
  #lastReadSerial = 0;
  /** Frames of entries that are not done, and that were not read yet. */
  #frames = 0;
  #unreadFrames = 0;
  /** Of all that was ever appended. */
  #framesBeforeEnd = 0;
  #open: OpenEntry[] = [];
  /** Entries not read yet that a process before has sent, and that are acknowledged. */
  readonly #ahead = new Set<number>();
  #sent: SentIdentity[] = [];
  #lastSentMs = 0;

  constructor(partition: number, host: PartitionSpoolHost) {
    this.partition = partition;
    this.#host = host;
  }

  /** Frames of entries that are not done. */
  get frameCount(): number {
    return this.#frames;
  }

  /** Frames of entries that were not read yet. */
  get unreadFrames(): number {
    return this.#unreadFrames;
  }

  /** Whether there are entries that were not read yet. */
  get hasUnread(): boolean {
    const last = this.#segments.at(-1);
    if (last === undefined) return false;
    const at = this.#readSegment ?? this.#segments[0]!;
    if (at.bytes > (this.#readSegment === undefined ? 0 : this.#readPosition)) return true;
    // A file that could not be written is empty, and the last one.
    return at !== last && (last.bytes > 0 || this.#segments.at(-2) !== at);
  }

  /** Bytes of its files. */
  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.bytes, 0);
  }

  /** When an entry that is not done was last sent; 0: none was. */
  get lastSentMs(): number {
    return this.#sent.length > 0 ? this.#lastSentMs : 0;
  }

  /**
   * Takes up what a process before left.
   *
   * @param files names and sizes
   * @returns bytes that were cut because they are no whole entry
   * @throws what the system says
   */
  async recover(
    files: readonly { readonly name: string; readonly bytes: number }[],
    progress: PartitionProgress | undefined,
  ): Promise<number> {
    this.#segments = files
      .map(({ name, bytes }) => {
        return new SpoolSegment(join(this.#host.directory, name), serialOf(name), bytes);
      })
      .toSorted((a, b) => a.firstSerial - b.firstSerial);
    this.#next = progress?.next ?? 0;
    this.#sent = [...(progress?.sent ?? [])];
    this.#lastSentMs = progress?.lastSentMs ?? 0;
    this.#lastSerial = Math.max(0, this.#next - 1);
    await this.#cutMoved();
    const cutBytes = await this.#findEnd();
    await this.#findNext();
    await this.removeDone();
    return cutBytes;
  }

  /** Entries that were moved behind inserted ones go from where they were, should a crash have left them there. */
  async #cutMoved(): Promise<void> {
    for (const [index, segment] of this.#segments.entries()) {
      const before = this.#segments[index - 1];
      if (before === undefined || !isInserted(segment.firstSerial)) continue;
      const first = await before.find(segment.firstSerial);
      if (first === undefined || first.position === 0) continue;
      const moved = await segment.find(first.entry.serial);
      if (moved?.entry.serial === first.entry.serial) await before.cut(first.position);
    }
  }

  /** Only the last file can have been written when the process before died. */
  async #findEnd(): Promise<number> {
    let cutBytes = 0;
    for (let last = this.#segments.at(-1); last !== undefined; last = this.#segments.at(-1)) {
      let position = 0;
      let found = await last.entryAt(position);
      while (found !== undefined) {
        const { entry, header } = found;
        if (!(await last.readBatch(position, header, Buffer.alloc(entry.batchLength)))) break;
        this.#lastSerial = Math.max(this.#lastSerial, entry.serial);
        this.#framesBeforeEnd = entry.framesBefore + entry.frameCount;
        position += ENTRY_HEADER_BYTES + entry.batchLength;
        found = await last.entryAt(position);
      }
      if (position < last.bytes) {
        cutBytes += last.bytes - position;
        await last.cut(position);
      }
      if (position > 0) break;
      await last.remove();
      this.#segments.pop();
    }
    return cutBytes;
  }

  /** Places the reader at the first entry that is not done, or at the end, and counts frames. */
  async #findNext(): Promise<void> {
    for (const { serial, isAcknowledged } of this.#sent)
      if (isAcknowledged) this.#ahead.add(serial);
    const unseen = new Set(this.#ahead);
    let isFound = false;
    this.#lastReadSerial = this.#lastSerial;
    this.#readSegment = this.#segments.at(-1);
    this.#readPosition = this.#readSegment?.bytes ?? 0;
    for (const segment of this.#segments) {
      // Entries that were appended tell the sum of all before; only inserted ones have to be counted.
      if (isFound && unseen.size === 0 && !isInserted(segment.firstSerial)) continue;
      for (let position = 0; ;) {
        const found = await segment.entryAt(position);
        if (found === undefined) break;
        const { serial, frameCount, framesBefore, batchLength } = found.entry;
        if (serial >= this.#next && !isFound) {
          isFound = true;
          this.#readSegment = segment;
          this.#readPosition = position;
          this.#lastReadSerial = serial - 1;
          this.#frames = this.#framesBeforeEnd - framesBefore;
        }
        if (isFound && isInserted(serial)) this.#frames += frameCount;
        if (unseen.delete(serial)) this.#frames -= frameCount;
        if (isFound && unseen.size === 0 && !isInserted(serial)) break;
        position += ENTRY_HEADER_BYTES + batchLength;
      }
    }
    this.#unreadFrames = this.#frames;
  }

  /** Entries of another cluster's producer ids: none of them was sent to this one. */
  forgetIdentities(): void {
    this.#sent = [];
    this.#ahead.clear();
    this.#save();
  }

  /** Writes a batch behind the others. @throws what the system says; nothing has changed then */
  async append(batch: SpoolableBatch): Promise<void> {
    const { bytes, frameCount, bornMs } = batch;
    const serial = (Math.floor(this.#lastSerial / SERIAL_STEP) + 1) * SERIAL_STEP;
    let segment = this.#segments.at(-1);
    // What is in memory now stands before this entry: should it be written after all, it finds a place.
    if (!this.hasUnread || segment === undefined || segment.bytes >= this.#host.segmentBytes) {
      if (segment?.bytes === 0) await this.#segments.pop()!.remove();
      segment = this.#newSegment(serial);
      this.#segments.push(segment);
    }
    const framesBefore = this.#framesBeforeEnd;
    const batchLength = bytes.length;
    await segment.append({ serial, frameCount, framesBefore, bornMs, batchLength }, bytes);
    this.#noteSentBefore([{ serial, batch }]);
    this.#lastSerial = serial;
    this.#framesBeforeEnd += frameCount;
    this.#frames += frameCount;
    this.#unreadFrames += frameCount;
  }

  /**
   * Writes batches in front of an entry, when the process is about to end: they were
   * taken before it, and stayed in memory.
   *
   * @param before serial of the entry; undefined: the first that was not read yet
   * @throws what the system says; none of them is there then
   */
  async insert(batches: readonly SpoolableBatch[], before?: number): Promise<void> {
    const place = (await this.#find(before ?? this.#lastReadSerial + 1))!;
    const { segment: behind, position, entry } = place;
    // Inserted ones are not in the sums of those behind them.
    const { framesBefore } = entry;
    const firstSerial = entry.serial - batches.length;
    const entries = batches.map((batch, index) => ({ serial: firstSerial + index, batch }));
    const segment = this.#newSegment(firstSerial);
    const [next, sent] = [this.#next, this.#sent];
    try {
      await segment.writeWhole(async (part) => {
        for (const { serial, batch } of entries) {
          const { bytes, frameCount, bornMs } = batch;
          const batchLength = bytes.length;
          await part.append({ serial, frameCount, framesBefore, bornMs, batchLength }, bytes);
        }
        if (position > 0) await behind.copyTo(part, position);
        // Before the file is there: nobody is to find it without.
        this.#noteSentBefore(entries);
        this.#next = Math.min(this.#next, firstSerial);
        this.#save();
      });
    } catch (error) {
      // Another batch may get the number, and must not get the identity.
      [this.#next, this.#sent] = [next, sent];
      this.#save();
      throw error;
    }
    this.#host.filesChanged();
    if (position > 0) await behind.cut(position);
    this.#segments.splice(this.#segments.indexOf(behind) + (position > 0 ? 1 : 0), 0, segment);
  }

  /** Keeps when and under which identity batches were sent that come out of the memory. */
  #noteSentBefore(
    entries: readonly { readonly serial: number; readonly batch: SpoolableBatch }[],
  ): void {
    for (const { serial, batch } of entries) {
      const identity = ownIdentity(serial, batch.bytes);
      if (identity !== undefined && batch.sentMs !== undefined) {
        this.noteSent(identity, batch.sentMs);
      } else {
        // A process that was killed meanwhile may have left one to this number.
        this.#sent = this.#sent.filter((each) => each.serial !== serial);
      }
    }
  }

  /** The first entry with this serial or a higher one. */
  async #find(
    serial: number,
  ): Promise<{ segment: SpoolSegment; position: number; entry: SpoolEntry } | undefined> {
    const last = this.#segments.findLastIndex(({ firstSerial }) => firstSerial <= serial);
    for (const segment of this.#segments.slice(Math.max(0, last))) {
      const found = await segment.find(serial);
      if (found !== undefined) return { segment, ...found };
    }
    return undefined;
  }

  /**
   * Reads the oldest entry that was not read yet.
   *
   * @param lend memory for a batch, undefined when there is none
   * @throws what the system says
   */
  async read(lend: (bytes: number) => Buffer | undefined): Promise<ReadResult> {
    if (!this.hasUnread) return { kind: "nothing" };
    let segment = this.#readSegment;
    if (segment === undefined || this.#readPosition >= segment.bytes) {
      segment = this.#segments[segment === undefined ? 0 : this.#segments.indexOf(segment) + 1]!;
      this.#readPosition = 0;
      this.#readSegment = segment;
    }
    const found = await segment.entryAt(this.#readPosition);
    if (found === undefined) return this.#passOver(segment, undefined);
    const { entry, header } = found;
    if (this.#ahead.delete(entry.serial)) {
      // Counted neither as there nor as unread.
      this.#unreadFrames += entry.frameCount;
      this.#advance(entry, true);
      this.#pass();
      return this.read(lend);
    }
    const buffer = lend(entry.batchLength);
    if (buffer === undefined) return { kind: "nothing" };
    const batch = buffer.subarray(0, entry.batchLength);
    if (!(await segment.readBatch(this.#readPosition, header, batch))) {
      return this.#passOver(segment, buffer);
    }
    this.#advance(entry, false);
    const sent = this.#sent.find(({ serial }) => serial === entry.serial);
    const identity = sent !== undefined && sent.producerId >= 0n ? sent : undefined;
    return { kind: "entry", entry: { ...entry, buffer, identity } };
  }

  #advance(entry: SpoolEntry, isDone: boolean): void {
    const { frameCount, batchLength, serial } = entry;
    this.#open.push({ serial, frameCount, isDone });
    this.#unreadFrames -= frameCount;
    this.#readPosition += ENTRY_HEADER_BYTES + batchLength;
    this.#lastReadSerial = serial;
  }

  /** Goes on with the next file, or behind the end. */
  async #passOver(segment: SpoolSegment, buffer: Buffer | undefined): Promise<ReadResult> {
    const following = this.#segments[this.#segments.indexOf(segment) + 1];
    const first = await following?.entryAt(0);
    const framesLeft = first === undefined ? 0 : this.#framesBeforeEnd - first.entry.framesBefore;
    const frameCount = Math.max(0, this.#unreadFrames - framesLeft);
    const serial = (first?.entry.serial ?? this.#lastSerial + 1) - 1;
    this.#open.push({ serial, frameCount, isDone: true });
    this.#unreadFrames -= frameCount;
    this.#frames -= frameCount;
    this.#lastReadSerial = serial;
    this.#readPosition = segment.bytes;
    this.#pass();
    return { kind: "damaged", path: segment.path, frameCount, buffer };
  }

  /** Passes what is done, up to the first entry that is not. */
  #pass(): void {
    while (this.#open[0]?.isDone === true) this.#open.shift();
    this.#next = this.#open[0]?.serial ?? this.#lastReadSerial + 1;
    this.#sent = this.#sent.filter(({ serial }) => serial >= this.#next);
    this.#save();
  }

  /** Notes, before an entry is sent, under which identity that is. */
  noteSent(identity: SentIdentity, nowMs: number): void {
    this.#lastSentMs = nowMs;
    const known = this.#sent.find(({ serial }) => serial === identity.serial);
    if (
      known?.producerId === identity.producerId &&
      known.epoch === identity.epoch &&
      known.baseSequence === identity.baseSequence
    ) {
      return;
    }
    this.#sent = [...this.#sent.filter(({ serial }) => serial !== identity.serial), identity];
    this.#save();
  }

  /** An entry is dealt with: Kafka has it, or it is lost. Those before it need not be. */
  done(serial: number): void {
    const entry = this.#open.find((each) => each.serial === serial)!;
    entry.isDone = true;
    this.#frames -= entry.frameCount;
    this.#sent = this.#sent.map((identity) =>
      identity.serial === serial ? { ...identity, isAcknowledged: true } : identity,
    );
    this.#pass();
  }

  /** Whether files can go. */
  get hasDoneFiles(): boolean {
    const [first, second] = this.#segments;
    if (first === undefined) return false;
    if (second !== undefined && second.bytes > 0) return second.firstSerial <= this.#next;
    return this.#open.length === 0 && !this.hasUnread && first.bytes > 0;
  }

  /** Deletes the files whose entries are all done. */
  async removeDone(): Promise<void> {
    while (this.hasDoneFiles) {
      const segment = this.#segments.shift()!;
      if (this.#readSegment === segment) {
        this.#readSegment = undefined;
        this.#readPosition = 0;
      }
      await segment.remove();
      this.#host.filesChanged();
    }
  }

  /** Brings everything to the disk. */
  async sync(): Promise<void> {
    await Promise.all(this.#segments.map((segment) => segment.sync()));
  }

  async close(): Promise<void> {
    await Promise.all(this.#segments.map((segment) => segment.close()));
  }

  #newSegment(serial: number): SpoolSegment {
    this.#host.filesChanged();
    const name = `${this.partition}-${String(serial).padStart(16, "0")}.batches`;
    return new SpoolSegment(join(this.#host.directory, name), serial, 0);
  }

  #save(): void {
    const { partition } = this;
    this.#host.save(partition, {
      next: this.#next,
      sent: this.#sent,
      lastSentMs: this.#lastSentMs,
    });
  }
}

/** Appended entries have multiples of the step. */
function isInserted(serial: number): boolean {
  return serial % SERIAL_STEP !== 0;
}

/** A batch that was sent before it was spooled carries what it was sent under. */
function ownIdentity(serial: number, batch: Buffer): SentIdentity | undefined {
  const producerId = batch.readBigInt64BE(OFFSET_OF.producerId);
  if (producerId < 0n) return undefined;
  return {
    serial,
    producerId,
    epoch: batch.readInt16BE(OFFSET_OF.producerEpoch),
    baseSequence: batch.readInt32BE(OFFSET_OF.baseSequence),
    isAcknowledged: false,
  };
}

const FILE_NAME = /^(\d+)-(\d{16})\.batches$/;

/** Partition that a file of a spool belongs to; undefined when it is none. */
export function partitionOf(name: string): number | undefined {
  const match = FILE_NAME.exec(name);
  return match === null ? undefined : Number(match[1]);
}

function serialOf(name: string): number {
  return Number(FILE_NAME.exec(name)![2]);
}
