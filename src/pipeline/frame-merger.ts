import type { FetchedChunk } from "../kafka/frame-decoder.ts";
import type { CaptureInterface } from "../packet/frame-chunk.ts";
import type { OffsetSpan } from "../kafka/offset-spans.ts";
import type { CaptureInstant } from "./capture-instant.ts";
import { FrameIntake } from "./frame-intake.ts";
import { FrameMemory, INDEX_WORDS, OUTPUT_BYTES } from "./frame-memory.ts";
import { HeldPartition, type PartitionEnd } from "./held-partition.ts";
import { OutgoingChunk } from "./outgoing-chunk.ts";
import type { ReadChunk } from "./read-chunk.ts";
import type { Arrival } from "./release-rule.ts";
import type { Run } from "./run.ts";
import { RunTournament } from "./run-tournament.ts";

/** Of a partition's share: below it, output waits for more of the partition; between, both go on. */
const ENOUGH = 3 / 4;

/** What a {@link FrameMerger} begins with. */
export interface MergerSetup {
  /** Where each partition is read from. */
  readonly start: ReadonlyMap<number, bigint>;
  /** A frame that is further behind than this tells that times have jumped back. */
  readonly windowMs: number;
  /** Frames before this time are late from the beginning. */
  readonly goneUntil?: CaptureInstant | undefined;
}

/**
 * Keeps frames of several partitions and gives them out by time, in bounded memory.
 *
 * What a partition gives is cut into runs that are in order in themselves, nearly always one for each
 * slot of memory. Runs that follow each other in time are chained, and the earliest of the chains, nearly
 * always one for each partition, gives its frames up to the first of the second earliest.
 */
export class FrameMerger {
  /** Ends of partitions that the last chunk has reached. */
  readonly ends: PartitionEnd[] = [];
  readonly #memory: FrameMemory;
  readonly #partitions = new Map<number, HeldPartition>();
  readonly #share: number;
  readonly #runs: RunTournament;
  readonly #intake: FrameIntake;
  readonly #outgoing = new OutgoingChunk();
  #goneSeconds: number;
  #goneFraction: number;
  #interfaces: readonly CaptureInterface[] = [];
  #nanosecond = false;

  constructor({ start, windowMs, goneUntil }: MergerSetup) {
    this.#goneSeconds = goneUntil?.seconds ?? -1;
    this.#goneFraction = goneUntil?.fraction ?? -1;
    this.#memory = new FrameMemory(start.size);
    this.#runs = new RunTournament(this.#memory.index);
    this.#intake = new FrameIntake(this.#memory, this.#runs, windowMs);
    // A third stays for what is on its way when a partition is paused.
    const shares = Math.max(1, start.size);
    this.#share = Math.max(1, Math.floor((this.#memory.slotCount * 2) / 3 / shares));
    for (const [partition, position] of start) this.#hold(partition, position);
  }

  /** True when no frame is kept. */
  get isEmpty(): boolean {
    return this.#runs.isEmpty;
  }

  /** Frames that came after a later one had gone out. */
  get late(): number {
    return this.#intake.late;
  }

  /** Units of a frame's fraction. */
  get perSecond(): number {
    return this.#intake.perSecond;
  }

  /** The latest time that has gone out; undefined before the first. */
  get goneUntil(): CaptureInstant | undefined {
    return this.#goneSeconds < 0 ? undefined : this.#gone;
  }

  get #gone(): CaptureInstant {
    return { seconds: this.#goneSeconds, fraction: this.#goneFraction };
  }

  /** The latest time that a partition has shown; undefined before its first frame. */
  latestOf(partition: number): CaptureInstant | undefined {
    return this.#partitions.get(partition)?.latest;
  }

  /** What the chunk was that came last of a partition, which had frames. */
  arrivalOf(partition: number): Arrival {
    const { earliest, highest, latest, disorderMs } = this.#partitions.get(partition)!;
    return { partition, earliest: earliest!, highest: highest!, latest: latest!, disorderMs };
  }

