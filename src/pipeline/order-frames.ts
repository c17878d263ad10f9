import type { FetchedChunk } from "../kafka/frame-decoder.ts";
import { FrameMerger, type MergeLimit } from "./frame-merger.ts";
import type { ReadChunk } from "./read-chunk.ts";

/** What puts frames in order reads from. */
export interface OrderedSource {
  /** Chunks of partitions, each in the order of its offsets. */
  chunks(): AsyncIterable<FetchedChunk>;
  /**
   * Nothing more comes from a partition.
   *
   * @param position behind what came of it
   */
  isFinished(partition: number, position: bigint): boolean;
  /** Nothing more is there in a partition as far as is known; there may be at any time. */
  isAtEnd(partition: number): boolean;
  /** Asks for no more of a partition, until it is resumed; what is on its way still comes. */
  pause(partition: number): void;
  resume(partition: number): void;
  /** Ends `chunks()`. */
  stop(): void;
}

/** How frames are put in order. */
export interface OrderOptions {
  /** Partitions that are read, and from where. */
  readonly start: ReadonlyMap<number, bigint>;
  /** How far a partition's own frames may be out of order, and how long a frame waits for others at most. */
  readonly windowMs: number;
  /** Wait for every partition, however long it takes: the run ends, and nobody looks on. */
  readonly isPatient: boolean;
  /** Monotonic clock. */
  readonly nowMs: () => number;
}

/** With patience: how often it is looked whether a partition has come to its end. */
const LOOK_MS = 200;

/** A partition that has more, but gives nothing, is not waited for any longer. */
const STALLED_MS = 1000;

/**
 * Merges the frames of partitions by capture time.
 *
 * ```
 *   partition 0  ──●──●●────●──▶ ┐
 *   partition 1  ─●────●──●────▶ ├─ the earliest of those that are there, once every partition has
 *   partition 2  ───●──────●●──▶ ┘  shown that nothing earlier than that follows
 * ```
 *
 * A partition shows it by a frame that is later by the window, or by its end. Without patience a
 * partition that has nothing is not waited for longer than the window. When the memory is full the
 * earliest frame goes, whatever is missing. A frame that is earlier than one that has gone already is
 * counted as late, and goes next.
 */
export class FrameOrder {
  /** Frames that came too late to be in order. */
  get late(): number {
    return this.#merger.late;
  }
  readonly #source: OrderedSource;
  readonly #options: OrderOptions;
  readonly #merger: FrameMerger;
  readonly #paused = new Set<number>();
  /** Behind what came of a partition. */
  readonly #positions: Map<number, bigint>;
  /** When something of a partition came last. */
  readonly #cameMs = new Map<number, number>();
  /** What came at a time is not later than this; oldest first. */
  #arrivals: { readonly atMs: number; readonly latest: MergeLimit }[] = [];
  /** Everything up to here has waited for as long as it may. */
  #released: MergeLimit | undefined;

  constructor(source: OrderedSource, options: OrderOptions) {
    this.#source = source;
    this.#options = options;
    this.#merger = new FrameMerger(options.start);
    this.#positions = new Map(options.start);
    const now = options.nowMs();
    for (const partition of options.start.keys()) this.#cameMs.set(partition, now);
  }

  /**
   * The frames in order, chunk by chunk.
   *
   * @returns chunks whose bytes are valid until the next is asked for
   * @throws what the source throws, after the frames that came before it
   */
  async *chunks(): AsyncGenerator<ReadChunk, void, void> {
    const source = this.#source.chunks()[Symbol.asyncIterator]();
    let failure: { readonly error: unknown } | undefined;
    const ask = async (): Promise<FetchedChunk | undefined> => {
      try {
        const { done, value } = await source.next();
        return done === true ? undefined : value;
      } catch (error) {
        failure = { error };
        return undefined;
      }
    };
    try {
      let asked = ask();
      for (;;) {
        const came = await this.#next(asked);
        if (came === undefined) break;
        if (came !== "timeout") {
          yield* this.#takeIn(came);
          asked = ask();
        }
        yield* this.#giveOut();
        this.#pauseAndResume();
      }
      yield* this.#merger.drain(undefined);
      if (failure !== undefined) throw (failure as { error: unknown }).error;
    } finally {
      // A chunk that was asked for may never come; who waited for it has left.
      this.#source.stop();
      await source.return?.(undefined);
    }
  }

