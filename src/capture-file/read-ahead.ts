import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES } from "../packet/frame-chunk.ts";
import type { CaptureBytes } from "./capture-bytes.ts";

/** One read, and about the longest chunk. */
const READ_BYTES = 1024 * 1024;

/** What is kept of the memory before fits in: a frame that was begun, with the block around it. */
const ROOM_BYTES = FRAME_HEADER_BYTES + MAX_FRAME_BYTES + 1024;

/** A read that fills as much of the memory is followed by another at once: files do that, pipes do not. */
const WORTHWHILE_BYTES = READ_BYTES / 2;

/**
 * The bytes of a capture in memory that may be changed in place. While they are worked on, the next
 * are read into a second memory, and what was kept of the first is put in front of them.
 *
 * ```
 *   memory  ┌ done with ┬ start … end: not yet ┐
 *                              └────────┐ next()
 *   other   ┌ room, 258 KiB    ┬ kept ──┴──────┬ read meanwhile ┬ free ┐
 * ```
 *
 * Measured with frames of 200 bytes and a processor to spare: a pcapng file is read 1.5 times as fast.
 */
export class ReadAhead {
  /** Bytes from `start` to `end` are the file's. */
  memory: Buffer = Buffer.allocUnsafeSlow(ROOM_BYTES + READ_BYTES);
  /** The same memory: measured on Node 20, its reads and writes of words take half as long. */
  view = viewOf(this.memory);
  start = 0;
  end = 0;
  /** Position in the file of `start`. */
  position: number;
  readonly #bytes: CaptureBytes;
  #other: Buffer | undefined;
  #pending: Promise<number> | undefined;
  #lastRead = 0;

  /**
   * @param bytes where they come from
   * @param position in the file of the first byte that comes, for messages
   */
  constructor(bytes: CaptureBytes, position: number) {
    this.#bytes = bytes;
    this.position = position;
  }

  /** How many bytes are there. */
  get length(): number {
    return this.end - this.start;
  }

  /** Position in the file of the first byte that is not there yet. */
  get endPosition(): number {
    return this.position + this.length;
  }

  /** Begins to read what comes next, where that is worthwhile and not under way. */
  begin(): void {
    if (this.#pending !== undefined || this.#lastRead < WORTHWHILE_BYTES) return;
    this.#other ??= Buffer.allocUnsafeSlow(ROOM_BYTES + READ_BYTES);
    const target = this.#other.subarray(ROOM_BYTES, ROOM_BYTES + READ_BYTES);
    this.#pending = this.#bytes.read(target, this.endPosition);
    // Who takes no more need not know that it failed.
    this.#pending.catch(() => {});
  }

  /** Is done with the bytes in front of `at`. */
  drop(at: number): void {
    this.position += at - this.start;
    this.start = at;
  }

  /**
   * Waits for more bytes behind those that are there, which may move.
   *
   * @returns false at the end of the file
   * @throws as {@link CaptureBytes.read}
   */
  async next(): Promise<boolean> {
    const pending = this.#pending;
    if (pending === undefined) {
      this.#makeRoom(1);
      const target = this.memory.subarray(this.end, this.end + READ_BYTES);
      this.#lastRead = await this.#bytes.read(target, this.endPosition);
    } else {
      this.#lastRead = await pending;
      this.#pending = undefined;
      this.#join(this.#lastRead);
    }
    this.end += this.#lastRead;
    return this.#lastRead > 0;
  }

  /** Brings what was kept and what was read into one memory. */
  #join(read: number): void {
    const other = this.#other!;
    const kept = this.length;
    if (kept > ROOM_BYTES) {
      this.#makeRoom(read);
      other.copy(this.memory, this.end, ROOM_BYTES, ROOM_BYTES + read);
      return;
    }
    this.memory.copy(other, ROOM_BYTES - kept, this.start, this.end);
    this.#other = this.memory;
    this.memory = other;
    this.view = viewOf(other);
    this.start = ROOM_BYTES - kept;
    this.end = ROOM_BYTES;
  }

  /** Moves what is there to the front, and to a larger memory where that is not enough. */
  #makeRoom(read: number): void {
    const kept = this.length;
    const isTooSmall = kept + read > this.memory.length;
    const target = isTooSmall ? Buffer.allocUnsafeSlow(2 * kept + READ_BYTES) : this.memory;
    this.memory.copy(target, 0, this.start, this.end);
    if (isTooSmall) {
      this.memory = target;
      this.view = viewOf(target);
    }
    this.start = 0;
    this.end = kept;
  }
}

function viewOf(memory: Buffer): DataView {
  return new DataView(memory.buffer, memory.byteOffset, memory.length);
}
