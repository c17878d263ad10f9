import { ByteWriter } from "../bytes/byte-writer.ts";
import { sizeOfVarint, writeVarint } from "../bytes/varint.ts";
import { isDecodedApart, readFetchedHeader, readFetchedRecords } from "./fetched-records.ts";
import { BATCH_HEADER_BYTES } from "./record-batch-format.ts";
import { RecordCursor } from "./record-batch-reader.ts";
import { NO_PRODUCER_ID, RecordBatchWriter } from "./record-batch-writer.ts";

/** A record that is no frame. */
export interface PlainRecord {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly timestampMs: number;
}

/** What a record takes beside key and value at most: see RecordBatchWriter. */
const RECORD_OVERHEAD_BYTES = 40;

/** Most that {@link encodePlainBatch} makes of records. */
export function sizeOfPlainBatch(records: readonly PlainRecord[]): number {
  return records.reduce(
    (bytes, { key, value }) => bytes + RECORD_OVERHEAD_BYTES + key.length + value.length,
    BATCH_HEADER_BYTES,
  );
}

/** A whole record batch of records without headers, without a producer's identity. */
export function encodePlainBatch(records: readonly PlainRecord[]): Buffer {
  const writer = new RecordBatchWriter(Buffer.alloc(sizeOfPlainBatch(records)));
  for (const { key, value, timestampMs } of records) {
    const body = encodeBody(key, value);
    writer.appendEncoded(body, 0, body.length, timestampMs);
  }
  return writer.seal(NO_PRODUCER_ID, -1, -1);
}

/** Key, value and the count of headers, as they stand behind a record's offset delta. */
function encodeBody(key: Buffer, value: Buffer): Buffer {
  const writer = new ByteWriter(RECORD_OVERHEAD_BYTES + key.length + value.length);
  for (const part of [key, value]) {
    const length = Buffer.alloc(sizeOfVarint(part.length));
    writeVarint(length, 0, part.length);
    writer.writeRaw(length);
    writer.writeRaw(part);
  }
  writer.writeInt8(0);
  return writer.bytes;
}

/** Records of whole batches, and where to go on. */
export interface PlainRecords {
  readonly values: readonly Buffer[];
  /** Behind the last whole batch; undefined when there was none. */
  readonly nextOffset: bigint | undefined;
}

/**
 * Reads the values of records.
 *
 * @param start where the first batch begins in `bytes`
 * @param end end of the batches, the last of which may be cut
 * @param from offsets before it are left out
 * @throws RecordBatchError
 */
export async function decodePlainBatches(
  bytes: Buffer,
  start: number,
  end: number,
  from: bigint,
): Promise<PlainRecords> {
  const values: Buffer[] = [];
  let nextOffset: bigint | undefined;
  for (let at = start; at < end;) {
    const header = readFetchedHeader(bytes, at, end, true);
    if (header === undefined) break;
    at = header.recordsEnd;
    nextOffset = header.baseOffset + BigInt(header.lastOffsetDelta) + 1n;
    if (header.control) continue;
    const { recordsStart, recordsEnd } = header;
    const fetched = isDecodedApart(header)
      ? await readFetchedRecords(bytes, header)
      : { header, records: bytes.subarray(recordsStart, recordsEnd) };
    const { records } = fetched;
    const { baseOffset, recordCount } = fetched.header;
    const cursor = new RecordCursor(records, 0, records.length, recordCount);
    while (cursor.next()) {
      if (baseOffset + BigInt(cursor.offsetDelta) < from || cursor.valueLength < 0) continue;
      const { valueStart, valueLength } = cursor;
      values.push(Buffer.from(records.subarray(valueStart, valueStart + valueLength)));
    }
  }
  return { values, nextOffset };
}
