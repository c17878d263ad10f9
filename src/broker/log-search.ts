import { decompressRecords } from "../kafka-wire/compression.ts";
import { BATCH_ATTRIBUTE, OFFSET_OF } from "../kafka-wire/record-batch-format.ts";
import { readRecordBatchHeader, RecordCursor } from "../kafka-wire/record-batch-reader.ts";
import { readBatchFacts } from "./batch-check.ts";
import { scanBatches } from "./batch-scan.ts";
import { readAt } from "../storage/file-io.ts";
import type { Segment } from "./segment.ts";

/** A record that a search found. */
export interface FoundRecord {
  readonly offset: number;
  readonly timestampMs: number;
}

/**
 * The segment that holds an offset.
 *
 * @param segments by offset, at least one
 */
export function segmentOf(segments: readonly Segment[], offset: number): Segment {
  let low = 0;
  let high = segments.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (segments[middle]!.baseOffset <= offset) low = middle;
    else high = middle - 1;
  }
  return segments[low]!;
}

/**
 * Where the batch with an offset stands.
 *
 * @param segment that holds it
 * @returns its position; the end of the segment when it holds nothing at or behind the offset
 */
export async function findPosition(segment: Segment, offset: number): Promise<number> {
  await segment.loadIndex();
  const { position } = segment.index.findOffset(offset);
  return segment.withFile((fd) =>
    scanBatches({
      fd,
      from: position,
      to: segment.sizeBytes,
      checkCrc: false,
      firstOffset: segment.baseOffset,
      visit: (batch) => {
        const base = Number(batch.readBigInt64BE(OFFSET_OF.baseOffset));
        return base + readBatchFacts(batch).lastOffsetDelta < offset;
      },
    }),
  );
}

/**
 * The first record at or after a time.
 *
 * @param segments by offset
 * @returns undefined when all are earlier
 */
export async function findTime(
  segments: readonly Segment[],
  timestampMs: number,
): Promise<FoundRecord | undefined> {
  for (const segment of segments) {
    try {
      await segment.loadIndex();
      if ((segment.latestMs ?? -Infinity) < timestampMs) continue;
      const batch = await readFirstBatch(segment, timestampMs);
      if (batch !== undefined) return await findInBatch(batch, timestampMs);
    } catch (error) {
      // Retention took it meanwhile.
      if (!segment.isRemoved) throw error;
    }
  }
  return undefined;
}

/** The latest time of any record. */
export async function findLatest(segments: readonly Segment[]): Promise<number> {
  let latestMs = -Infinity;
  for (const segment of segments) {
    await segment.loadIndex();
    latestMs = Math.max(latestMs, segment.latestMs ?? -Infinity);
  }
  return latestMs;
}

async function readFirstBatch(segment: Segment, timestampMs: number): Promise<Buffer | undefined> {
  return segment.withFile(async (fd) => {
    let found: Buffer | undefined;
    const position = await scanBatches({
      fd,
      from: segment.index.findTime(timestampMs).position,
      to: segment.sizeBytes,
      checkCrc: false,
      firstOffset: segment.baseOffset,
      visit: (batch, _position, lengthBytes) => {
        if (readBatchFacts(batch).maxTimestampMs < timestampMs) return true;
        found = Buffer.allocUnsafe(lengthBytes);
        return false;
      },
    });
    if (found !== undefined) await readAt(fd, found, position);
    return found;
  });
}

async function findInBatch(batch: Buffer, timestampMs: number): Promise<FoundRecord> {
  const header = readRecordBatchHeader(batch, 0, batch.length, true)!;
  const baseOffset = Number(header.baseOffset);
  const attributes = batch.readInt16BE(OFFSET_OF.attributes);
  if ((attributes & BATCH_ATTRIBUTE.logAppendTime) !== 0) {
    return { offset: baseOffset, timestampMs: header.maxTimestampMs };
  }
  const plain = header.compression === "none";
  try {
    const records = plain
      ? batch.subarray(header.recordsStart)
      : await decompressRecords(batch, header);
    const cursor = new RecordCursor(records, 0, records.length, header.recordCount);
    while (cursor.next()) {
      const recordMs = header.baseTimestampMs + cursor.timestampDelta;
      if (recordMs >= timestampMs) {
        return { offset: baseOffset + cursor.offsetDelta, timestampMs: recordMs };
      }
    }
  } catch {
    // Compressed records were not looked into when they came: they may be anything.
  }
  // The header promised one; whoever reads from here on misses nothing.
  return { offset: baseOffset, timestampMs: header.maxTimestampMs };
}
