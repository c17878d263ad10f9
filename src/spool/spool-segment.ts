import { rename, rm } from "node:fs/promises";
import * as fs from "node:fs";
import { promisify } from "node:util";
import {
  closeFile,
  openFile,
  readAt,
  READ_WRITE,
  syncFile,
  truncateFile,
} from "../storage/file-io.ts";
import {
  decodeEntryHeader,
  encodeEntryHeader,
  ENTRY_HEADER_BYTES,
  isWholeEntry,
} from "./spool-entry.ts";
import type { SpoolEntry } from "./spool-entry.ts";

const writeVector = promisify(fs.writev) as unknown as (
  fd: number,
  buffers: readonly Buffer[],
  position: number,
) => Promise<{ bytesWritten: number }>;

/** Longest batch that is believed to be one: 128 MiB. */
const MAX_BATCH_BYTES = 128 * 1024 * 1024;

/** Entries of one partition in one file, one behind the other; nothing in it is ever changed. */
export class SpoolSegment {
  readonly path: string;
  /** Serial of its first entry. */
  readonly firstSerial: number;
  /** Where the next entry goes. */
  bytes: number;
  #fd: number | undefined;
  #opening: Promise<number> | undefined;
  #isDirty = false;
  #syncing: Promise<void> = Promise.resolve();

  /** @param bytes what the file holds already */
  constructor(path: string, firstSerial: number, bytes: number) {
    this.path = path;
    this.firstSerial = firstSerial;
    this.bytes = bytes;
  }

  #open(): Promise<number> {
    this.#opening ??= openFile(this.path, READ_WRITE).then((fd) => (this.#fd = fd));
    return this.#opening;
  }

  /**
   * Writes an entry behind the others. After an error the file ends where it did before.
   *
   * @throws what the system says: ENOSPC, EIO …
   */
  append(entry: SpoolEntry, batch: Buffer): Promise<void> {
    return this.#write(encodeEntryHeader(entry, batch), batch);
  }

  async #write(header: Buffer, batch: Buffer): Promise<void> {
    const fd = await this.#openForWriting();
    const whole = ENTRY_HEADER_BYTES + batch.length;
    this.#isDirty = true;
    let pieces: readonly Buffer[] = [header, batch];
    let done = 0;
    try {
      while (done < whole) {
        const { bytesWritten } = await writeVector(fd, pieces, this.bytes + done);
        done += bytesWritten;
        // A disk that is nearly full takes a part; the next try says so.
        pieces =
          done < ENTRY_HEADER_BYTES
            ? [header.subarray(done), batch]
            : [batch.subarray(done - ENTRY_HEADER_BYTES)];
      }
    } catch (error) {
      await truncateFile(fd, this.bytes).catch(() => {});
      throw error;
    }
    this.bytes += whole;
  }

  async #openForWriting(): Promise<number> {
    try {
      return await this.#open();
    } catch (error) {
      // A full disk takes no new file either; the next try is another one.
      this.#opening = undefined;
      throw error;
    }
  }

  /**
   * Writes the file under another name, brings it to the disk and only then gives it its own: it is there
   * whole, or not at all.
   *
   * @throws what the system says, or `write` does; the file is not there then
   */
  async writeWhole(write: (part: SpoolSegment) => Promise<void>): Promise<void> {
    const part = new SpoolSegment(`${this.path}.part`, this.firstSerial, 0);
    try {
      await part.cut(0);
      await write(part);
      await part.sync();
      await part.close();
      await rename(part.path, this.path);
    } catch (error) {
      await part.remove();
      throw error;
    }
    this.bytes = part.bytes;
  }

  /** Writes the entries from a position on behind those of another file, as they are. @throws what the system says */
  async copyTo(target: SpoolSegment, position: number): Promise<void> {
    for (let at = position; ;) {
      const found = await this.entryAt(at);
      if (found === undefined) return;
      const { entry, header } = found;
      const batch = Buffer.allocUnsafe(entry.batchLength);
      await this.readBatch(at, header, batch);
      await target.#write(header, batch);
      at += ENTRY_HEADER_BYTES + entry.batchLength;
    }
  }

  /** The first entry with this serial or a higher one. @throws what the system says */
  async find(serial: number): Promise<{ entry: SpoolEntry; position: number } | undefined> {
    for (let position = 0; ;) {
      const found = await this.entryAt(position);
      if (found === undefined) return undefined;
      const { entry } = found;
      if (entry.serial >= serial) return { entry, position };
      position += ENTRY_HEADER_BYTES + entry.batchLength;
    }
  }

  /** What stands at a position, not checked; undefined when that is no entry. @throws what the system says */
  async entryAt(position: number): Promise<{ entry: SpoolEntry; header: Buffer } | undefined> {
    if (position + ENTRY_HEADER_BYTES > this.bytes) return undefined;
    const header = Buffer.allocUnsafe(ENTRY_HEADER_BYTES);
    await readAt(await this.#open(), header, position);
    const entry = decodeEntryHeader(header);
    if (entry === undefined || entry.batchLength > MAX_BATCH_BYTES) return undefined;
    return position + ENTRY_HEADER_BYTES + entry.batchLength > this.bytes
      ? undefined
      : { entry, header };
  }

  /**
   * Reads the batch of an entry.
   *
   * @param target as long as the batch
   * @returns false when it is not what was written
   */
  async readBatch(position: number, header: Buffer, target: Buffer): Promise<boolean> {
    await readAt(await this.#open(), target, position + ENTRY_HEADER_BYTES);
    return isWholeEntry(header, target);
  }

  /** Cuts what is behind a position. */
  async cut(position: number): Promise<void> {
    await truncateFile(await this.#open(), position);
    this.bytes = position;
  }

  /** Brings what was written to the disk. @throws what the system says */
  sync(): Promise<void> {
    if (!this.#isDirty || this.#fd === undefined) return this.#syncing;
    this.#isDirty = false;
    const synced = syncFile(this.#fd);
    this.#syncing = synced.catch(() => {});
    return synced;
  }

  /** Nothing of it is read or written meanwhile. */
  async close(): Promise<void> {
    await this.#syncing;
    if (this.#fd !== undefined) closeFile(this.#fd);
    this.#fd = undefined;
    this.#opening = undefined;
  }

  /** Deletes the file. */
  async remove(): Promise<void> {
    await this.close();
    await rm(this.path, { force: true });
  }
}
