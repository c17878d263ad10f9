import { readdir } from "node:fs/promises";
import { OFFSET_OF } from "../kafka-wire/record-batch-format.ts";
import { readBatchFacts } from "./batch-check.ts";
import { scanBatches } from "./batch-scan.ts";
import { type Checkpoint, loadCheckpoint, readCheckpoint } from "./checkpoint.ts";
import { ProducerStates } from "./producer-states.ts";
import { baseOffsetOf, Segment } from "./segment.ts";
import type { LogEnvironment } from "./partition-settings.ts";

/** A partition's log as it was found. */
export interface RecoveredLog {
  /** By offset, at least one; the last is written to. */
  readonly segments: Segment[];
  /** Closed ones that no synced checkpoint stands for: they may not be on the disk yet. */
  readonly unsynced: readonly Segment[];
  readonly nextOffset: number;
  readonly producers: ProducerStates;
  /** Bytes that were gone through because no checkpoint stood for them. */
  readonly checkedBytes: number;
  /** Bytes behind the last whole batch, which are gone now. */
  readonly cutBytes: number;
}

/**
 * Opens the files of a partition. What a checkpoint stands for is trusted; what
 * comes behind it is checked batch by batch, checksums included, and everything
 * from the first torn batch on is cut off. That much is read after `kill -9`:
 * what came since the last checkpoint, a second ago.
 *
 * ```
 *   segment 0        segment 1                    segment 2
 *   ███ trusted ███  ███ trusted ███|── checked ── ── checked ──✂ torn
 *                        checkpoint ┘
 * ```
 */
export async function recoverLog(
  directory: string,
  { bootId, now }: LogEnvironment,
): Promise<RecoveredLog> {
  const bases = (await readdir(directory))
    .map(baseOffsetOf)
    .filter((base) => base !== undefined)
    .toSorted((a, b) => a - b);
  const found = await loadCheckpoint(directory, bootId);
  if (bases.length === 0) {
    const first = found?.nextOffset ?? 0;
    await new Segment(directory, first).create();
    bases.push(first);
  }
  const checkpoint = (await fits(directory, bases, found)) ? found : undefined;

  const segments: Segment[] = [];
  const producers = new ProducerStates();
  if (checkpoint !== undefined) producers.restore(checkpoint.producers);
  let nextOffset = checkpoint?.nextOffset ?? bases[0]!;
  let checkedBytes = 0;
  let cutBytes = 0;
  for (const base of bases) {
    if (checkpoint !== undefined && base < checkpoint.segment) {
      segments.push(await Segment.openClosed(directory, base));
      continue;
    }
    const segment = new Segment(directory, base);
    const fileBytes = await segment.fileBytes();
    const isFirst = segments.length === 0 || base === checkpoint?.segment;
    if (cutBytes > 0 || (!isFirst && base !== nextOffset)) {
      // Behind a gap nothing follows what is there.
      cutBytes += fileBytes;
      await segment.remove();
      continue;
    }
    await segments.at(-1)?.finishIfOpen(nextOffset);
    segments.push(segment);
    if (base === checkpoint?.segment) await takeOver(segment, checkpoint, bootId);
    const from = segment.sizeBytes;
    await segment.withFile((fd) =>
      scanBatches({
        fd,
        from,
        to: fileBytes,
        checkCrc: true,
        firstOffset: nextOffset,
        visit: (batch, position, lengthBytes) => {
          const facts = readBatchFacts(batch);
          const offset = Number(batch.readBigInt64BE(OFFSET_OF.baseOffset));
          if (offset !== nextOffset) return false;
          segment.note(offset, position, lengthBytes, facts.maxTimestampMs);
          producers.note(facts, offset, now());
          nextOffset = offset + facts.lastOffsetDelta + 1;
          return true;
        },
      }),
    );
    checkedBytes += fileBytes - from;
    if (segment.sizeBytes < fileBytes) {
      cutBytes += fileBytes - segment.sizeBytes;
      await segment.cut();
    }
  }
  const syncedFrom = (await readCheckpoint(directory, "synced"))?.segment ?? 0;
  const unsynced = segments.slice(0, -1).filter(({ baseOffset }) => baseOffset >= syncedFrom);
  return { segments, unsynced, nextOffset, producers, checkedBytes, cutBytes };
}

/** A checkpoint of files that are not there any more, or are shorter, stands for nothing. */
async function fits(
  directory: string,
  bases: readonly number[],
  checkpoint: Checkpoint | undefined,
): Promise<boolean> {
  if (checkpoint === undefined || !bases.includes(checkpoint.segment)) return false;
  return (await new Segment(directory, checkpoint.segment).fileBytes()) >= checkpoint.position;
}

/** Begins a segment where the checkpoint ends. */
async function takeOver(segment: Segment, checkpoint: Checkpoint, bootId: string): Promise<void> {
  const { position, latestMs } = checkpoint;
  // The index is not synced: after a power failure it may hold anything.
  if (checkpoint.bootId === bootId) {
    await segment.index.load(position);
    segment.sizeBytes = position;
    segment.latestMs = latestMs ?? -Infinity;
    return;
  }
  await segment.withFile((fd) =>
    scanBatches({
      fd,
      from: 0,
      to: position,
      checkCrc: false,
      firstOffset: segment.baseOffset,
      visit: (batch, at, lengthBytes) => {
        const offset = Number(batch.readBigInt64BE(OFFSET_OF.baseOffset));
        segment.note(offset, at, lengthBytes, readBatchFacts(batch).maxTimestampMs);
        return true;
      },
    }),
  );
}
