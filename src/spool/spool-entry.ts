import { crc32c } from "../bytes/crc32c.ts";
import { BATCH_HEADER_BYTES, OFFSET_OF } from "../kafka-wire/record-batch-format.ts";

/*
 * An entry of a segment:
 *
 *    0 magic         uint32   "PCSP"
 *    4 crc           uint32   CRC-32C of the rest of this header and of the first 21 bytes of the batch:
 *                             the batch's own checksum covers what follows
 *    8 batchLength   uint32
 *   12 frameCount    uint32
 *   16 serial        float64  the order of a partition's entries
 *   24 framesBefore  float64  sum of the frames of all entries before
 *   32 bornMs        float64  wall clock when its first frame was taken
 *   40 batch         a record batch as a broker takes it
 */

/** Bytes in front of a batch. */
export const ENTRY_HEADER_BYTES = 40;

const MAGIC = 0x50435350;

/** Bytes of a batch in front of what its own checksum covers. */
const UNCOVERED_BATCH_BYTES = OFFSET_OF.attributes;

/** What is known of an entry besides its batch. */
export interface SpoolEntry {
  readonly serial: number;
  readonly frameCount: number;
  readonly framesBefore: number;
  readonly bornMs: number;
  readonly batchLength: number;
}

/** Header of an entry. */
export function encodeEntryHeader(entry: SpoolEntry, batch: Buffer): Buffer {
  const header = Buffer.allocUnsafe(ENTRY_HEADER_BYTES);
  header.writeUInt32BE(MAGIC, 0);
  header.writeUInt32BE(entry.batchLength, 8);
  header.writeUInt32BE(entry.frameCount, 12);
  header.writeDoubleBE(entry.serial, 16);
  header.writeDoubleBE(entry.framesBefore, 24);
  header.writeDoubleBE(entry.bornMs, 32);
  header.writeUInt32BE(checksumOf(header, batch), 4);
  return header;
}

/**
 * Reads the header of an entry.
 *
 * @param bytes at least the header
 * @returns undefined when that is no header; whether it is whole only {@link isWholeEntry} tells
 */
export function decodeEntryHeader(bytes: Buffer): SpoolEntry | undefined {
  if (bytes.length < ENTRY_HEADER_BYTES || bytes.readUInt32BE(0) !== MAGIC) return undefined;
  const batchLength = bytes.readUInt32BE(8);
  if (batchLength < BATCH_HEADER_BYTES) return undefined;
  return {
    batchLength,
    frameCount: bytes.readUInt32BE(12),
    serial: bytes.readDoubleBE(16),
    framesBefore: bytes.readDoubleBE(24),
    bornMs: bytes.readDoubleBE(32),
  };
}

/** Whether header and batch are what was written. */
export function isWholeEntry(header: Buffer, batch: Buffer): boolean {
  if (header.readUInt32BE(4) !== checksumOf(header, batch)) return false;
  return batch.readUInt32BE(OFFSET_OF.crc) === crc32c(batch.subarray(OFFSET_OF.attributes));
}

function checksumOf(header: Buffer, batch: Buffer): number {
  const ofHeader = crc32c(header.subarray(8, ENTRY_HEADER_BYTES));
  return crc32c(batch.subarray(0, UNCOVERED_BATCH_BYTES), ofHeader);
}
