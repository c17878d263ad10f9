import type { FetchedChunk } from "../kafka/frame-decoder.ts";
import type { CaptureInstant } from "./capture-instant.ts";
import { FrameMerger } from "./frame-merger.ts";
import type { ReadChunk } from "./read-chunk.ts";
import { type OrderPatience, ReleaseRule } from "./release-rule.ts";

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
  readonly patience: OrderPatience;
  /** How far a partition's own frames may be out of order, and how long a frame waits for others at most. */
  readonly windowMs: number;
  /**
   * Others go on where this one stops: then only as much is given out after a stop as positions need to lie
   * behind every frame that is out. Default: all that has come.
   */
  readonly othersGoOn?: boolean;
  /** How long after a stop what has come may still be given out, where positions do not need it. */
  readonly stopMs?: number;
  /** Frames before this time are late: later ones went out before. */
  readonly goneUntil?: CaptureInstant | undefined;
  /** Monotonic clock. */
  readonly nowMs: () => number;
  /** Called when all frames in front of an end of a partition that the source met are dealt with. */
  readonly onEndOfPartition?: ((partition: number, offset: bigint) => void) | undefined;
}

/**
 * Merges the frames of partitions by capture time.
 *
 * {@link FrameMerger} keeps them, {@link ReleaseRule} says what may go. When the memory is full the
 * earliest frame goes, whatever is missing. A frame that is earlier than one that has gone already is
 * counted as late, and goes next.
 */
export class FrameOrder {
  readonly #source: OrderedSource;
  readonly #options: OrderOptions;
  readonly #merger: FrameMerger;
  readonly #rule: ReleaseRule;
  readonly #paused = new Set<number>();
  /** Behind what came of a partition. */
  readonly #positions: Map<number, bigint>;
  /** Time spent by whoever takes the frames: nothing can come meanwhile, so nothing is late by it. */
  #outsideMs = 0;
  #came: FetchedChunk | "end" | undefined;
  #failure: { readonly error: unknown } | undefined;
  #stoppedMs: number | undefined;
  #wake: () => void = () => {};

  constructor(source: OrderedSource, options: OrderOptions) {
    const { start, patience, windowMs, goneUntil } = options;
    this.#source = source;
    this.#options = options;
    const spanMs = patience === "memory" ? Infinity : windowMs;
    const merger = new FrameMerger({ start, windowMs: spanMs, goneUntil });
    const positions = new Map(start);
    this.#merger = merger;
    this.#positions = positions;
    this.#rule = new ReleaseRule({
      partitions: start.keys(),
      patience,
      windowMs,
      view: {
        latestOf: (partition) => merger.latestOf(partition),
        isFinished: (partition) => source.isFinished(partition, positions.get(partition)!),
        isAtEnd: (partition) => source.isAtEnd(partition),
        hasEnoughOf: (partition) => merger.hasEnoughOf(partition),
      },
      nowMs: options.nowMs(),
    });
  }

  /** Frames that came too late to be in order. */
  get late(): number {
    return this.#merger.late;
  }

  /** The latest capture time that has gone out. */
  get goneUntil(): CaptureInstant | undefined {
    return this.#merger.goneUntil;
  }

  /** The source has met the end of a partition, behind what it gave of it. */
  noteEnd(partition: number, offset: bigint): void {
    this.#merger.noteEnd({ partition, offset });
    this.#wake();
  }

  /** Ends `chunks()`, after what has to go out; safe repeatedly. */
  stop(): void {
    this.#stoppedMs ??= this.#options.nowMs();
    this.#source.stop();
  }

  /**
   * The frames in order, chunk by chunk. All of them have to be dealt with, those too that come after a
   * stop.
   *
   * @returns chunks whose bytes are valid until the next is asked for
   * @throws what the source throws, after the frames that came before it
   */
  async *chunks(): AsyncGenerator<ReadChunk, void, void> {
    const source = this.#source.chunks()[Symbol.asyncIterator]();
    try {
      this.#ask(source);
      for (;;) {
        const came = this.#came;
        if (came === "end") break;
        if (came !== undefined) {
          yield* this.#outside(this.#takeIn(came));
          this.#ask(source);
        }
        yield* this.#outside(this.#giveOut());
        this.#pauseAndResume();
        if (this.#came === undefined) await this.#change();
      }
      if (this.#stoppedMs !== undefined && this.#options.othersGoOn === true) {
        this.#merger.dropUntouched();
      }
      yield* this.#outside(this.#drain());
      if (this.#failure !== undefined) throw this.#failure.error;
    } finally {
      // A chunk that was asked for may never come; who waited for it has left.
      this.#source.stop();
      await source.return?.(undefined);
    }
  }

  #now(): number {
    return this.#options.nowMs() - this.#outsideMs;
  }

  #ask(source: AsyncIterator<FetchedChunk>): void {
    this.#came = undefined;
    source.next().then(
      ({ done, value }) => this.#come(done === true ? "end" : value),
      (error: unknown) => {
        this.#failure = { error };
        this.#come("end");
      },
    );
  }

  #come(what: FetchedChunk | "end"): void {
    this.#came = what;
    this.#wake();
  }

  /** Waits for the next chunk, but no longer than until something may go without it. */
  async #change(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (this.#merger.isEmpty) return;
      timer = setTimeout(resolve, this.#rule.waitMs(this.#now()));
    });
    clearTimeout(timer);
  }

  /** Hands chunks on, stops the clock meanwhile, and tells of ends of partitions where they belong. */
  *#outside(chunks: Iterable<ReadChunk>): Generator<ReadChunk, void, void> {
    const { nowMs, onEndOfPartition } = this.#options;
    for (const chunk of chunks) {
      const beganMs = nowMs();
      yield chunk;
      this.#outsideMs += nowMs() - beganMs;
      this.#passEnds(onEndOfPartition);
    }
    this.#passEnds(onEndOfPartition);
  }

  #passEnds(onEndOfPartition: OrderOptions["onEndOfPartition"]): void {
    for (const { partition, offset } of this.#merger.ends.splice(0)) {
      onEndOfPartition?.(partition, offset);
    }
  }

  *#takeIn(chunk: FetchedChunk): Generator<ReadChunk, void, void> {
    const merger = this.#merger;
    const { partition, nextOffset, frameCount } = chunk;
    this.#positions.set(partition, nextOffset);
    for (let from = 0; ;) {
      from = merger.add(chunk, from);
      if (from >= frameCount) break;
      // The memory is full: the earliest go, whatever may follow.
      yield* merger.makeRoom();
    }
    const nowMs = this.#now();
    this.#rule.heard(partition, nowMs);
    if (frameCount > 0) this.#rule.arrived(merger.arrivalOf(partition), merger.perSecond, nowMs);
  }

  *#giveOut(): Generator<ReadChunk, void, void> {
    const merger = this.#merger;
    while (this.#stoppedMs === undefined) {
      const chunk = merger.take(this.#rule.limit(merger.perSecond, this.#now()));
      if (chunk === undefined) break;
      yield chunk;
    }
    if (merger.isEmpty) this.#rule.allIsOut();
  }

  *#drain(): Generator<ReadChunk, void, void> {
    const { othersGoOn, stopMs = Infinity, nowMs } = this.#options;
    const untilMs = othersGoOn === true ? Infinity : (this.#stoppedMs ?? Infinity) + stopMs;
    while (nowMs() <= untilMs) {
      const chunk = this.#merger.take(undefined);
      if (chunk === undefined) return;
      yield chunk;
    }
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
        this.#rule.heard(partition, this.#now());
        this.#source.resume(partition);
      }
    }
  }
}
