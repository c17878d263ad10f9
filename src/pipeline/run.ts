import type { Slot } from "./frame-memory.ts";
import type { HeldPartition, Piece } from "./held-partition.ts";

/** Frames of one partition that stand one behind the other in a slot, in order of time. */
export interface Run {
  readonly partition: HeldPartition;
  readonly piece: Piece;
  readonly slot: Slot;
  /** Tells runs of equal times apart: first come, first out. */
  readonly number: number;
  /** What a frame's number is more than its place in the piece. */
  readonly before: number;
  /** Number of the next frame, and of the one behind the last. */
  at: number;
  readonly end: number;
  readonly endByte: number;
  /** Times of the first frame and of the last. */
  readonly seconds: number;
  readonly fraction: number;
  readonly lastSeconds: number;
  readonly lastFraction: number;
  /** The run that follows it in time, so that one of both is compared with others. */
  next: Run | undefined;
}
