import { constants } from "node:fs";
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { readBatchFacts } from "./batch-check.ts";
import { scanBatches } from "./batch-scan.ts";
import {
  closeFile,
  isSystemError,
  openFile,
  READ_WRITE,
  syncFile,
  truncateFile,
  writeAt,
} from "../storage/file-io.ts";
import { SegmentIndex } from "./segment-index.ts";
import { OFFSET_OF } from "../kafka-wire/record-batch-format.ts";

/** Files are named by the first offset that may be in them, so that names sort as offsets do. */
function nameOf(baseOffset: number): string {
  return String(baseOffset).padStart(20, "0");
}

/** The base offset in a segment's file name; undefined for other files. */
export function baseOffsetOf(fileName: string): number | undefined {
  const match = /^(\d{20})\.log$/.exec(fileName);
  return match === null ? undefined : Number(match[1]);
}

/** One file of a partition's log, with its index. */
export class Segment {
  readonly baseOffset: number;
  readonly index: SegmentIndex;
  /** Bytes that are whole batches; readers go no further. */
  sizeBytes = 0;
  /** Latest time of its records; -Infinity without any, undefined while not known. */
  latestMs: number | undefined = -Infinity;
  readonly #logPath: string;
  readonly #indexPath: string;
  #fd: number | undefined;
  #opening: Promise<number> | undefined;
  #users = 0;
  #loading: Promise<void> | undefined;
  #removed = false;
  #syncing: Promise<void> | undefined;
  #nextSync: Promise<void> | undefined;

  constructor(directory: string, baseOffset: number) {
    this.baseOffset = baseOffset;
    this.#logPath = join(directory, `${nameOf(baseOffset)}.log`);
    this.#indexPath = join(directory, `${nameOf(baseOffset)}.index`);
    this.index = new SegmentIndex(this.#indexPath, baseOffset);
  }

  /** A segment that is complete: its index is read when it is first needed. */
  static async openClosed(directory: string, baseOffset: number): Promise<Segment> {
    const segment = new Segment(directory, baseOffset);
    segment.sizeBytes = await segment.fileBytes();
    segment.latestMs = undefined;
    return segment;
  }

  /** Makes its file when that is missing; nothing else does. */
  async create(): Promise<void> {
    closeFile(await openFile(this.#logPath, READ_WRITE));
  }

  /** Its files are gone, or are going: who has it open may finish, nobody opens it again. */
  get isRemoved(): boolean {
    return this.#removed;
  }

  /** Size of the file, whatever is in it. */
  async fileBytes(): Promise<number> {
    try {
      return (await stat(this.#logPath)).size;
    } catch (error) {
      if (isSystemError(error, "ENOENT")) return 0;
      throw error;
    }
  }

  /** Runs `use` with the open file, which stays open meanwhile although the segment be removed. */
  async withFile<T>(use: (fd: number) => Promise<T>): Promise<T> {
    if (this.#removed && this.#fd === undefined) {
      throw new Error(`${this.#logPath} was deleted`);
    }
    this.#users++;
    try {
      return await use(this.#fd ?? (await this.#open()));
    } finally {
      this.#users--;
      if (this.#removed) this.closeIdle();
    }
  }

  async #open(): Promise<number> {
    // Never made here: an empty file in front of the others would make a gap of what retention took.
    this.#opening ??= openFile(this.#logPath, constants.O_RDWR).then(
      (fd) => {
        this.#fd = fd;
        this.#opening = undefined;
        return fd;
      },
      (error: unknown) => {
        this.#opening = undefined;
        throw error;
      },
    );
    return this.#opening;
  }

  /** Gives the open file back when nobody uses it. */
  closeIdle(): void {
    if (this.#users > 0 || this.#fd === undefined) return;
    closeFile(this.#fd);
    this.#fd = undefined;
  }

  /**
   * Writes a batch at the end. When that fails, what was written of it is cut
   * off again; when even that fails, readers still do not see it, and the next
   * batch overwrites it.
   *
   * @param offset of its first record
   * @param latestMs latest time of its records
   */
  async append(batch: Buffer, offset: number, latestMs: number): Promise<void> {
    const position = this.sizeBytes;
    await this.withFile(async (fd) => {
      try {
        await writeAt(fd, batch, position);
      } catch (error) {
        await truncateFile(fd, position).catch(() => {});
        throw error;
      }
    });
    this.note(offset, position, batch.length, latestMs);
  }

  /** Counts a batch that is in the file. */
  note(offset: number, position: number, lengthBytes: number, latestMs: number): void {
    if (this.index.wants(position)) this.index.add(offset, position, this.latestMs ?? -Infinity);
    this.sizeBytes = position + lengthBytes;
    this.latestMs = Math.max(this.latestMs ?? -Infinity, latestMs);
  }

  /** Nothing more is written: the index gets its last entry. */
  async finish(nextOffset: number): Promise<void> {
    this.index.add(nextOffset, this.sizeBytes, this.latestMs ?? -Infinity);
    await this.index.save();
  }

  /** The same for a segment that was just gone through; one that was trusted has its last entry. */
  async finishIfOpen(nextOffset: number): Promise<void> {
    if (this.latestMs !== undefined) await this.finish(nextOffset);
  }

  /** Cuts the file to what is counted. */
  async cut(): Promise<void> {
    await this.withFile((fd) => truncateFile(fd, this.sizeBytes));
  }

  /** Brings what is written by now to the disk; those who ask while that is done share the next turn. */
  sync(): Promise<void> {
    if (this.#syncing === undefined) return this.#startSync();
    this.#nextSync ??= this.#syncing
      .catch(() => {})
      .then(() => {
        this.#nextSync = undefined;
        return this.#startSync();
      });
    return this.#nextSync;
  }

  #startSync(): Promise<void> {
    const syncing = this.withFile((fd) => syncFile(fd)).finally(() => {
      if (this.#syncing === syncing) this.#syncing = undefined;
    });
    this.#syncing = syncing;
    return syncing;
  }

  /** Reads the index of a closed segment, or makes it anew when it does not reach to the end. */
  loadIndex(): Promise<void> {
    if (this.latestMs !== undefined) return Promise.resolve();
    this.#loading ??= this.#loadIndex().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #loadIndex(): Promise<void> {
    await this.index.load(this.sizeBytes + 1);
    if (this.index.lastPosition === this.sizeBytes && this.sizeBytes > 0) {
      this.latestMs = this.index.lastLatestMs;
      return;
    }
    this.index.clear();
    let latestMs = -Infinity;
    let nextOffset = this.baseOffset;
    await this.withFile((fd) =>
      scanBatches({
        fd,
        from: 0,
        to: this.sizeBytes,
        checkCrc: false,
        firstOffset: this.baseOffset,
        visit: (batch, position) => {
          const { lastOffsetDelta, maxTimestampMs } = readBatchFacts(batch);
          const offset = Number(batch.readBigInt64BE(OFFSET_OF.baseOffset));
          if (this.index.wants(position)) this.index.add(offset, position, latestMs);
          latestMs = Math.max(latestMs, maxTimestampMs);
          nextOffset = offset + lastOffsetDelta + 1;
          return true;
        },
      }),
    );
    this.latestMs = latestMs;
    await this.finish(nextOffset);
  }

  /** Deletes both files; who still reads them may finish. */
  async remove(): Promise<void> {
    this.giveUp();
    await Promise.all([rm(this.#logPath, { force: true }), rm(this.#indexPath, { force: true })]);
  }

  /** Its files belong to nobody any more; see {@link isRemoved}. */
  giveUp(): void {
    this.#removed = true;
    this.closeIdle();
  }
}
