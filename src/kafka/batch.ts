import { readRecordBatchHeader, RecordCursor } from "../kafka-wire/record-batch-reader.ts";
import { RecordBatchWriter } from "../kafka-wire/record-batch-writer.ts";
import type { BatchMemory } from "./batch-memory.ts";

/** One record batch on its way. */
export interface Batch {
  readonly writer: RecordBatchWriter;
  /** When its first frame came, on the publisher's monotonic clock. */
  readonly bornMs: number;
  /** The whole batch with its identity; undefined until it is first sent. */
  sealed: Buffer | undefined;
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

/** An empty batch in `buffer`. */
export function newBatch(buffer: Buffer, limitBytes: number, bornMs: number): Batch {
  return {
    writer: new RecordBatchWriter(buffer, limitBytes),
    bornMs,
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
export function copyRecords(
  batch: Batch,
  sealed: Buffer,
  memory: BatchMemory,
  keep: (index: number) => boolean,
): Batch {
  const copy = newBatch(memory.lendBeyondLimit(sealed.length), sealed.length, batch.bornMs);
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
