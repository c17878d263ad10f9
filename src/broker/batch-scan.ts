import { crc32c } from "../bytes/crc32c.ts";
import {
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_OVERHEAD,
  OFFSET_OF,
} from "../kafka-wire/record-batch-format.ts";
import { readAt } from "../storage/file-io.ts";

const READ_BYTES = 256 * 1024;

/** How a file is gone through. */
export interface BatchScan {
  readonly fd: number;
  readonly from: number;
  readonly to: number;
  /** Reads whole batches and stops at one whose checksum is wrong; else headers alone are read. */
  readonly checkCrc: boolean;
  /** No batch before this offset belongs there. */
  readonly firstOffset: number;
  /**
   * Sees each batch.
   *
   * @param batch its header, all of it with `checkCrc`; good until the call returns
   * @param position where it stands in the file
   * @param lengthBytes of the whole batch
   * @returns false to stop before it
   */
  readonly visit: (batch: Buffer, position: number, lengthBytes: number) => boolean;
}

/**
 * Goes through the batches of a segment.
 *
 * @returns position behind the last batch that is whole and in its place, or of the one that
 *   `visit` stopped at
 */
export async function scanBatches(scan: BatchScan): Promise<number> {
  const { fd, to, checkCrc, visit } = scan;
  let window = Buffer.allocUnsafe(Math.min(READ_BYTES, Math.max(to - scan.from, 0)));
  let windowStart = 0;
  let windowEnd = 0;
  let nextOffset = scan.firstOffset;
  let position = scan.from;

  /** Makes sure that bytes are in the window; false when the file does not have them. */
  const hold = async (bytes: number): Promise<boolean> => {
    if (position + bytes > to) return false;
    if (position >= windowStart && position + bytes <= windowEnd) return true;
    if (bytes > window.length) window = Buffer.allocUnsafe(bytes);
    windowStart = position;
    const wanted = Math.min(window.length, to - position);
    windowEnd = position + (await readAt(fd, window.subarray(0, wanted), position));
    return position + bytes <= windowEnd;
  };

  while (await hold(BATCH_HEADER_BYTES)) {
    let at = position - windowStart;
    const length = window.readInt32BE(at + OFFSET_OF.batchLength) + BATCH_LENGTH_OVERHEAD;
    const offset = Number(window.readBigInt64BE(at + OFFSET_OF.baseOffset));
    const delta = window.readInt32BE(at + OFFSET_OF.lastOffsetDelta);
    const possible =
      length >= BATCH_HEADER_BYTES &&
      position + length <= to &&
      window[at + OFFSET_OF.magic] === 2 &&
      offset >= nextOffset &&
      delta >= 0;
    if (!possible) break;
    if (checkCrc) {
      if (!(await hold(length))) break;
      at = position - windowStart;
      const stated = window.readUInt32BE(at + OFFSET_OF.crc);
      if (stated !== crc32c(window.subarray(at + OFFSET_OF.attributes, at + length))) break;
    }
    const seen = window.subarray(at, at + (checkCrc ? length : BATCH_HEADER_BYTES));
    if (!visit(seen, position, length)) break;
    nextOffset = offset + delta + 1;
    position += length;
  }
  return position;
}
