import { crc32c } from "../bytes/crc32c.ts";
import { sizeOfVarint, writeVarint } from "../bytes/varint.ts";
import { CAPTURE_KEY_BYTES, writeCaptureKey } from "../packet/capture-time.ts";
import {
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_OVERHEAD,
  COMPRESSION_NAMES,
  OFFSET_OF,
} from "./record-batch-format.ts";

/** The varint in front of each key: its length, zigzag. */
const KEY_LENGTH_VARINT = CAPTURE_KEY_BYTES << 1;

/**
 * Longest that a record can be beside its value and headers: length (5),
 * attributes (1), timestamp delta (8), offset delta (5), key (9), value
 * length (5).
 */
const MAX_RECORD_OVERHEAD = 33;

/** What a producer id, its epoch and the first record's sequence number are without idempotence. */
export const NO_PRODUCER_ID = -1n;

/** Room a batch needs that is to take one record of this size, whatever its times. */
export function sizeOfSingleRecordBatch(valueBytes: number, headerBytes: number): number {
  return BATCH_HEADER_BYTES + MAX_RECORD_OVERHEAD + valueBytes + headerBytes;
}

/**
 * One RecordBatch under construction in a buffer that is used again and again.
 * Records are written where they stay; the header is filled in when the batch
 * is sealed, and its identity (producer id, epoch, sequence) last, because a
 * batch that is sent again under another identity needs only that and a new
 * checksum.
 *
 * ```
 *   buffer ┌──────────────┬────────┬────────┬─ ─ ─┬──────────────┐
 *          │ header (61)  │ record │ record │     │ room         │
 *          └──────────────┴────────┴────────┴─ ─ ─┴──────────────┘
 *                                                 ↑ length
 * ```
 */
export class RecordBatchWriter {
  /** Memory of the batch; another one once its records are compressed. */
  buffer: Buffer;
  /** Bytes in use, header included. */
  length = BATCH_HEADER_BYTES;
  recordCount = 0;
  #limit: number;
  readonly #arena: Buffer | undefined;
  readonly #arenaStart: number = 0;
  #baseTimestampMs = 0;
  #maxTimestampMs = 0;
  #attributes = 0;

  /**
   * @param buffer memory for the whole batch
   * @param limitBytes largest size of the batch, header included
   * @param arena what the buffer is cut from: frames in it are moved, not copied
   */
  constructor(buffer: Buffer, limitBytes: number = buffer.length, arena?: Buffer) {
    this.buffer = buffer;
    if (arena?.buffer === buffer.buffer) {
      this.#arena = arena;
      this.#arenaStart = buffer.byteOffset - arena.byteOffset;
    }
    this.#limit = Math.min(limitBytes, buffer.length);
  }

  /** Timestamp of its first record. */
  get firstTimestampMs(): number {
    return this.#baseTimestampMs;
  }

  /**
   * Takes a batch up again that was sealed once, here or in another process.
   *
   * @param buffer begins with the batch
   * @param length of the batch
   */
  static restore(buffer: Buffer, length: number): RecordBatchWriter {
    const writer = new RecordBatchWriter(buffer, length);
    writer.length = length;
    writer.recordCount = buffer.readInt32BE(OFFSET_OF.recordCount);
    writer.#baseTimestampMs = Number(buffer.readBigInt64BE(OFFSET_OF.baseTimestamp));
    writer.#maxTimestampMs = Number(buffer.readBigInt64BE(OFFSET_OF.maxTimestamp));
    writer.#attributes = buffer.readInt16BE(OFFSET_OF.attributes);
    return writer;
  }

  /** Moves the timestamps of all records, so that the latest is this; keys stay. */
  moveTimestamps(latestMs: number): void {
    this.#baseTimestampMs += latestMs - this.#maxTimestampMs;
    this.#maxTimestampMs = latestMs;
  }

  /** Latest timestamp of its records. */
  get maxTimestampMs(): number {
    return this.#maxTimestampMs;
  }

  /** The records as they are encoded so far, a view on the buffer. */
  get records(): Buffer {
    return this.buffer.subarray(BATCH_HEADER_BYTES, this.length);
  }

  /**
   * Puts compressed records in the place of the records. Nothing can be
   * appended any more; the buffer they were written in is free.
   *
   * @param compression codec they are compressed with
   * @param buffer memory of the exact size of the batch, compressed records behind room for its header
   */
  useCompressed(compression: (typeof COMPRESSION_NAMES)[number], buffer: Buffer): void {
    this.buffer = buffer;
    this.length = this.#limit = buffer.length;
    this.#attributes = COMPRESSION_NAMES.indexOf(compression);
  }