  /** True when a partition has its share of the memory. */
  hasMuchOf(partition: number): boolean {
    return (this.#partitions.get(partition)?.slots ?? 0) >= this.#share;
  }

  /** True when some may go before a partition gives more: a little less than its share is kept. */
  hasEnoughOf(partition: number): boolean {
    return (this.#partitions.get(partition)?.slots ?? 0) >= Math.ceil(this.#share * ENOUGH);
  }

  /**
   * Takes frames in, from one on, as many as there is memory for.
   *
   * @returns how many of the chunk are in; call again for the rest once there is room
   */
  add(chunk: FetchedChunk, from: number): number {
    this.#interfaces = chunk.interfaces;
    this.#nanosecond = chunk.nanosecond;
    const { partition, nextOffset } = chunk;
    const held = this.#partitions.get(partition) ?? this.#hold(partition, nextOffset);
    return this.#intake.add(held, chunk, from, this.#gone);
  }

  /** Notes that a partition ends behind what came of it, or that it is out already. */
  noteEnd(end: PartitionEnd): void {
    const piece = this.#partitions.get(end.partition)?.lastPiece;
    if (piece === undefined) this.ends.push(end);
    else piece.isEnd = true;
  }

  /** Gives out the earliest frames, whatever may follow, until there is memory for one more. */
  *makeRoom(): Generator<ReadChunk, void, void> {
    do {
      const chunk = this.take(undefined);
      if (chunk === undefined) return;
      yield chunk;
    } while (this.#memory.isFull);
  }

  /**
   * Forgets what came of each partition behind the last piece of which some is out: when the rest has
   * gone, positions lie behind every frame that is out.
   */
  dropUntouched(): void {
    const dropped = new Set(
      [...this.#partitions.values()].flatMap((held) => [...held.dropUntouched()]),
    );
    for (const first of this.#runs.removeAll()) {
      let run: Run | undefined = first;
      while (run !== undefined) {
        const { next }: Run = run;
        run.next = undefined;
        if (!dropped.has(run.piece)) this.#runs.push(run);
        run = next;
      }
    }
  }

  /**
   * Gives out the next chunk in order of time.
   *
   * @param limit no frame after it; undefined gives any
   * @returns undefined when there is nothing to be said
   */
  take(limit: CaptureInstant | undefined): ReadChunk | undefined {
    const { bytes, index } = this.#memory;
    const runs = this.#runs;
    const outgoing = this.#outgoing;
    outgoing.begin();
    runs.begin(this.perSecond);
    const limitKey = limit === undefined ? Infinity : runs.keyOfTime(limit.seconds, limit.fraction);
    let out = 0;
    let last = -1;
    for (let key = runs.leastKey; key <= limitKey && key !== Infinity; key = runs.leastKey) {
      let run = runs.first();
      if (runs.secondKey === key) run = runs.firstOfEqual();
      const { at, end, endByte, piece } = run;
      let to = runs.endBefore(run, key, limitKey);
      const from = index[at * INDEX_WORDS + 2]!;
      let toByte = to === end ? endByte : index[to * INDEX_WORDS + 2]!;
      while (to > at && out + toByte - from > OUTPUT_BYTES) {
        toByte = index[--to * INDEX_WORDS + 2]!;
      }
      if (to === at) break;
      bytes.copyWithin(out, from, toByte);
      out += toByte - from;
      outgoing.add(run, to - at);
      piece.out += to - at;
      run.at = to;
      last = to - 1;
      if (to < end) {
        runs.replaceFirst(run);
        continue;
      }
      this.#finish(run);
      // What follows the end of a partition follows the news of it.
      if (piece.isEnd && piece.out === piece.came) break;
    }
    runs.end();
    if (last !== -1) this.#noteGone(last);
    return this.#chunkOf(bytes.subarray(0, out));
  }

  /** Without frames it tells of partitions that have moved on without any. */
  #chunkOf(bytes: Buffer): ReadChunk | undefined {
    const { frameCount, partitions } = this.#outgoing;
    const moved =
      frameCount > 0
        ? partitions
        : [...this.#partitions.values()].filter(({ hasMoved }) => hasMoved);
    if (moved.length === 0) return undefined;
    const positions = new Map<number, bigint>();
    const done = new Map<number, readonly OffsetSpan[]>();
    for (const held of moved) {
      held.isTouched = false;
      const position = held.advance((end) => this.ends.push(end));
      positions.set(held.partition, position);
      done.set(held.partition, held.listDone(position));
    }
    return this.#outgoing.end(bytes, this.#interfaces, this.#nanosecond, { positions, done });
  }

  /** A late frame does not set the time back. */
  #noteGone(frame: number): void {
    const { index } = this.#memory;
    const seconds = index[frame * INDEX_WORDS]!;
    const fraction = index[frame * INDEX_WORDS + 1]!;
    if (
      seconds > this.#goneSeconds ||
      (seconds === this.#goneSeconds && fraction > this.#goneFraction)
    ) {
      this.#goneSeconds = seconds;
      this.#goneFraction = fraction;
    }
  }

  #finish(run: Run): void {
    const { slot, partition, piece, next } = run;
    if (piece.offsets !== undefined) piece.runs.delete(run);
    if (--slot.runs === 0) {
      if (partition.open === slot) partition.open = undefined;
      partition.slots--;
      this.#memory.giveBack(slot);
    }
    this.#runs.replaceFirst(next);
  }

  #hold(partition: number, position: bigint): HeldPartition {
    const held = new HeldPartition(partition, position);
    this.#partitions.set(partition, held);
    return held;
  }
}
