import type { BufferPool, Lease } from "./buffer-pool.ts";
import { API_BY_KEY } from "./api-table.ts";
import { PRODUCE } from "./apis/produce.ts";

/** A request as it came, without its length. */
export interface ReceivedRequest {
  readonly bytes: Buffer;
  /** Its memory may be used again. */
  release(): void;
}

/** What came is no request, or too large a one. */
export class RequestFormatError extends Error {
  override name = "RequestFormatError";
}

/** Kafka's `socket.request.max.bytes`. */
const LARGEST_PRODUCE_BYTES = 100 * 1024 * 1024;
/** Others hold names and numbers, and become objects of many times their size. */
const LARGEST_OTHER_BYTES = 4 * 1024 * 1024;

const SIZE_BYTES = 4;
/** Size, and the key that says how large the request may be. */
const HEAD_BYTES = SIZE_BYTES + 2;
/** Key, version, correlation id. */
const SMALLEST_BYTES = 8;

const NOTHING = Buffer.alloc(0);

/**
 * Takes requests out of what a socket brings. Those that lie within one piece
 * are views of it; others are put together in lent memory, which may have to
 * be waited for.
 *
 * ```
 *   size int32 | api key int16 | version int16 | correlation id int32 | …
 * ```
 */
export class RequestReader {
  readonly #memory: BufferPool;
  /** What came and is not taken yet. */
  #rest: Buffer = NOTHING;
  #lease: Lease | undefined;
  #size = 0;
  #filled = 0;

  constructor(memory: BufferPool) {
    this.#memory = memory;
  }

  /** A request has begun and is not complete. */
  get isWithin(): boolean {
    return this.#lease !== undefined || this.#rest.length > 0;
  }

  /** Adds what a socket brought. */
  feed(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
  }

  /**
   * @returns the next request; a promise when memory has to be waited for: ask again then;
   *   undefined when more has to come
   * @throws RequestFormatError
   */
  next(): ReceivedRequest | Promise<void> | undefined {
    if (this.#lease !== undefined) return this.#fill(this.#lease);
    const rest = this.#rest;
    if (rest.length < HEAD_BYTES) return undefined;
    const size = rest.readInt32BE(0);
    const key = rest.readInt16BE(SIZE_BYTES);
    const largest = key === PRODUCE.key ? LARGEST_PRODUCE_BYTES : LARGEST_OTHER_BYTES;
    if (size < SMALLEST_BYTES || size > largest) {
      const name = API_BY_KEY.get(key)?.name ?? `request ${key}`;
      throw new RequestFormatError(
        `${size} bytes of ${name} were announced, ${SMALLEST_BYTES} to ${largest} are taken`,
      );
    }
    const end = SIZE_BYTES + size;
    if (rest.length >= end) {
      this.#rest = rest.length === end ? NOTHING : rest.subarray(end);
      return { bytes: rest.subarray(SIZE_BYTES, end), release: () => {} };
    }
    this.#size = size;
    this.#filled = 0;
    const lease = this.#memory.tryLease(size);
    if (lease === undefined) {
      return this.#memory.lease(size).then((granted) => {
        this.#begin(granted);
      });
    }
    this.#begin(lease);
    return this.#fill(lease);
  }

  #begin(lease: Lease): void {
    this.#lease = lease;
    this.#rest = this.#rest.subarray(SIZE_BYTES);
  }

  #fill(lease: Lease): ReceivedRequest | undefined {
    const count = Math.min(this.#rest.length, this.#size - this.#filled);
    this.#rest.copy(lease.buffer, this.#filled, 0, count);
    this.#filled += count;
    this.#rest = count === this.#rest.length ? NOTHING : this.#rest.subarray(count);
    if (this.#filled < this.#size) return undefined;
    this.#lease = undefined;
    return { bytes: lease.buffer.subarray(0, this.#size), release: () => lease.release() };
  }

  /** Gives memory back: nothing more comes. */
  close(): void {
    this.#lease?.release();
    this.#lease = undefined;
    this.#rest = NOTHING;
  }
}
