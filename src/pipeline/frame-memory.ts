/** Frames are kept in slots of this size, those of one partition together; the longest frame fits. */
export const SLOT_BYTES = 512 * 1024;

/** A slot of frames that are shorter than 48 bytes on average is full before its bytes are. */
export const SLOT_FRAMES = 8192;

/** One chunk that goes out. */
export const OUTPUT_BYTES = 1024 * 1024;

/** Of each frame in the index: seconds, fraction, where it begins. */
export const INDEX_WORDS = 3;

/** What is kept of a topic with few partitions: 64 MiB. */
const SLOTS = 128;

/** Each partition needs room for a batch, and one that is on its way: both may come to 1 MB. */
const SLOTS_OF_PARTITION = 6;

/** However many partitions there are: 160 MiB. */
const MOST_SLOTS = 320;

/** Memory for frames of one partition, filled from the front. */
export interface Slot {
  readonly start: number;
  /** Bytes in use. */
  used: number;
  /** Number of its first frame. */
  readonly firstFrame: number;
  frames: number;
  /** Runs in it that are not out yet. */
  runs: number;
}

/**
 * The memory of a merger: one buffer, so that frames are moved within it, which takes 27 ns for 200
 * bytes on Node 20, and not 84 ns from one buffer to another; and an index, because the headers
 * themselves are far apart (100 ns for a frame to decide by them, 40 ns by the index).
 *
 * ```
 *   bytes  ┌ going out ┬ slot of partition 0 ┬ slot of partition 1 ┬ slot of partition 0 ┬─ ─
 *   index              [ seconds fraction start │ …  ][ …           ][ …                  ]
 * ```
 */
export class FrameMemory {
  readonly bytes: Buffer;
  /** {@link INDEX_WORDS} for each frame, by its number. */
  readonly index: Uint32Array;
  readonly slotCount: number;
  readonly #free: Slot[] = [];

  /** @param partitions how many will share it */
  constructor(partitions: number) {
    this.slotCount = Math.min(MOST_SLOTS, Math.max(SLOTS, partitions * SLOTS_OF_PARTITION));
    this.bytes = Buffer.allocUnsafeSlow(OUTPUT_BYTES + this.slotCount * SLOT_BYTES);
    this.index = new Uint32Array(this.slotCount * SLOT_FRAMES * INDEX_WORDS);
    for (let n = this.slotCount - 1; n >= 0; n--) {
      const start = OUTPUT_BYTES + n * SLOT_BYTES;
      this.#free.push({ start, used: 0, firstFrame: n * SLOT_FRAMES, frames: 0, runs: 0 });
    }
  }

  /** True when no slot is free. */
  get isFull(): boolean {
    return this.#free.length === 0;
  }

  /** @returns an empty slot; undefined when none is free */
  take(): Slot | undefined {
    return this.#free.pop();
  }

  /** A slot whose frames are out. */
  giveBack(slot: Slot): void {
    slot.used = 0;
    slot.frames = 0;
    slot.runs = 0;
    this.#free.push(slot);
  }
}
