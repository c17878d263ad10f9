import { decompressRecords } from "./compression.ts";
import { decodeMessageSet, isMessageSet, readMessageSetHeader } from "./message-set.ts";
import { readRecordBatchHeader } from "./record-batch-reader.ts";
import type { RecordBatchHeader } from "./record-batch-reader.ts";

/** Records that do not stand where the broker's answer has them. */
export interface FetchedRecords {
  /** Of these records. */
  readonly header: RecordBatchHeader;
  /** Encoded as in a batch that is not compressed, in memory of their own. */
  readonly records: Buffer;
}

/**
 * Reads the header at `start` of what a partition holds: record batches, and in topics that were
 * written before Kafka 0.11, or for clients of that time, messages of the formats 0 and 1.
 *
 * @param bytes what a broker sent for one partition, the last batch perhaps cut
 * @param checkCrc verify the checksum
 * @returns undefined when what stands there is cut
 * @throws RecordBatchError
 */
export function readFetchedHeader(
  bytes: Buffer,
  start: number,
  end: number,
  checkCrc: boolean,
): RecordBatchHeader | undefined {
  return isMessageSet(bytes, start, end)
    ? readMessageSetHeader(bytes, start, end, checkCrc)
    : readRecordBatchHeader(bytes, start, end, checkCrc);
}

/** True when {@link readFetchedRecords} has to make the records: they are compressed, or of an older format. */
export function isDecodedApart({ compression, magic }: RecordBatchHeader): boolean {
  return compression !== "none" || magic < 2;
}

/**
 * Decompresses records, or makes records of older messages.
 *
 * @param bytes what `header` was read from
 * @throws RecordBatchError
 */
export async function readFetchedRecords(
  bytes: Buffer,
  header: RecordBatchHeader,
): Promise<FetchedRecords> {
  if (header.magic < 2) return decodeMessageSet(bytes, header);
  return { header, records: await decompressRecords(bytes, header) };
}
