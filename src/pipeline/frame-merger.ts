import type { FetchedChunk } from "../kafka/frame-decoder.ts";
import {
  FRAME_HEADER_BYTES,
  MAX_FRAME_BYTES,
  type CaptureInterface,
} from "../packet/frame-chunk.ts";
import type { ReadChunk } from "./read-chunk.ts";

/** A time as frame headers have it. */
export interface MergeLimit {
  readonly seconds: number;
  readonly fraction: number;
}

/** Frames are kept in slots of this size, those of one partition together; the longest frame fits. */
const SLOT_BYTES = 512 * 1024;

/** 64 MiB are kept at most. */
const SLOTS = 128;

/** One chunk that goes out. */
const OUTPUT_BYTES = 1024 * 1024;
const MOST_FRAMES = OUTPUT_BYTES / FRAME_HEADER_BYTES;

/** Memory for frames of one partition, filled from the front. */
interface Slot {
  readonly start: number;
  used: number;
  /** Runs in it that are not out yet. */
  runs: number;
}

/** What came at once, and how much of it is still here. */
interface Piece {
  readonly runs: Run[];
  readonly interfaceOf: Uint16Array | undefined;
  readonly offsets: readonly bigint[] | undefined;
  /** Where it began, and where to go on behind it. */
  readonly from: bigint;
  readonly next: bigint;
  isWhole: boolean;
}

/** Frames that stand one behind the other, in order of time. */
interface Run {
  readonly queue: PartitionQueue;
  readonly piece: Piece;
  readonly slot: Slot;
  /** Tells runs of equal times apart: first come, first out. */
  readonly number: number;
  at: number;
  end: number;
  /** Of the next frame: its place in the piece, and its time. */
  index: number;
  seconds: number;
  fraction: number;
}

interface PartitionQueue {
  readonly partition: number;
  /** Has frames in the chunk that is going out. */
  isTouched: boolean;
  slots: number;
  open: Slot | undefined;
  readonly pieces: Piece[];
  position: bigint;
  /** Latest time of a frame that came; -1 before the first. */
  latestSeconds: number;
  latestFraction: number;
}

/**
 * Keeps frames of several partitions and gives them out by time, in bounded memory.
 *
 * All frames stand in one memory, the ones that go out at its front, so that each is moved within a
 * buffer: measured on Node 20 for 200 bytes, 27 ns instead of 84 ns from one buffer to another.
 *
 * ```
 *   memory  ┌ going out ┬ slot of partition 0 ┬ slot of partition 1 ┬ slot of partition 0 ┬─ ─
 *   runs                  [sorted frames][…]    [sorted frames]       [sorted frames]
 * ```
 *
 * A heap of the runs gives the earliest frame; frames up to the next run's first are taken at once.
 */
export class FrameMerger {
  /** Frames that came after a later one had gone out. */
  late = 0;
  /** Units of a frame's fraction. */
  perSecond = 1_000_000;
  readonly #memory = Buffer.allocUnsafeSlow(OUTPUT_BYTES + SLOTS * SLOT_BYTES);
  readonly #view = new DataView(this.#memory.buffer);
  readonly #queues = new Map<number, PartitionQueue>();
  readonly #free: Slot[] = [];
  readonly #share: number;
  readonly #heap: Run[] = [];
  #runNumber = 0;
  #goneSeconds = -1;
  #goneFraction = -1;
  #interfaces: readonly CaptureInterface[] = [];
  #nanosecond = false;
  #interfaceOf = new Uint16Array(0);

  /** @param start where each partition is read from */
  constructor(start: ReadonlyMap<number, bigint>) {
    for (let n = SLOTS - 1; n >= 0; n--) {
      this.#free.push({ start: OUTPUT_BYTES + n * SLOT_BYTES, used: 0, runs: 0 });
    }
    // A third stays for what is on its way when a partition is paused.
    this.#share = Math.max(1, Math.floor((SLOTS * 2) / 3 / Math.max(1, start.size)));
    for (const [partition, position] of start) this.#addQueue(partition, position);
  }

