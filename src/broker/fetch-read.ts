import {
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_OVERHEAD,
  OFFSET_OF,
} from "../kafka-wire/record-batch-format.ts";
import { KAFKA_ERROR_CODE } from "../kafka-wire/error-codes.ts";
import type { BrokerState } from "./broker-api.ts";
import { BrokerError } from "./broker-error.ts";
import type { Lease } from "./buffer-pool.ts";
import { readAt } from "../storage/file-io.ts";
import type { LogPosition, PartitionLog } from "./partition-log.ts";

/** What is asked of one partition. */
export interface WantedPartition {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly maxBytes: number;
}

/** What is answered for one partition. */
export interface FetchedRecords {
  readonly errorCode: number;
  readonly highWatermark: number;
  readonly logStartOffset: number;
  /** Whole batches, in memory that is lent until {@link FetchRead.release}. */
  readonly records: Buffer | null;
}

/** One partition's part of a read. */
interface Part {
  readonly wanted: WantedPartition;
  log: PartitionLog | undefined;
  errorCode: number;
  at: LogPosition | undefined;
  /** Bytes behind `at` in its segment. */
  availableBytes: number;
}

/**
 * Reads what one fetch asks for: finds the places, then reads all of them into
 * one lent buffer, from which the answer is sent.
 *
 * ```
 *   lent  [ batches of partition 0 | batches of partition 1 | … ]
 * ```
 */
export class FetchRead {
  readonly #broker: BrokerState;
  readonly #parts: Part[];
  readonly #maxBytes: number;
  readonly #leases: Lease[] = [];

  /** @param maxBytes of all partitions together */
  constructor(broker: BrokerState, wanted: readonly WantedPartition[], maxBytes: number) {
    this.#broker = broker;
    this.#maxBytes = maxBytes;
    this.#parts = wanted.map((each) => ({
      wanted: each,
      log: broker.topics.find(each.topic)?.partitions[each.partition],
      errorCode: 0,
      at: undefined,
      availableBytes: 0,
    }));
  }

  /** Bytes that are there to be read, within the limits. */
  get availableBytes(): number {
    return this.#parts.reduce((sum, { availableBytes }) => sum + availableBytes, 0);
  }

  /** Some partition has an error, which is answered at once. */
  get hasErrors(): boolean {
    return this.#parts.some(({ errorCode }) => errorCode !== 0);
  }

  logs(): PartitionLog[] {
    return this.#parts.flatMap(({ log }) => (log === undefined ? [] : [log]));
  }

  /** Finds the places to read from, one after another: each search takes memory. */
  async locate(): Promise<void> {
    for (const part of this.#parts) await this.#locate(part);
  }

  async #locate(part: Part): Promise<void> {
    const { topic, partition, offset, maxBytes } = part.wanted;
    try {
      part.log = this.#broker.topics.log(topic, partition);
      part.at = await part.log.locate(offset);
      const left = part.at === undefined ? 0 : part.at.segment.sizeBytes - part.at.position;
      part.availableBytes = Math.max(0, Math.min(left, maxBytes));
    } catch (error) {
      if (error instanceof BrokerError) part.errorCode = error.errorCode;
      else this.#fail(part, error);
    }
  }

  /** Reads; the answers are in the order of what is wanted. */
  async read(): Promise<FetchedRecords[]> {
    let left = this.#maxBytes;
    const shares = this.#parts.map(({ availableBytes }) => {
      const share = Math.min(availableBytes, Math.max(left, 0));
      left -= share;
      return share;
    });
    const total = shares.reduce((sum, share) => sum + share, 0);
    const memory = total === 0 ? undefined : await this.#lease(total);
    let start = 0;
    const targets = shares.map((share) => {
      start += share;
      return share === 0 ? undefined : memory?.subarray(start - share, start);
    });
    const records = await Promise.all(
      this.#parts.map(async (part, index) => {
        const target = targets[index];
        return target === undefined ? undefined : this.#readPart(part, target);
      }),
    );
    await this.#readOneLarge(records);
    return this.#parts.map(({ log, errorCode }, index) => ({
      errorCode,
      highWatermark: log?.nextOffset ?? -1,
      logStartOffset: log?.logStartOffset ?? -1,
      records: records[index] ?? null,
    }));
  }

  async #lease(bytes: number): Promise<Buffer> {
    const lease = await this.#broker.fetchMemory.lease(bytes);
    this.#leases.push(lease);
    return lease.buffer.subarray(0, bytes);
  }

  /** @returns the whole batches that fit */
  async #readPart(part: Part, target: Buffer): Promise<Buffer> {
    const { segment, position } = part.at!;
    const bytes = await this.#readAt(part, target);
    const { end, nextOffset } = walkBatches(target.subarray(0, bytes));
    if (end > 0) part.log!.remember(nextOffset, { segment, position: position + end });
    return target.subarray(0, end);
  }

  /** Never throws: the others still read into the same memory. @returns bytes read */
  async #readAt(part: Part, target: Buffer): Promise<number> {
    const { segment, position } = part.at!;
    try {
      return await segment.withFile((fd) => readAt(fd, target, position));
    } catch (error) {
      // Deleted meanwhile: the next request is told that the offset is not there.
      if (!segment.isRemoved) this.#fail(part, error);
      return 0;
    }
  }

  #fail(part: Part, error: unknown): void {
    const { topic, partition } = part.wanted;
    this.#broker.logger.error(`Cannot read ${topic}-${partition}: ${String(error)}`);
    part.errorCode = KAFKA_ERROR_CODE.KAFKA_STORAGE_ERROR;
  }

  /** When nothing fits, the first batch there is goes alone (KIP-74): a reader must get on. */
  async #readOneLarge(records: (Buffer | undefined)[]): Promise<void> {
    if (records.some((bytes) => bytes !== undefined && bytes.length > 0)) return;
    const index = this.#parts.findIndex(({ at, errorCode }) => at !== undefined && errorCode === 0);
    const part = this.#parts[index];
    if (part?.at === undefined) return;
    const { segment, position } = part.at;
    const header = Buffer.alloc(BATCH_HEADER_BYTES);
    const found = await this.#readAt(part, header);
    if (found < BATCH_HEADER_BYTES) return;
    const length = header.readInt32BE(OFFSET_OF.batchLength) + BATCH_LENGTH_OVERHEAD;
    if (position + length > segment.sizeBytes) return;
    // Given back first: readers that hold a little and wait for more would wait for each other.
    this.release();
    records[index] = await this.#readPart(part, await this.#lease(length));
  }

  /** Gives the memory back: the answer has left. */
  release(): void {
    for (const lease of this.#leases.splice(0)) lease.release();
  }
}

/** Where the last whole batch ends, and the offset behind it. */
function walkBatches(bytes: Buffer): { end: number; nextOffset: number } {
  let end = 0;
  let nextOffset = -1;
  while (end + BATCH_HEADER_BYTES <= bytes.length) {
    const next = end + bytes.readInt32BE(end + OFFSET_OF.batchLength) + BATCH_LENGTH_OVERHEAD;
    if (next > bytes.length || next <= end) break;
    const base = Number(bytes.readBigInt64BE(end + OFFSET_OF.baseOffset));
    nextOffset = base + bytes.readInt32BE(end + OFFSET_OF.lastOffsetDelta) + 1;
    end = next;
  }
  return { end, nextOffset };
}
