/** Room for the chunk that is taken in. */
const STAGE_BYTES = 2 * 1024 * 1024;

/** Largest arena; buffers beyond it are had one by one. */
const MOST_ARENA_BYTES = 128 * 1024 * 1024;

/**
 * Buffers for record batches, within a bound. A buffer of the usual size is
 * kept when it is given back, the one given back last is lent first.
 *
 * Buffers are cut from one arena, and so is a stage for the chunk whose frames go into them: Node 20 moves 200
 * bytes within one buffer in 27 ns, and copies them from one to another in 84 ns, with an object for each
 * frame. Only what was used of the arena takes memory of the system, but for good: where compressed batches take the place of
 * buffers it is small.
 *
 * ```
 *   arena ┌ stage ───────────┬ buffer ┬ buffer ┬─ ─ not used yet ─ ─┐
 *          frame frame frame ──▲
 * ```
 */
export class BatchMemory {
  /** What buffers are cut from, as long as there is some of it left; empty where there is none. */
  readonly arena: Buffer;
  readonly #bufferBytes: number;
  readonly #limitBytes: number;
  readonly #free: Buffer[] = [];
  #cutBytes = STAGE_BYTES;
  #lentBytes = 0;

  /**
   * @param bufferBytes usual size of a buffer
   * @param limitBytes bound on what is lent at a time
   * @param arenaBytes how much of it is cut from one buffer; 0: nothing, and frames cannot be staged
   */
  constructor(bufferBytes: number, limitBytes: number, arenaBytes: number) {
    this.#bufferBytes = bufferBytes;
    this.#limitBytes = limitBytes;
    // Now, because the garbage collector takes a new buffer of this size for a reason to run.
    const size = Math.min(arenaBytes, MOST_ARENA_BYTES);
    this.arena = Buffer.allocUnsafeSlow(size === 0 ? 0 : STAGE_BYTES + size);
  }

  /**
   * Copies bytes to the beginning of the arena, in the place of those before them.
   *
   * @returns false, and nothing copied, when they are too many
   */
  stage(bytes: Buffer): boolean {
    if (bytes.length > STAGE_BYTES || this.arena.length === 0) return false;
    bytes.copy(this.arena);
    return true;
  }

  /** Bytes that may be lent. */
  get limitBytes(): number {
    return this.#limitBytes;
  }

  /** Bytes that are lent at the moment. */
  get lentBytes(): number {
    return this.#lentBytes;
  }

  /**
   * Lends a buffer.
   *
   * @param atLeastBytes for a record that needs more than the usual size
   * @returns undefined when the bound is reached; when nothing is lent a buffer is always had
   */
  lend(atLeastBytes: number): Buffer | undefined {
    const size = Math.max(atLeastBytes, this.#bufferBytes);
    if (this.#lentBytes > 0 && this.#lentBytes + size > this.#limitBytes) return undefined;
    return this.lendBeyondLimit(size);
  }

  /** Lends a buffer for frames that are held already, when a batch has to be divided. */
  lendBeyondLimit(atLeastBytes: number): Buffer {
    const size = Math.max(atLeastBytes, this.#bufferBytes);
    this.#lentBytes += size;
    if (size === this.#bufferBytes) {
      const free = this.#free.pop();
      if (free !== undefined) return free;
      const { arena } = this;
      const begin = this.#cutBytes;
      if (begin + size <= arena.length) {
        this.#cutBytes += size;
        return arena.subarray(begin, begin + size);
      }
    }
    return Buffer.allocUnsafeSlow(size);
  }

  /** Counts memory as lent that holds frames in the place of a lent buffer; it is given back like one. */
  adopt(buffer: Buffer): void {
    this.#lentBytes += buffer.length;
  }

  /** Takes a buffer back. */
  giveBack(buffer: Buffer): void {
    this.#lentBytes -= buffer.length;
    if (buffer.length !== this.#bufferBytes) return;
    // With compressed batches in their place not all of the buffers are needed again.
    const keptBytes = (this.#free.length + 1) * this.#bufferBytes;
    const isOfArena = buffer.buffer === this.arena.buffer;
    if (isOfArena || this.#lentBytes + keptBytes <= this.#limitBytes) this.#free.push(buffer);
  }
}

/** Smallest useful batch buffer, however many partitions share the memory. */
const MIN_BATCH_BYTES = 16 * 1024;

/** Batches of a partition in flight, or read ahead from a spool. */
const MOST_AT_A_TIME = 5;

/**
 * Divides the memory of a publisher among its partitions. With a spool a share is kept
 * for batches that come back from it: they must find room when everything else is full,
 * and what is in flight must leave some for new frames.
 *
 * @param queueBytes all there is
 * @param batchLimitBytes largest batch
 */
export function divideMemory(
  queueBytes: number,
  batchLimitBytes: number,
  partitionCount: number,
  { hasSpool, isCompressing }: { readonly hasSpool: boolean; readonly isCompressing: boolean },
): { memory: BatchMemory; spoolMemory: BatchMemory } {
  // Of each partition: one that is open and one behind it; with a spool also those in flight and read ahead.
  const batches = partitionCount * (hasSpool ? 2 + 2 * MOST_AT_A_TIME : 2);
  const bufferBytes = Math.min(
    batchLimitBytes,
    Math.max(MIN_BATCH_BYTES, Math.floor(queueBytes / batches)),
  );
  const spoolBytes = hasSpool
    ? Math.min(Math.floor(queueBytes / 2), partitionCount * MOST_AT_A_TIME * bufferBytes)
    : 0;
  const newBytes = queueBytes - spoolBytes;
  return {
    memory: new BatchMemory(
      bufferBytes,
      newBytes,
      isCompressing ? Math.floor(newBytes / 4) : newBytes,
    ),
    spoolMemory: new BatchMemory(bufferBytes, spoolBytes, 0),
  };
}