  /** True when no frame is kept. */
  get isEmpty(): boolean {
    return this.#heap.length === 0;
  }

  /** The latest time that a partition has shown; undefined before its first frame. */
  latestOf(partition: number): MergeLimit | undefined {
    const queue = this.#queues.get(partition);
    if (queue === undefined || queue.latestSeconds < 0) return undefined;
    return { seconds: queue.latestSeconds, fraction: queue.latestFraction };
  }

  /** True when a partition has its share of the memory. */
  hasMuchOf(partition: number): boolean {
    return (this.#queues.get(partition)?.slots ?? 0) >= this.#share;
  }

  /**
   * Takes frames in, from one on, as many as there is memory for.
   *
   * @returns how many of the chunk are in; call again for the rest once there is room
   */
  add(chunk: FetchedChunk, from: number): number {
    const { partition, interfaceOf, offsets, nextOffset } = chunk;
    const queue = this.#queues.get(partition) ?? this.#addQueue(partition, nextOffset);
    this.#interfaces = chunk.interfaces;
    this.#nanosecond = chunk.nanosecond;
    this.perSecond = chunk.nanosecond ? 1_000_000_000 : 1_000_000;
    let piece = from === 0 ? undefined : queue.pieces.at(-1);
    if (piece === undefined) {
      const last = queue.pieces.at(-1)?.next ?? queue.position;
      piece = { runs: [], interfaceOf, offsets, from: last, next: nextOffset, isWhole: false };
      queue.pieces.push(piece);
    }
    const { bytes, frameCount } = chunk;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = 0;
    for (let passed = 0; passed < from; passed++) {
      at += FRAME_HEADER_BYTES + view.getUint32(at + 8, true);
    }
    let { latestSeconds, latestFraction } = queue;
    const goneSeconds = this.#goneSeconds;
    const goneFraction = this.#goneFraction;
    let index = from;
    while (index < frameCount) {
      const slot = this.#slotFor(queue, FRAME_HEADER_BYTES + view.getUint32(at + 8, true));
      if (slot === undefined) break;
      const room = SLOT_BYTES - slot.used;
      const start = at;
      let first = true;
      let run: Run | undefined;
      let lastSeconds = 0;
      let lastFraction = 0;
      for (; index < frameCount; index++) {
        const seconds = view.getUint32(at, true);
        const fraction = view.getUint32(at + 4, true);
        const next = at + FRAME_HEADER_BYTES + view.getUint32(at + 8, true);
        if (next - start > room) break;
        if (
          first ||
          seconds < lastSeconds ||
          (seconds === lastSeconds && fraction < lastFraction)
        ) {
          first = false;
          const place = slot.start + slot.used + at - start;
          if (run !== undefined) run.end = place;
          run = {
            queue,
            piece,
            slot,
            number: this.#runNumber++,
            at: place,
            end: place,
            index,
            seconds,
            fraction,
          };
          piece.runs.push(run);
          slot.runs++;
          this.#push(run);
        }
        if (seconds > latestSeconds || (seconds === latestSeconds && fraction > latestFraction)) {
          latestSeconds = seconds;
          latestFraction = fraction;
        }
        if (seconds < goneSeconds || (seconds === goneSeconds && fraction < goneFraction)) {
          this.late++;
        }
        lastSeconds = seconds;
        lastFraction = fraction;
        at = next;
      }
      bytes.copy(this.#memory, slot.start + slot.used, start, at);
      slot.used += at - start;
      if (run !== undefined) run.end = slot.start + slot.used;
    }
    queue.latestSeconds = latestSeconds;
    queue.latestFraction = latestFraction;
    piece.isWhole = index >= frameCount;
    return index;
  }

  /** Gives out the earliest frames, whatever may follow, until there is memory for one more. */
  *makeRoom(): Generator<ReadChunk, void, void> {
    do {
      const chunk = this.#take(undefined);
      if (chunk === undefined) return;
      yield chunk;
    } while (this.#free.length === 0);
  }

  /**
   * Gives out frames in order of time.
   *
   * @param limit no frame after it; undefined gives all
   */
  *drain(limit: MergeLimit | undefined): Generator<ReadChunk, void, void> {
    for (let chunk = this.#take(limit); chunk !== undefined; chunk = this.#take(limit)) {
      yield chunk;
    }
  }

  #take(limit: MergeLimit | undefined): ReadChunk | undefined {
    const memory = this.#memory;
    const view = this.#view;
    const heap = this.#heap;
    const limitSeconds = limit?.seconds ?? Infinity;
    const limitFraction = limit?.fraction ?? 0;
    let out = 0;
    let frameCount = 0;
    let withInterfaces = false;
    let partitionOf: number[] | undefined;
    const offsets: bigint[] = [];
    const touched: PartitionQueue[] = [];
    let goneSeconds = this.#goneSeconds;
    let goneFraction = this.#goneFraction;
    while (heap.length > 0) {
      const run = heap[0]!;
      let { at, seconds, fraction } = run;
      if (seconds > limitSeconds || (seconds === limitSeconds && fraction > limitFraction)) break;
      if (out + FRAME_HEADER_BYTES + MAX_FRAME_BYTES > OUTPUT_BYTES) break;
      let stopSeconds = limitSeconds;
      let stopFraction = limitFraction;
      if (heap.length > 1) {
        // The earliest but for this one is one of its children.
        const left = heap[1]!;
        const other = heap.length > 2 && isEarlier(heap[2]!, left) ? heap[2]! : left;
        if (
          other.seconds < stopSeconds ||
          (other.seconds === stopSeconds && other.fraction < stopFraction)
        ) {
          stopSeconds = other.seconds;
          stopFraction = other.fraction;
        }
      }
      const { end, piece, queue } = run;
      const start = at;
      const firstIndex = run.index;
      const last = start + OUTPUT_BYTES - MAX_FRAME_BYTES - FRAME_HEADER_BYTES - out;
      let index = firstIndex;
      let isOver = false;
      for (;;) {
        at += FRAME_HEADER_BYTES + view.getUint32(at + 8, true);
        index++;
        // A late frame does not set the time back.
        if (seconds > goneSeconds || (seconds === goneSeconds && fraction > goneFraction)) {
          goneSeconds = seconds;
          goneFraction = fraction;
        }
        isOver = at >= end;
        if (isOver) break;
        seconds = view.getUint32(at, true);
        fraction = view.getUint32(at + 4, true);
        if (seconds > stopSeconds || (seconds === stopSeconds && fraction > stopFraction)) break;
        if (at >= last) break;
      }
      memory.copyWithin(out, start, at);
      out += at - start;
      if (piece.interfaceOf !== undefined || withInterfaces) {
        withInterfaces = true;
        this.#noteInterfaces(piece, firstIndex, index, frameCount);
      }
      if (piece.offsets !== undefined) {
        partitionOf ??= [];
        for (let n = firstIndex; n < index; n++) {
          partitionOf.push(queue.partition);
          offsets.push(piece.offsets[n]!);
        }
      }
      frameCount += index - firstIndex;
      if (!queue.isTouched) {
        queue.isTouched = true;
        touched.push(queue);
      }
      run.at = at;
      run.index = index;
      run.seconds = seconds;
      run.fraction = fraction;
      if (isOver) this.#finish(run);
      sink(heap);
    }
    this.#goneSeconds = goneSeconds;
    this.#goneFraction = goneFraction;
    if (frameCount === 0) return this.#takePositions();
    return {
      bytes: memory.subarray(0, out),
      frameCount,
      bigEndian: false,
      nanosecond: this.#nanosecond,
      interfaces: this.#interfaces,
      ...(withInterfaces && { interfaceOf: this.#interfaceOf.subarray(0, frameCount) }),
      ...(partitionOf !== undefined && { partitionOf: Int32Array.from(partitionOf), offsets }),
      partition: -1,
      positions: this.#positionsOf(touched),
    };
  }

  /** A chunk without frames where partitions have moved on without any. */
  #takePositions(): ReadChunk | undefined {
    const moved = [...this.#queues.values()].filter(
      ({ pieces }) => pieces.length > 0 && pieces[0]!.isWhole && pieces[0]!.runs.length === 0,
    );
    if (moved.length === 0) return undefined;
    return {
      bytes: this.#memory.subarray(0, 0),
      frameCount: 0,
      bigEndian: false,
      nanosecond: this.#nanosecond,
      interfaces: this.#interfaces,
      partition: -1,
      positions: this.#positionsOf(moved),
    };
  }

  #positionsOf(queues: readonly PartitionQueue[]): Map<number, bigint> {
    const positions = new Map<number, bigint>();
    for (const queue of queues) {
      queue.isTouched = false;
      const { pieces, partition } = queue;
      while (pieces.length > 0 && pieces[0]!.isWhole && pieces[0]!.runs.length === 0) {
        queue.position = pieces.shift()!.next;
      }
      const [piece] = pieces;
      if (piece === undefined) {
        positions.set(partition, queue.position);
        continue;
      }
      const { offsets } = piece;
      let position = piece.from;
      if (offsets !== undefined && piece.runs.length > 0) {
        const left = piece.runs.map((run) => offsets[run.index]!);
        position = left.reduce((least, offset) => (offset < least ? offset : least));
      }
      positions.set(partition, position);
    }
    return positions;
  }

  #noteInterfaces(piece: Piece, from: number, to: number, at: number): void {
    if (this.#interfaceOf.length === 0) this.#interfaceOf = new Uint16Array(MOST_FRAMES);
    const table = this.#interfaceOf;
    // Frames before the first that tells are of the first interface.
    for (let n = from; n < to; n++) table[at + n - from] = piece.interfaceOf?.[n] ?? 0;
  }

  #finish(run: Run): void {
    const { piece, slot, queue } = run;
    const place = piece.runs.indexOf(run);
    piece.runs.splice(place, 1);
    if (--slot.runs === 0) {
      if (queue.open === slot) queue.open = undefined;
      queue.slots--;
      slot.used = 0;
      this.#free.push(slot);
    }
    const heap = this.#heap;
    const last = heap.pop()!;
    if (last !== run) heap[0] = last;
  }

  #slotFor(queue: PartitionQueue, bytes: number): Slot | undefined {
    const { open } = queue;
    if (open !== undefined && open.used + bytes <= SLOT_BYTES) return open;
    const slot = this.#free.pop();
    if (slot === undefined) return undefined;
    queue.slots++;
    return (queue.open = slot);
  }

  #addQueue(partition: number, position: bigint): PartitionQueue {
    const queue: PartitionQueue = {
      partition,
      isTouched: false,
      slots: 0,
      open: undefined,
      pieces: [],
      position,
      latestSeconds: -1,
      latestFraction: 0,
    };
    this.#queues.set(partition, queue);
    return queue;
  }

  #push(run: Run): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(run);
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (!isEarlier(run, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = run;
  }
}

/** Moves the first run to where it belongs. */
function sink(heap: Run[]): void {
  const length = heap.length;
  if (length < 2) return;
  const run = heap[0]!;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= length) break;
    if (child + 1 < length && isEarlier(heap[child + 1]!, heap[child]!)) child++;
    if (!isEarlier(heap[child]!, run)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = run;
}

function isEarlier(a: Run, b: Run): boolean {
  if (a.seconds !== b.seconds) return a.seconds < b.seconds;
  if (a.fraction !== b.fraction) return a.fraction < b.fraction;
  return a.number < b.number;
}
