import { ByteRangeError, ByteReader } from "../bytes/byte-reader.ts";
import { crc32c } from "../bytes/crc32c.ts";
import {
  BATCH_ATTRIBUTE,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_OVERHEAD,
  COMPRESSION_NAMES,
  OFFSET_OF,
} from "./record-batch-format.ts";

/** A batch that is damaged or of a kind that is not read. */
export class RecordBatchError extends Error {
  override name = "RecordBatchError";
}

/** Header of one batch, its records still encoded. */
export interface RecordBatchHeader {
  /** 2; less for messages of before Kafka 0.11 that are described as a batch. */
  readonly magic: 0 | 1 | 2;
  readonly baseOffset: bigint;
  /** The last record's offset is `baseOffset` plus this, also when compaction took records out. */
  readonly lastOffsetDelta: number;
  readonly baseTimestampMs: number;
  readonly maxTimestampMs: number;
  /** The broker has set the records' time: `maxTimestampMs` for all. */
  readonly logAppendTime: boolean;
  readonly compression: (typeof COMPRESSION_NAMES)[number];
  readonly transactional: boolean;
  /** Holds transaction markers instead of records. */
  readonly control: boolean;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly recordCount: number;
  /** Where the records begin and end. */
  readonly recordsStart: number;
  readonly recordsEnd: number;
}

/**
 * Reads the header of the batch at `start`.
 *
 * @param bytes what a broker sent for one partition: whole batches, the last one perhaps cut
 * @param start first byte of a batch
 * @param end end of what was sent
 * @param checkCrc verify the checksum
 * @returns undefined when the batch is cut, as the last of a response may be
 * @throws RecordBatchError magic other than 2, checksum, length or codec that cannot be
 */
export function readRecordBatchHeader(
  bytes: Buffer,
  start: number,
  end: number,
  checkCrc: boolean,
): RecordBatchHeader | undefined {
  if (end - start < OFFSET_OF.magic + 1) return undefined;
  const batchLength = bytes.readInt32BE(start + OFFSET_OF.batchLength);
  const magic = bytes[start + OFFSET_OF.magic]!;
  if (magic !== 2) {
    throw new RecordBatchError(`message format ${magic} is not that of record batches`);
  }
  if (batchLength < BATCH_HEADER_BYTES - BATCH_LENGTH_OVERHEAD) {
    throw new RecordBatchError(`batch length ${batchLength} is impossible`);
  }
  const recordsEnd = start + BATCH_LENGTH_OVERHEAD + batchLength;
  if (recordsEnd > end) return undefined;
  if (checkCrc) {
    const stated = bytes.readUInt32BE(start + OFFSET_OF.crc);
    const computed = crc32c(bytes.subarray(start + OFFSET_OF.attributes, recordsEnd));
    if (stated !== computed) {
      throw new RecordBatchError(`checksum is ${computed}, the batch states ${stated}`);
    }
  }
  const attributes = bytes.readInt16BE(start + OFFSET_OF.attributes);
  const compression = COMPRESSION_NAMES[attributes & BATCH_ATTRIBUTE.compressionMask];
  if (compression === undefined) {
    throw new RecordBatchError(`codec ${attributes & BATCH_ATTRIBUTE.compressionMask} is unknown`);
  }
  return {
    magic,
    baseOffset: bytes.readBigInt64BE(start + OFFSET_OF.baseOffset),
    lastOffsetDelta: bytes.readInt32BE(start + OFFSET_OF.lastOffsetDelta),
    baseTimestampMs: Number(bytes.readBigInt64BE(start + OFFSET_OF.baseTimestamp)),
    maxTimestampMs: Number(bytes.readBigInt64BE(start + OFFSET_OF.maxTimestamp)),
    logAppendTime: (attributes & BATCH_ATTRIBUTE.logAppendTime) !== 0,
    compression,
    transactional: (attributes & BATCH_ATTRIBUTE.transactional) !== 0,
    control: (attributes & BATCH_ATTRIBUTE.control) !== 0,
    producerId: bytes.readBigInt64BE(start + OFFSET_OF.producerId),
    producerEpoch: bytes.readInt16BE(start + OFFSET_OF.producerEpoch),
    baseSequence: bytes.readInt32BE(start + OFFSET_OF.baseSequence),
    recordCount: bytes.readInt32BE(start + OFFSET_OF.recordCount),
    recordsStart: start + BATCH_HEADER_BYTES,
    recordsEnd,
  };
}

/**
 * Steps through the records of a batch without making objects: each `next()`
 * moves the fields to the next record, all of them positions in `bytes`.
 *
 * @example
 * const records = new RecordCursor(bytes, header.recordsStart, header.recordsEnd, header.recordCount);
 * while (records.next()) use(bytes, records.valueStart, records.valueLength);
 */
export class RecordCursor {
  readonly bytes: Buffer;
  /** First byte behind this record. */
  recordEnd: number;
  /** First byte behind the offset delta: key, value and headers as they are encoded. */
  bodyStart = 0;
  timestampDelta = 0;
  offsetDelta = 0;
  keyStart = 0;
  /** -1 when the key is null. */
  keyLength = 0;
  valueStart = 0;
  /** -1 when the value is null. */
  valueLength = 0;
  headerCount = 0;
  /** First byte of the first header. */
  headersStart = 0;
  readonly #reader: ByteReader;
  readonly #end: number;
  #left: number;

  constructor(bytes: Buffer, start: number, end: number, recordCount: number) {
    this.bytes = bytes;
    this.#reader = new ByteReader(bytes, start, end);
    this.#end = end;
    this.#left = recordCount;
    this.recordEnd = start;
  }

  /**
   * @returns false behind the last record
   * @throws RecordBatchError when a record is damaged
   */
  next(): boolean {
    if (this.#left <= 0) return false;
    this.#left--;
    const reader = this.#reader;
    try {
      reader.offset = this.recordEnd;
      reader.end = this.#end;
      const length = reader.readVarint();
      this.recordEnd = reader.end = reader.skip(length) + length;
      reader.offset = this.recordEnd - length;
      reader.skip(1);
      this.timestampDelta = reader.readVarint();
      this.offsetDelta = reader.readVarint();
      this.bodyStart = reader.offset;
      this.keyLength = reader.readVarint();
      this.keyStart = this.keyLength < 0 ? reader.offset : reader.skip(this.keyLength);
      this.valueLength = reader.readVarint();
      this.valueStart = this.valueLength < 0 ? reader.offset : reader.skip(this.valueLength);
      this.headerCount = reader.readVarint();
      this.headersStart = reader.offset;
    } catch (error) {
      if (error instanceof ByteRangeError) {
        throw new RecordBatchError(`a record is damaged: ${error.message}`, { cause: error });
      }
      throw error;
    }
    return true;
  }
}
