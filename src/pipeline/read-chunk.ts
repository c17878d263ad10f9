import type { FetchedChunk } from "../kafka/frame-decoder.ts";
import { joinSpans, type OffsetSpan, subtractSpans } from "../kafka/offset-spans.ts";
import type { FrameChunk } from "../packet/frame-chunk.ts";

/** Frames read from a topic, of one partition or, put in order, of several. */
export interface ReadChunk extends FrameChunk {
  /** Partition of all frames, unless `partitionOf` tells it of each. */
  readonly partition: number;
  /** Partition of each frame, when they were asked for together with offsets. */
  readonly partitionOf?: Int32Array;
  /** Offset of each frame, when they were asked for. */
  readonly offsets?: readonly bigint[];
  /** Where to go on reading each partition when all these frames are dealt with. */
  readonly positions: ReadonlyMap<number, bigint>;
  /**
   * Records behind these positions that are dealt with, too, by partition: frames that went out in front
   * of others that came before them. Only where offsets were asked for.
   */
  readonly done?: ReadonlyMap<number, readonly OffsetSpan[]>;
}

/** How far each partition is dealt with. */
export type Dealt = Pick<ReadChunk, "positions" | "done">;

/** What was fetched, with its position as a {@link ReadChunk} has it. */
export function asReadChunk(fetched: FetchedChunk): ReadChunk {
  return { ...fetched, positions: new Map([[fetched.partition, fetched.nextOffset]]) };
}

/**
 * How far partitions are dealt with when only the first frames of a chunk are.
 *
 * @param count how many; when that is less than all, the chunk has offsets, or it counts for all
 */
export function dealtBehind(chunk: ReadChunk, count: number): Dealt {
  const { frameCount, offsets, partitionOf, partition, positions, done } = chunk;
  if (count >= frameCount || offsets === undefined) return chunk;
  const left = new Map<number, OffsetSpan[]>();
  for (let index = count; index < frameCount; index++) {
    const of = partitionOf === undefined ? partition : partitionOf[index]!;
    const from = offsets[index]!;
    const spans = left.get(of);
    if (spans === undefined) left.set(of, [{ from, to: from + 1n }]);
    else spans.push({ from, to: from + 1n });
  }
  const positionsNow = new Map(positions);
  const doneNow = new Map(done);
  for (const [of, spans] of left) {
    const holes = joinSpans(spans, 0n);
    const position = positions.get(of)!;
    const first = holes[0]!.from < position ? holes[0]!.from : position;
    const whole = joinSpans([{ from: first, to: position }, ...(done?.get(of) ?? [])], first);
    positionsNow.set(of, first);
    doneNow.set(of, subtractSpans(whole, holes));
  }
  return { positions: positionsNow, done: doneNow };
}
