import type { FetchedChunk } from "../kafka/frame-decoder.ts";
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
}

/** What was fetched, with its position as a {@link ReadChunk} has it. */
export function asReadChunk(fetched: FetchedChunk): ReadChunk {
  return { ...fetched, positions: new Map([[fetched.partition, fetched.nextOffset]]) };
}

/**
 * Where to go on reading when only the first frames of a chunk are dealt with.
 *
 * @param count how many; when that is less than all, the chunk has offsets, or it counts for all
 */
export function positionsBehind(chunk: ReadChunk, count: number): ReadonlyMap<number, bigint> {
  const { frameCount, offsets, partitionOf, partition, positions } = chunk;
  if (count >= frameCount || offsets === undefined) return positions;
  const behind = new Map(positions);
  for (let index = count; index < frameCount; index++) {
    const of = partitionOf === undefined ? partition : partitionOf[index]!;
    const known = behind.get(of);
    if (known === undefined || offsets[index]! < known) behind.set(of, offsets[index]!);
  }
  return behind;
}
