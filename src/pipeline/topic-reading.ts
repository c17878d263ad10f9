import type { CaptureInstant } from "./capture-instant.ts";
import type { Fetcher } from "../kafka/fetcher.ts";
import type { FrameOrdering } from "./pipeline-options.ts";
import { FrameOrder } from "./order-frames.ts";
import { asReadChunk, type ReadChunk } from "./read-chunk.ts";
import { ReadProgress } from "./read-progress.ts";
import type { FetchedChunk } from "../kafka/frame-decoder.ts";
import type { OrderPatience } from "./release-rule.ts";
import type { TopicFilter } from "./topic-filter.ts";

/** What a {@link TopicReading} is made of. */
export interface TopicReadingSetup {
  readonly fetcher: Fetcher;
  /** First offset of each partition that is read. */
  readonly start: ReadonlyMap<number, bigint>;
  readonly filter: TopicFilter | undefined;
  readonly order: FrameOrdering | undefined;
  /** Where each partition probably has nothing more that is asked for, if anybody knows. */
  readonly expectedEnd?: ReadonlyMap<number, bigint> | undefined;
  /** The end of each partition is known, so that order may wait for all of them. */
  readonly isFinite: boolean;
  /** In a group: what is not given out here, another member reads. */
  readonly isShared: boolean;
  /** How long after a stop frames that have come may still be given out. */
  readonly stopMs: number;
  /** Latest capture time that was given out by a reading before. */
  readonly goneUntil: CaptureInstant | undefined;
  /** Called behind the frames in front of each end of a partition that is met. */
  readonly onEndOfPartition: ((partition: number, offset: bigint) => void) | undefined;
}

/** Partitions on their way out: fetched, filtered, put in order. */
export class TopicReading {
  readonly #setup: TopicReadingSetup;
  readonly #order: FrameOrder | undefined;
  readonly #progress: ReadProgress;
  #isStopped = false;

  constructor(setup: TopicReadingSetup) {
    this.#setup = setup;
    const { fetcher, start, order, isShared, stopMs, goneUntil, onEndOfPartition } = setup;
    this.#progress = new ReadProgress(start);
    if (order === undefined) return;
    this.#order = new FrameOrder(
      {
        chunks: () => this.#filtered(),
        isFinished: (partition, position) => fetcher.isFinished(partition, position),
        isAtEnd: (partition) => fetcher.isAtEnd(partition),
        pause: (partition) => fetcher.pause(partition),
        resume: (partition) => fetcher.resume(partition),
        stop: () => fetcher.stop(),
      },
      {
        start,
        patience: patienceOf(setup, order),
        windowMs: order.windowMs,
        othersGoOn: isShared,
        stopMs,
        goneUntil,
        nowMs: () => performance.now(),
        onEndOfPartition,
      },
    );
  }

  /** True when there is nothing to stop at. */
  get readsForever(): boolean {
    return this.#setup.fetcher.readsForever;
  }

  /** Frames that came too late to be put in order. */
  get late(): number {
    return this.#order?.late ?? 0;
  }

  /** Latest capture time that was given out, where order is kept. */
  get goneUntil(): CaptureInstant | undefined {
    return this.#order?.goneUntil;
  }

  /** Frames left out because they were captured outside of the range. */
  get outOfRange(): number {
    return this.#setup.fetcher.outOfRange;
  }

  /** The fetcher has met an end of a partition, and its frames are given out or kept to be ordered. */
  noteEnd(partition: number, offset: bigint): void {
    if (this.#order === undefined) this.#setup.onEndOfPartition?.(partition, offset);
    else this.#order.noteEnd(partition, offset);
  }

  /** Captured bytes of the frames that were dealt with. */
  get bytes(): number {
    return this.#progress.bytes;
  }

  /** How much of what is to be read was dealt with, 0 to 1; undefined where nobody knows the end. */
  get share(): number | undefined {
    const { fetcher, expectedEnd } = this.#setup;
    return this.#progress.share((partition, position) => {
      const expected = expectedEnd?.get(partition);
      return {
        isFinished: fetcher.isFinished(partition, position),
        end: expected !== undefined && expected > position ? expected : fetcher.endOf(partition),
      };
    });
  }

  /**
   * Each chunk's bytes are valid until the next is asked for. All chunks have to be dealt with: where order
   * is kept, some come after a stop, too.
   *
   * @throws PcaptsError when reading cannot go on
   */
  async *chunks(): AsyncGenerator<ReadChunk, void, void> {
    for await (const chunk of this.#order?.chunks() ?? this.#unordered()) {
      yield chunk;
      this.#progress.note(chunk);
    }
  }

  /** Ends `chunks()`; safe repeatedly. */
  stop(): void {
    this.#isStopped = true;
    this.#order?.stop();
    this.#setup.fetcher.stop();
  }

  async *#unordered(): AsyncGenerator<ReadChunk, void, void> {
    for await (const chunk of this.#filtered()) {
      if (this.#isStopped) return;
      yield asReadChunk(chunk);
    }
  }

  async *#filtered(): AsyncGenerator<FetchedChunk, void, void> {
    const { fetcher, filter } = this.#setup;
    if (filter === undefined) {
      yield* fetcher.chunks();
      return;
    }
    for await (const chunk of fetcher.chunks()) yield filter.keep(chunk);
  }
}

function patienceOf(
  { isFinite, isShared }: TopicReadingSetup,
  { isPrompt }: FrameOrdering,
): OrderPatience {
  // A member that may lose its partitions at any time gets on only by what it gives out.
  if (isFinite) return isShared ? "partitions" : "memory";
  return isPrompt === true ? "disorder" : "window";
}
