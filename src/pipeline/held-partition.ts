import { type CaptureInstant, isBefore, msBetween } from "./capture-instant.ts";
import type { OffsetSpan } from "../kafka/offset-spans.ts";
import type { Slot } from "./frame-memory.ts";
import type { Run } from "./run.ts";

/** What came at once, and how much of it is still here. */
export interface Piece {
  readonly interfaceOf: Uint16Array | undefined;
  readonly offsets: readonly bigint[] | undefined;
  /** Runs that are not out; kept where offsets are. */
  readonly runs: Set<Run>;
  /** Where it began, and where to go on behind it. */
  readonly from: bigint;
  readonly next: bigint;
  /** Frames that came, and those that are out. */
  came: number;
  out: number;
  /** All of it has come. */
  isWhole: boolean;
  /** The end of the partition was behind it, when it came. */
  isEnd: boolean;
}

/** Where a partition ended when that was met. */
export interface PartitionEnd {
  readonly partition: number;
  readonly offset: bigint;
}

/** Runs are looked for so far back that another may follow in time. */
const MOST_TAILS = 8;

/** What a merger keeps of one partition. */
export class HeldPartition {
  readonly partition: number;
  slots = 0;
  /** Takes the next frames. */
  open: Slot | undefined;
  /** Has frames in the chunk that is going out. */
  isTouched = false;
  /** Latest time of a frame that came, since times jumped back; undefined before the first. */
  latest: CaptureInstant | undefined;
  /** Of the piece that came last: its earliest time, and how far frames were behind the latest. */
  earliest: CaptureInstant | undefined;
  disorderMs = 0;
  /** Its latest time: after {@link latest} where times have jumped back within it. */
  highest: CaptureInstant | undefined;
  /** Oldest first. */
  #pieces: Piece[] = [];
  #position: bigint;
  /** Runs that another may follow; the one that came last at the end. */
  readonly #tails: Run[] = [];

  /** @param position where it is read from */
  constructor(partition: number, position: bigint) {
    this.partition = partition;
    this.#position = position;
  }

  /** The piece that comes now. */
  get lastPiece(): Piece | undefined {
    return this.#pieces.at(-1);
  }

  /** True when pieces are out whose end {@link advance} has not seen. */
  get hasMoved(): boolean {
    return this.#pieces.length > 0 && isOut(this.#pieces[0]!);
  }

  beginPiece(
    next: bigint,
    { interfaceOf, offsets }: Pick<Partial<Piece>, "interfaceOf" | "offsets">,
  ): Piece {
    this.earliest = undefined;
    this.highest = undefined;
    this.disorderMs = 0;
    const from = this.#pieces.at(-1)?.next ?? this.#position;
    const piece: Piece = {
      interfaceOf,
      offsets,
      runs: new Set(),
      from,
      next,
      came: 0,
      out: 0,
      isWhole: false,
      isEnd: false,
    };
    this.#pieces.push(piece);
    return piece;
  }

  /**
   * Lets a run follow another one of this partition in time.
   *
   * @returns false when there is none that ends before it begins
   */
  chain(run: Run): boolean {
    const tails = this.#tails;
    let best = -1;
    for (let n = tails.length - 1; n >= 0; n--) {
      const tail = tails[n]!;
      if (tail.at === tail.end && tail.next === undefined) {
        // It is out.
        tails.splice(n, 1);
        if (best > n) best--;
        continue;
      }
      if (endsBefore(tail, run) && (best === -1 || isLater(tail, tails[best]!))) best = n;
    }
    if (best !== -1) {
      tails[best]!.next = run;
      tails.splice(best, 1);
    }
    tails.push(run);
    if (tails.length > MOST_TAILS) tails.shift();
    return best !== -1;
  }

  /**
   * Notes the times of a run that came.
   *
   * @param windowMs a run further behind than this tells that times have jumped back
   */
  noteTimes(run: Run, windowMs: number, perSecond: number): void {
    const { latest, earliest, highest } = this;
    const last = { seconds: run.lastSeconds, fraction: run.lastFraction };
    if (earliest === undefined || isBefore(run, earliest)) {
      this.earliest = { seconds: run.seconds, fraction: run.fraction };
    }
    if (highest === undefined || isBefore(highest, last)) this.highest = last;
    if (latest !== undefined && isBefore(run, latest)) {
      const behindMs = msBetween(run, latest, perSecond);
      if (behindMs <= windowMs) {
        this.disorderMs = Math.max(this.disorderMs, behindMs);
        if (!isBefore(latest, last)) return;
      }
    }
    this.latest = last;
  }

  /**
   * Goes behind the pieces that are out.
   *
   * @param onEnd told of ends of the partition that are passed
   * @returns where to go on reading behind what is out
   */
  advance(onEnd: (end: PartitionEnd) => void): bigint {
    const pieces = this.#pieces;
    let gone = 0;
    for (; gone < pieces.length && isOut(pieces[gone]!); gone++) {
      const { next, isEnd } = pieces[gone]!;
      this.#position = next;
      if (isEnd) onEnd({ partition: this.partition, offset: next });
    }
    if (gone > 0) pieces.splice(0, gone);
    const [piece] = pieces;
    if (piece === undefined) return this.#position;
    const { offsets, runs } = piece;
    let position = piece.from;
    if (offsets !== undefined && runs.size > 0) {
      const left = [...runs].map((run) => offsets[run.at - run.before]!);
      position = left.reduce((least, offset) => (offset < least ? offset : least));
    }
    return position;
  }

  /**
   * Frames that are out, although others in front of them are not; where offsets are known.
   *
   * @param position what {@link advance} said
   */
  listDone(position: bigint): OffsetSpan[] {
    const done: OffsetSpan[] = [];
    let isJoined = false;
    for (const { offsets, runs, came } of this.#pieces) {
      if (offsets === undefined) continue;
      let next = 0;
      const addUpTo = (place: number): void => {
        if (place === next) return;
        const span = { from: offsets[next]!, to: offsets[place - 1]! + 1n };
        const last = done.at(-1);
        if (isJoined && last !== undefined)
          done[done.length - 1] = { from: last.from, to: span.to };
        else if (span.to > position) done.push(span);
        isJoined = true;
      };
      for (const { at, end, before } of [...runs].toSorted(
        (a, b) => a.at - a.before - b.at + b.before,
      )) {
        addUpTo(at - before);
        next = end - before;
        isJoined = false;
      }
      addUpTo(came);
    }
    return done;
  }

  /** Forgets the pieces of which nothing is out, and nothing of any behind them. */
  dropUntouched(): ReadonlySet<Piece> {
    const last = this.#pieces.findLastIndex(({ out }) => out > 0);
    return new Set(this.#pieces.splice(last + 1));
  }
}

function isOut({ isWhole, out, came }: Piece): boolean {
  return isWhole && out === came;
}

function endsBefore(tail: Run, run: Run): boolean {
  return (
    tail.lastSeconds < run.seconds ||
    (tail.lastSeconds === run.seconds && tail.lastFraction <= run.fraction)
  );
}

function isLater(a: Run, b: Run): boolean {
  return (
    a.lastSeconds > b.lastSeconds ||
    (a.lastSeconds === b.lastSeconds && a.lastFraction > b.lastFraction)
  );
}
