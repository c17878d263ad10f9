import type { FileHandle } from "node:fs/promises";
import type { Readable } from "node:stream";

/** Bytes in order, from a file or a pipe, read into the reader's own memory. */
export interface ByteSource {
  /**
   * Waits for bytes.
   *
   * @param target where they go; at least 1 byte long
   * @returns how many came, 1 to `target.length`; 0 at the end
   */
  readInto(target: Uint8Array): Promise<number>;
  /** Lets the file or pipe go; a `readInto` under way then returns 0 or rejects. */
  close(): Promise<void>;
}

/** Counts the bytes of a source as they are read. */
export class CountedBytes implements ByteSource {
  /** So many were read. */
  readBytes = 0;
  readonly #source: ByteSource;

  /** @param source closed by `close()` */
  constructor(source: ByteSource) {
    this.#source = source;
  }

  async readInto(target: Uint8Array): Promise<number> {
    const read = await this.#source.readInto(target);
    this.readBytes += read;
    return read;
  }

  close(): Promise<void> {
    return this.#source.close();
  }
}

/**
 * Reads an open file from where it stands, straight into the target.
 *
 * @param file closed by `close()`
 */
export function fileBytes(file: FileHandle): ByteSource {
  let reading: Promise<unknown> = Promise.resolve();
  let closing: Promise<void> | undefined;
  return {
    async readInto(target) {
      if (closing !== undefined) return 0;
      const read = file.read(target, 0, target.length, null);
      reading = read.catch(() => {});
      return (await read).bytesRead;
    },
    close() {
      closing ??= reading.then(() => file.close());
      return closing;
    },
  };
}

/**
 * Reads a stream, piece by piece as they arrive, each copied once.
 *
 * @param stream paused between reads; destroyed by `close()`
 */
export function streamBytes(stream: Readable): ByteSource {
  const pieces: AsyncIterator<Uint8Array> = stream[Symbol.asyncIterator]();
  let piece: Uint8Array = new Uint8Array(0);
  let isClosed = false;
  return {
    async readInto(target) {
      while (piece.length === 0) {
        if (isClosed) return 0;
        const next = await pieces.next();
        if (next.done === true) return 0;
        piece = next.value;
      }
      const length = Math.min(piece.length, target.length);
      target.set(piece.subarray(0, length));
      piece = piece.subarray(length);
      return length;
    },
    async close() {
      isClosed = true;
      stream.destroy();
    },
  };
}

/**
 * Puts bytes that were read already in front of the rest.
 *
 * @param start what `readInto` gives first
 * @param rest closed by `close()`
 */
export function prefixedBytes(start: Uint8Array, rest: ByteSource): ByteSource {
  let left = start;
  return {
    async readInto(target) {
      if (left.length === 0) return rest.readInto(target);
      const length = Math.min(left.length, target.length);
      target.set(left.subarray(0, length));
      left = left.subarray(length);
      return length;
    },
    close: () => rest.close(),
  };
}

/**
 * Reads until the target is full or the source is at its end.
 *
 * @returns how many bytes came
 */
export async function readUpTo(source: ByteSource, target: Uint8Array): Promise<number> {
  let length = 0;
  while (length < target.length) {
    const read = await source.readInto(target.subarray(length));
    if (read === 0) break;
    length += read;
  }
  return length;
}