  /**
   * Appends one frame as a record.
   *
   * @param source bytes the frame lies in
   * @param start first byte of the frame
   * @param frameBytes its length
   * @param seconds capture time, which becomes the record's key
   * @param micros its microseconds
   * @param timestampMs the record's timestamp
   * @param headers encoded record headers: count varint, then the headers
   * @param headerBytes how much of `headers` is in use
   * @returns false, and nothing written, when the batch has no room for it
   */
  append(
    source: Buffer,
    start: number,
    frameBytes: number,
    seconds: number,
    micros: number,
    timestampMs: number,
    headers: Uint8Array,
    headerBytes: number,
  ): boolean {
    const { buffer } = this;
    const offsetDelta = this.recordCount;
    if (offsetDelta === 0) this.#baseTimestampMs = this.#maxTimestampMs = timestampMs;
    const timestampDelta = timestampMs - this.#baseTimestampMs;
    const bodyBytes =
      1 +
      sizeOfVarint(timestampDelta) +
      sizeOfVarint(offsetDelta) +
      1 +
      CAPTURE_KEY_BYTES +
      sizeOfVarint(frameBytes) +
      frameBytes +
      headerBytes;
    let at = this.length;
    if (at + sizeOfVarint(bodyBytes) + bodyBytes > this.#limit) return false;

    at = writeVarint(buffer, at, bodyBytes);
    buffer[at++] = 0;
    at = writeVarint(buffer, at, timestampDelta);
    at = writeVarint(buffer, at, offsetDelta);
    buffer[at++] = KEY_LENGTH_VARINT;
    writeCaptureKey(buffer, at, seconds, micros);
    at += CAPTURE_KEY_BYTES;
    at = writeVarint(buffer, at, frameBytes);
    if (source === this.#arena) {
      source.copyWithin(this.#arenaStart + at, start, start + frameBytes);
    } else {
      source.copy(buffer, at, start, start + frameBytes);
    }
    at += frameBytes;
    for (let i = 0; i < headerBytes; i++) buffer[at++] = headers[i]!;

    if (timestampMs > this.#maxTimestampMs) this.#maxTimestampMs = timestampMs;
    this.recordCount = offsetDelta + 1;
    this.length = at;
    return true;
  }

  /**
   * Appends a record that already stands in another batch, keeping its key,
   * value, headers and time. For batches that have to be divided.
   *
   * @param source bytes the record lies in
   * @param bodyStart first byte behind the record's offset delta
   * @param bodyEnd end of the record
   * @param timestampMs the record's timestamp
   */
  appendEncoded(source: Buffer, bodyStart: number, bodyEnd: number, timestampMs: number): boolean {
    const { buffer } = this;
    const offsetDelta = this.recordCount;
    if (offsetDelta === 0) this.#baseTimestampMs = this.#maxTimestampMs = timestampMs;
    const timestampDelta = timestampMs - this.#baseTimestampMs;
    const bodyBytes =
      1 + sizeOfVarint(timestampDelta) + sizeOfVarint(offsetDelta) + (bodyEnd - bodyStart);
    let at = this.length;
    if (at + sizeOfVarint(bodyBytes) + bodyBytes > this.#limit) return false;
    at = writeVarint(buffer, at, bodyBytes);
    buffer[at++] = 0;
    at = writeVarint(buffer, at, timestampDelta);
    at = writeVarint(buffer, at, offsetDelta);
    source.copy(buffer, at, bodyStart, bodyEnd);
    if (timestampMs > this.#maxTimestampMs) this.#maxTimestampMs = timestampMs;
    this.recordCount = offsetDelta + 1;
    this.length = at + (bodyEnd - bodyStart);
    return true;
  }

  /**
   * Fills in the header under an identity.
   *
   * @param producerId {@link NO_PRODUCER_ID} without idempotence
   * @param producerEpoch -1 without idempotence
   * @param baseSequence sequence number of the first record; -1 without idempotence
   * @returns the whole batch, a view on the buffer
   */
  seal(producerId: bigint, producerEpoch: number, baseSequence: number): Buffer {
    const { buffer, length } = this;
    buffer.writeBigInt64BE(0n, OFFSET_OF.baseOffset);
    buffer.writeInt32BE(length - BATCH_LENGTH_OVERHEAD, OFFSET_OF.batchLength);
    buffer.writeInt32BE(-1, OFFSET_OF.partitionLeaderEpoch);
    buffer[OFFSET_OF.magic] = 2;
    buffer.writeInt16BE(this.#attributes, OFFSET_OF.attributes);
    buffer.writeInt32BE(this.recordCount - 1, OFFSET_OF.lastOffsetDelta);
    buffer.writeBigInt64BE(BigInt(this.#baseTimestampMs), OFFSET_OF.baseTimestamp);
    buffer.writeBigInt64BE(BigInt(this.#maxTimestampMs), OFFSET_OF.maxTimestamp);
    buffer.writeBigInt64BE(producerId, OFFSET_OF.producerId);
    buffer.writeInt16BE(producerEpoch, OFFSET_OF.producerEpoch);
    buffer.writeInt32BE(baseSequence, OFFSET_OF.baseSequence);
    buffer.writeInt32BE(this.recordCount, OFFSET_OF.recordCount);
    buffer.writeUInt32BE(crc32c(buffer.subarray(OFFSET_OF.attributes, length)), OFFSET_OF.crc);
    return buffer.subarray(0, length);
  }
}
