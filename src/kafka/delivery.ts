import { readRecordBatchHeader, RecordCursor } from "../kafka-wire/record-batch-reader.ts";
import { readCaptureKey } from "../packet/capture-time.ts";

/** A batch that the broker has. */
export interface Delivery {
  readonly partition: number;
  /** -1 when the broker had the batch already and no longer knows where. */
  readonly baseOffset: bigint;
  readonly recordCount: number;
  /** The encoded batch; valid during the call only. */
  readonly batch: Buffer;
}

/**
 * Reads the frames of a delivered batch, for those who print them.
 *
 * @param visit index in the batch, offset in the partition (-1 when not known), capture time in
 *   microseconds since the epoch, captured length
 */
export function forEachDelivered(
  { batch, baseOffset, recordCount }: Delivery,
  visit: (index: number, offset: bigint, captureMicros: number, lengthBytes: number) => void,
): void {
  const { recordsStart, recordsEnd } = readRecordBatchHeader(batch, 0, batch.length, false)!;
  const records = new RecordCursor(batch, recordsStart, recordsEnd, recordCount);
  for (let index = 0; records.next(); index++) {
    const offset = baseOffset < 0n ? baseOffset : baseOffset + BigInt(records.offsetDelta);
    visit(index, offset, readCaptureKey(batch, records.keyStart), records.valueLength);
  }
}
