import type { Fetcher } from "../kafka/fetcher.ts";
import type { FrameOrdering } from "./pipeline-options.ts";
import { FrameOrder } from "./order-frames.ts";
import { asReadChunk, type ReadChunk } from "./read-chunk.ts";
import type { FetchedChunk } from "../kafka/frame-decoder.ts";
import type { TopicFilter } from "./topic-filter.ts";

/** What a {@link TopicReading} is made of. */
export interface TopicReadingSetup {
  readonly fetcher: Fetcher;
  /** First offset of each partition that is read. */
  readonly start: ReadonlyMap<number, bigint>;
  readonly filter: TopicFilter | undefined;
  readonly order: FrameOrdering | undefined;
  /** The run ends by itself, so that order may wait for every partition. */
  readonly isFinite: boolean;
}

/** Partitions on their way out: fetched, filtered, put in order. */
export class TopicReading {
  readonly #setup: TopicReadingSetup;
  readonly #order: FrameOrder | undefined;

  constructor(setup: TopicReadingSetup) {
    this.#setup = setup;
    const { fetcher, start, order, isFinite } = setup;
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
        windowMs: order.windowMs,
        isPatient: isFinite,
        nowMs: () => performance.now(),
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

  /** Frames left out because they were captured outside of the range. */
  get outOfRange(): number {
    return this.#setup.fetcher.outOfRange;
  }

  /**
   * Each chunk's bytes are valid until the next is asked for.
   *
   * @throws PcaptsError when reading cannot go on
   */
  async *chunks(): AsyncGenerator<ReadChunk, void, void> {
    if (this.#order !== undefined) {
      yield* this.#order.chunks();
      return;
    }
    for await (const chunk of this.#filtered()) yield asReadChunk(chunk);
  }

  /** Ends `chunks()`; safe repeatedly. */
  stop(): void {
    this.#setup.fetcher.stop();
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
