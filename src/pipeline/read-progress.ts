import { frameBytesOf } from "../packet/frame-chunk.ts";
import type { ReadChunk } from "./read-chunk.ts";

/** Where a partition's reading will end, as far as that is known. */
export interface PartitionEnd {
  /** Nothing more comes of it. */
  readonly isFinished: boolean;
  /** Offset behind the last record that is asked for; undefined where nobody knows. */
  readonly end: bigint | undefined;
}

/** How far a topic was read: what the output has dealt with. */
export class ReadProgress {
  /** Captured bytes of the frames. */
  bytes = 0;
  readonly #start: ReadonlyMap<number, bigint>;
  readonly #positions: Map<number, bigint>;

  /** @param start first offset of each partition that is read */
  constructor(start: ReadonlyMap<number, bigint>) {
    this.#start = start;
    this.#positions = new Map(start);
  }

  /** Notes that the frames of a chunk are dealt with. */
  note(chunk: ReadChunk): void {
    this.bytes += frameBytesOf(chunk);
    for (const [partition, next] of chunk.positions) this.#positions.set(partition, next);
  }

  /**
   * How much of what is asked for was read.
   *
   * @param endOf asked for each partition, with where its reading has come to
   * @returns 0 to 1; undefined while the end of a partition is not known
   */
  share(endOf: (partition: number, position: bigint) => PartitionEnd): number | undefined {
    let done = 0n;
    let all = 0n;
    for (const [partition, position] of this.#positions) {
      const start = this.#start.get(partition) ?? position;
      const { isFinished, end } = endOf(partition, position);
      if (end === undefined && !isFinished) return undefined;
      done += position - start;
      all += (isFinished || end! < position ? position : end!) - start;
    }
    return all === 0n ? 1 : Number(done) / Number(all);
  }
}

/**
 * The share of what comes to its end first.
 *
 * @param shares 0 to 1; those that are not known do not count
 */
export function furthest(...shares: readonly (number | undefined)[]): number | undefined {
  const known = shares.filter((share) => share !== undefined);
  return known.length === 0 ? undefined : Math.min(1, Math.max(...known));
}
