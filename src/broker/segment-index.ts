import { readFile } from "node:fs/promises";
import {
  closeFile,
  isSystemError,
  openFile,
  READ_WRITE,
  truncateFile,
  writeAt,
} from "../storage/file-io.ts";

const ENTRY_BYTES = 16;
/** One entry for this much of the log: 100 GB on disk come to 25 MB of entries. */
const INTERVAL_BYTES = 64 * 1024;

/** Where a search in the log begins. */
export interface IndexEntry {
  /** Of the batch at `position`. */
  readonly offset: number;
  readonly position: number;
}

/**
 * Sparse index of a segment, by offset and by time. Each entry stands for a
 * batch; the time is the latest of all batches before it, so a search for a
 * time begins at the last entry whose time is earlier. A closed segment ends
 * with an entry for its end, which tells its size and latest time.
 *
 * ```
 *   offset behind the base u32 | position u32 | latest time before float64 ms
 * ```
 */
export class SegmentIndex {
  readonly #path: string;
  readonly #baseOffset: number;
  #entries: Buffer;
  #count = 0;
  /** Entries that are in the file. */
  #saved = 0;

  constructor(path: string, baseOffset: number) {
    this.#path = path;
    this.#baseOffset = baseOffset;
    this.#entries = Buffer.alloc(ENTRY_BYTES * 16);
  }

  /** Whether a batch at this position is to have an entry. */
  wants(position: number): boolean {
    return this.#count === 0 || position - this.#positionOf(this.#count - 1) >= INTERVAL_BYTES;
  }

  /** @param latestBeforeMs latest time of all batches before; -Infinity for none */
  add(offset: number, position: number, latestBeforeMs: number): void {
    const at = this.#count * ENTRY_BYTES;
    if (at === this.#entries.length) {
      const larger = Buffer.alloc(this.#entries.length * 2);
      this.#entries.copy(larger);
      this.#entries = larger;
    }
    this.#entries.writeUInt32BE(offset - this.#baseOffset, at);
    this.#entries.writeUInt32BE(position, at + 4);
    this.#entries.writeDoubleBE(latestBeforeMs, at + 8);
    this.#count++;
  }

  /** The last entry at or before an offset. */
  findOffset(offset: number): IndexEntry {
    return this.#entryAt(
      this.#findLast((at) => this.#entries.readUInt32BE(at) <= offset - this.#baseOffset),
    );
  }

  /** The last entry before which everything is earlier than a time. */
  findTime(timestampMs: number): IndexEntry {
    return this.#entryAt(this.#findLast((at) => this.#entries.readDoubleBE(at + 8) < timestampMs));
  }

  /** The last entry at or before a position. */
  findPosition(position: number): IndexEntry {
    return this.#entryAt(this.#findLast((at) => this.#entries.readUInt32BE(at + 4) <= position));
  }

  /** Latest time before the last entry. */
  get lastLatestMs(): number {
    if (this.#count === 0) return -Infinity;
    return this.#entries.readDoubleBE((this.#count - 1) * ENTRY_BYTES + 8);
  }

  get lastPosition(): number {
    return this.#count === 0 ? 0 : this.#positionOf(this.#count - 1);
  }

  #positionOf(index: number): number {
    return this.#entries.readUInt32BE(index * ENTRY_BYTES + 4);
  }

  #entryAt(index: number): IndexEntry {
    if (index < 0) return { offset: this.#baseOffset, position: 0 };
    return {
      offset: this.#baseOffset + this.#entries.readUInt32BE(index * ENTRY_BYTES),
      position: this.#positionOf(index),
    };
  }

  /** Last entry that `holds` is true of; it is true up to some entry and false behind it. */
  #findLast(holds: (at: number) => boolean): number {
    let low = -1;
    let high = this.#count - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (holds(middle * ENTRY_BYTES)) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /**
   * Reads the file; entries at or behind `endPosition`, and all behind one
   * that cannot be, are left out.
   */
  async load(endPosition: number): Promise<void> {
    const bytes = await readFile(this.#path).catch((error: unknown) => {
      if (isSystemError(error, "ENOENT")) return Buffer.alloc(0);
      throw error;
    });
    this.clear();
    let offset = -1;
    let position = -1;
    for (let at = 0; at + ENTRY_BYTES <= bytes.length; at += ENTRY_BYTES) {
      const nextOffset = bytes.readUInt32BE(at);
      const nextPosition = bytes.readUInt32BE(at + 4);
      if (nextOffset <= offset || nextPosition <= position || nextPosition >= endPosition) break;
      this.add(this.#baseOffset + nextOffset, nextPosition, bytes.readDoubleBE(at + 8));
      offset = nextOffset;
      position = nextPosition;
    }
    this.#saved = this.#count;
  }

  /** Forgets all entries; `save` writes the file anew. */
  clear(): void {
    this.#count = 0;
    this.#saved = 0;
  }

  /** Brings the file up to date. */
  async save(): Promise<void> {
    const count = this.#count;
    if (this.#saved === count && count > 0) return;
    const from = this.#saved;
    const added = Buffer.from(this.#entries.subarray(from * ENTRY_BYTES, count * ENTRY_BYTES));
    const fd = await openFile(this.#path, READ_WRITE);
    try {
      await truncateFile(fd, from * ENTRY_BYTES);
      await writeAt(fd, added, from * ENTRY_BYTES);
    } finally {
      closeFile(fd);
    }
    if (this.#saved === from) this.#saved = count;
  }
}