  /** Waits for the next chunk, but no longer than until something may go without it. */
  async #next(
    asked: Promise<FetchedChunk | undefined>,
  ): Promise<FetchedChunk | undefined | "timeout"> {
    const { isPatient, windowMs, nowMs } = this.#options;
    if (this.#merger.isEmpty) return asked;
    const oldest = this.#arrivals[0]?.atMs ?? nowMs();
    const waitMs = isPatient ? LOOK_MS : Math.max(1, oldest + windowMs - nowMs());
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<"timeout">((resolve) => {
      timer = setTimeout(() => resolve("timeout"), waitMs);
    });
    try {
      return await Promise.race([asked, timeout]);
    } finally {
      clearTimeout(timer);
    }
  }

  *#takeIn(chunk: FetchedChunk): Generator<ReadChunk, void, void> {
    this.#cameMs.set(chunk.partition, this.#options.nowMs());
    this.#positions.set(chunk.partition, chunk.nextOffset);
    for (let from = 0; ;) {
      from = this.#merger.add(chunk, from);
      if (from >= chunk.frameCount) break;
      // The memory is full: the earliest go, whatever may follow.
      yield* this.#merger.makeRoom();
    }
    const latest = this.#merger.latestOf(chunk.partition);
    if (chunk.frameCount === 0 || latest === undefined || this.#options.isPatient) return;
    this.#arrivals.push({ atMs: this.#options.nowMs(), latest });
  }

  *#giveOut(): Generator<ReadChunk, void, void> {
    this.#releaseOld();
    const limit = this.#limit();
    if (limit !== "nothing") yield* this.#merger.drain(limit);
    if (this.#merger.isEmpty) this.#arrivals = [];
  }

  #releaseOld(): void {
    const { windowMs, nowMs } = this.#options;
    const due = nowMs() - windowMs;
    let gone = 0;
    for (const { atMs, latest } of this.#arrivals) {
      if (atMs > due) break;
      if (this.#released === undefined || isBefore(this.#released, latest)) this.#released = latest;
      gone++;
    }
    if (gone > 0) this.#arrivals = this.#arrivals.slice(gone);
  }

  /** Up to where frames may go; undefined is everything. */
  #limit(): MergeLimit | undefined | "nothing" {
    const { isPatient, windowMs } = this.#options;
    let limit: MergeLimit | undefined;
    let quiet: MergeLimit | undefined | "nothing";
    let hasQuiet = false;
    for (const partition of this.#options.start.keys()) {
      if (this.#source.isFinished(partition, this.#positions.get(partition)!)) continue;
      const latest = this.#merger.latestOf(partition);
      const shown =
        latest === undefined ? undefined : minusMs(latest, windowMs, this.#merger.perSecond);
      if (isPatient || this.#isBusy(partition)) {
        if (shown === undefined) return "nothing";
        if (limit === undefined || isBefore(shown, limit)) limit = shown;
      } else {
        hasQuiet = true;
        if (shown === undefined) quiet = "nothing";
        else if (quiet === undefined || (quiet !== "nothing" && isBefore(shown, quiet)))
          quiet = shown;
      }
    }
    if (!hasQuiet) return limit;
    const released = this.#released;
    const quietLimit =
      released !== undefined &&
      (quiet === undefined || quiet === "nothing" || isBefore(quiet, released))
        ? released
        : quiet;
    if (quietLimit === undefined || quietLimit === "nothing") return "nothing";
    return limit === undefined || isBefore(quietLimit, limit) ? quietLimit : limit;
  }

  /** More is to be had of it, and soon. */
  #isBusy(partition: number): boolean {
    if (this.#source.isAtEnd(partition)) return false;
    if (this.#paused.has(partition)) return true;
    return this.#options.nowMs() - this.#cameMs.get(partition)! < STALLED_MS;
  }

  #pauseAndResume(): void {
    for (const partition of this.#options.start.keys()) {
      const isFull = this.#merger.hasMuchOf(partition);
      if (isFull === this.#paused.has(partition)) continue;
      if (isFull) {
        this.#paused.add(partition);
        this.#source.pause(partition);
      } else {
        this.#paused.delete(partition);
        this.#cameMs.set(partition, this.#options.nowMs());
        this.#source.resume(partition);
      }
    }
  }
}

function isBefore(a: MergeLimit, b: MergeLimit): boolean {
  return a.seconds < b.seconds || (a.seconds === b.seconds && a.fraction < b.fraction);
}

function minusMs({ seconds, fraction }: MergeLimit, ms: number, perSecond: number): MergeLimit {
  const wholeSeconds = Math.floor(ms / 1000);
  const rest = fraction - Math.floor(((ms % 1000) * perSecond) / 1000);
  return rest < 0
    ? { seconds: seconds - wholeSeconds - 1, fraction: rest + perSecond }
    : { seconds: seconds - wholeSeconds, fraction: rest };
}
