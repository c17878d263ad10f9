import { readRecordBatchHeader, RecordCursor } from "../kafka-wire/record-batch-reader.ts";
import { RecordBatchWriter } from "../kafka-wire/record-batch-writer.ts";
import type { RecordCodec } from "../kafka-wire/compression.ts";
import type { BatchMemory } from "./batch-memory.ts";

/** Where a batch stands in the spool. */
export interface SpooledPlace {
  readonly serial: number;
  readonly frameCount: number;
  /** Batches that were made of the entry and are not dealt with. */
  parts: number;
  isDivided: boolean;
}

/** One record batch on its way. */
export interface Batch {
  readonly writer: RecordBatchWriter;
  /** Lent the writer's buffer. */
  readonly memory: BatchMemory;
  /** Undefined for one that is in memory alone. */
  readonly spooled: SpooledPlace | undefined;
  /** Of one out of the spool that is compressed: it may be another than the run's. */
  readonly codec: RecordCodec | undefined;
  /** When its first frame came, on the publisher's monotonic clock. */
  readonly bornMs: number;
  /** The whole batch with its identity; undefined until it is first sent. */
  sealed: Buffer | undefined;
  /** Undefined until it is given one, with the two below. */
  producerId: bigint | undefined;
  epoch: number;
  /** -1 until it is given one. */
  baseSequence: number;
  /** When it was last sent, on the publisher's monotonic clock. */
  sentMs: number;
  /** Where the log has it; -1 when that is not known. */
  baseOffset: bigint;
  /** It was sent at least once, so the broker may have it. */
  wasSent: boolean;
  /** It came back and is sent again. */
  isRetry: boolean;
  /** The broker has it. It keeps its place in flight until all before it are answered. */
  isAcknowledged: boolean;
  /** The broker refused it for good; what to do before anything behind it is sent. */
  refusal: Refusal | undefined;
  /** Its records are being compressed: it is not sent, and its buffer not given back, until they are. */
  isCompressing: boolean;
  /** Its time was up while it was compressed. */
  isDropped: boolean;
}

/** Why a broker refused a batch for good. */
export interface Refusal {
  /** Records by their place in the batch; undefined when the broker does not name them. */
  readonly records: ReadonlySet<number> | undefined;
  /** The broker's words. */
  readonly reason: string;
}

/** What a {@link Batch} is made of. */
export type BatchParts = Pick<Batch, "writer" | "memory" | "bornMs"> &
  Partial<Pick<Batch, "spooled" | "codec">>;

/** A batch that was never sent. */
export function newBatch({ writer, memory, bornMs, spooled, codec }: BatchParts): Batch {
  return {
    writer,
    memory,
    bornMs,
    spooled,
    codec,
    producerId: undefined,
    epoch: -1,
    sealed: undefined,
    baseSequence: -1,
    sentMs: 0,
    baseOffset: -1n,
    wasSent: false,
    isRetry: false,
    isAcknowledged: false,
    refusal: undefined,
    isCompressing: false,
    isDropped: false,
  };
}

/**
 * Copies some of the records of a batch into a new one, for one that has to be divided.
 *
 * @param sealed the whole batch, uncompressed
 * @param keep decides by the record's place in the batch
 */
export function copyRecords(batch: Batch, sealed: Buffer, keep: (index: number) => boolean): Batch {
  const { memory } = batch;
  const writer = new RecordBatchWriter(memory.lendBeyondLimit(sealed.length), sealed.length);
  const copy = newBatch({ ...batch, writer, codec: undefined });
  const header = readRecordBatchHeader(sealed, 0, sealed.length, false)!;
  const { recordsStart, recordsEnd, recordCount, baseTimestampMs } = header;
  const records = new RecordCursor(sealed, recordsStart, recordsEnd, recordCount);
  for (let index = 0; records.next(); index++) {
    if (!keep(index)) continue;
    copy.writer.appendEncoded(
      sealed,
      records.bodyStart,
      records.recordEnd,
      baseTimestampMs + records.timestampDelta,
    );
  }
  return copy;
}
