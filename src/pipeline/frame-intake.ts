import type { FetchedChunk } from "../kafka/frame-decoder.ts";
import { FRAME_HEADER_BYTES } from "../packet/frame-chunk.ts";
import type { CaptureInstant } from "./capture-instant.ts";
import {
  type FrameMemory,
  INDEX_WORDS,
  SLOT_BYTES,
  SLOT_FRAMES,
  type Slot,
} from "./frame-memory.ts";
import type { HeldPartition, Piece } from "./held-partition.ts";
import type { Run } from "./run.ts";
import type { RunTournament } from "./run-tournament.ts";

/** Copies frames into a merger's memory, and cuts them into runs. */
export class FrameIntake {
  /** Frames that came after a later one had gone out. */
  late = 0;
  /** Units of a frame's fraction. */
  perSecond = 1_000_000;
  readonly #memory: FrameMemory;
  readonly #runs: RunTournament;
  readonly #windowMs: number;
  #runNumber = 0;
  #gone: CaptureInstant = { seconds: -1, fraction: -1 };

  /**
   * @param runs gets those that follow no other in time
   * @param windowMs a frame that is further behind tells that times have jumped back
   */
  constructor(memory: FrameMemory, runs: RunTournament, windowMs: number) {
    this.#memory = memory;
    this.#runs = runs;
    this.#windowMs = windowMs;
  }

  /**
   * Takes frames in, from one on, as many as there is memory for.
   *
   * @param gone the latest time that went out
   * @returns how many of the chunk are in; call again for the rest once there is room
   */
  add(held: HeldPartition, chunk: FetchedChunk, from: number, gone: CaptureInstant): number {
    const { bytes, frameCount, nextOffset } = chunk;
    this.#gone = gone;
    this.perSecond = chunk.nanosecond ? 1_000_000_000 : 1_000_000;
    const piece = from > 0 ? held.lastPiece! : held.beginPiece(nextOffset, chunk);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = 0;
    for (let passed = 0; passed < from; passed++) {
      at += FRAME_HEADER_BYTES + view.getUint32(at + 8, true);
    }
    let count = from;
    while (count < frameCount) {
      const slot = this.#slotFor(held, FRAME_HEADER_BYTES + view.getUint32(at + 8, true));
      if (slot === undefined) break;
      const end = this.#fill(held, piece, slot, view, at, frameCount - count);
      bytes.copy(this.#memory.bytes, slot.start + slot.used, at, end.byte);
      slot.used += end.byte - at;
      slot.frames += end.frames;
      piece.came += end.frames;
      count += end.frames;
      at = end.byte;
    }
    piece.isWhole = count >= frameCount;
    return count;
  }

  /** Indexes frames that fit into a slot, and notes their runs. */
  #fill(
    held: HeldPartition,
    piece: Piece,
    slot: Slot,
    view: DataView,
    start: number,
    most: number,
  ): { byte: number; frames: number } {
    const { index } = this.#memory;
    const place = slot.start + slot.used - start;
    const stop = start + SLOT_BYTES - slot.used;
    const firstFrame = slot.firstFrame + slot.frames;
    const lastFrame = Math.min(slot.firstFrame + SLOT_FRAMES, firstFrame + most);
    let at = start;
    let frame = firstFrame;
    let runFrame = frame;
    let lastSeconds = 0;
    let lastFraction = 0;
    for (; frame < lastFrame; frame++) {
      const next = at + FRAME_HEADER_BYTES + view.getUint32(at + 8, true);
      if (next > stop) break;
      const seconds = view.getUint32(at, true);
      const fraction = view.getUint32(at + 4, true);
      if (seconds < lastSeconds || (seconds === lastSeconds && fraction < lastFraction)) {
        this.#addRun(held, piece, slot, runFrame, frame, at + place);
        runFrame = frame;
      }
      const word = frame * INDEX_WORDS;
      index[word] = lastSeconds = seconds;
      index[word + 1] = lastFraction = fraction;
      index[word + 2] = at + place;
      at = next;
    }
    this.#addRun(held, piece, slot, runFrame, frame, at + place);
    return { byte: at, frames: frame - firstFrame };
  }

  #addRun(
    partition: HeldPartition,
    piece: Piece,
    slot: Slot,
    at: number,
    end: number,
    endByte: number,
  ): void {
    const { index } = this.#memory;
    const run: Run = {
      partition,
      piece,
      slot,
      number: this.#runNumber++,
      before: slot.firstFrame + slot.frames - piece.came,
      at,
      end,
      endByte,
      seconds: index[at * INDEX_WORDS]!,
      fraction: index[at * INDEX_WORDS + 1]!,
      lastSeconds: index[(end - 1) * INDEX_WORDS]!,
      lastFraction: index[(end - 1) * INDEX_WORDS + 1]!,
      next: undefined,
    };
    slot.runs++;
    if (piece.offsets !== undefined) piece.runs.add(run);
    if (!partition.chain(run)) this.#runs.push(run);
    partition.noteTimes(run, this.#windowMs, this.perSecond);
    for (let frame = at; frame < end && this.#isLate(frame); frame++) this.late++;
  }

  #isLate(frame: number): boolean {
    const { index } = this.#memory;
    const { seconds, fraction } = this.#gone;
    const own = index[frame * INDEX_WORDS]!;
    return own === seconds ? index[frame * INDEX_WORDS + 1]! < fraction : own < seconds;
  }

  #slotFor(held: HeldPartition, bytes: number): Slot | undefined {
    const { open } = held;
    if (open !== undefined && open.used + bytes <= SLOT_BYTES && open.frames < SLOT_FRAMES) {
      return open;
    }
    const slot = this.#memory.take();
    if (slot === undefined) return undefined;
    held.slots++;
    return (held.open = slot);
  }
}
