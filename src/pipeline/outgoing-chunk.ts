import { type CaptureInterface, FRAME_HEADER_BYTES } from "../packet/frame-chunk.ts";
import { OUTPUT_BYTES } from "./frame-memory.ts";
import type { HeldPartition, Piece } from "./held-partition.ts";
import type { Dealt, ReadChunk } from "./read-chunk.ts";
import type { Run } from "./run.ts";

const MOST_FRAMES = OUTPUT_BYTES / FRAME_HEADER_BYTES;

/** What is known of the frames that go out in one chunk, beside their bytes. */
export class OutgoingChunk {
  frameCount = 0;
  /** Partitions that have frames in it. */
  readonly partitions: HeldPartition[] = [];
  #withInterfaces = false;
  #interfaceOf = new Uint16Array(0);
  #partitionOf: number[] | undefined;
  #offsets: bigint[] = [];

  /** Empties it. */
  begin(): void {
    this.frameCount = 0;
    this.partitions.length = 0;
    this.#withInterfaces = false;
    this.#partitionOf = undefined;
    this.#offsets = [];
  }

  /** Adds the next frames of a run. */
  add({ partition, piece, at, before }: Run, count: number): void {
    const from = at - before;
    if (piece.interfaceOf !== undefined || this.#withInterfaces) {
      this.#addInterfaces(piece, from, count);
    }
    if (piece.offsets !== undefined) {
      const partitionOf = (this.#partitionOf ??= []);
      for (let n = from; n < from + count; n++) {
        partitionOf.push(partition.partition);
        this.#offsets.push(piece.offsets[n]!);
      }
    }
    this.frameCount += count;
    if (partition.isTouched) return;
    partition.isTouched = true;
    this.partitions.push(partition);
  }

  /** The chunk; its bytes and tables are used again for the next. */
  end(
    bytes: Buffer,
    interfaces: readonly CaptureInterface[],
    nanosecond: boolean,
    dealt: Dealt,
  ): ReadChunk {
    const partitionOf = this.#partitionOf;
    return {
      bytes,
      frameCount: this.frameCount,
      bigEndian: false,
      nanosecond,
      interfaces,
      ...(this.#withInterfaces && { interfaceOf: this.#interfaceOf.subarray(0, this.frameCount) }),
      ...(partitionOf !== undefined && {
        partitionOf: Int32Array.from(partitionOf),
        offsets: this.#offsets,
      }),
      partition: -1,
      ...dealt,
    };
  }

  #addInterfaces({ interfaceOf }: Piece, from: number, count: number): void {
    if (this.#interfaceOf.length === 0) this.#interfaceOf = new Uint16Array(MOST_FRAMES);
    const table = this.#interfaceOf;
    // Frames before the first that tells are of the first interface.
    if (!this.#withInterfaces) table.fill(0, 0, this.frameCount);
    this.#withInterfaces = true;
    for (let n = 0; n < count; n++) table[this.frameCount + n] = interfaceOf?.[from + n] ?? 0;
  }
}
