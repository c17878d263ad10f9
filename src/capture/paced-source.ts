import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../logger.ts";
import { sliceFrames } from "../packet/chunk-stages.ts";
import {
  FRAME_HEADER_BYTES,
  readHeaderWord,
  type CaptureInterface,
  type FrameChunk,
} from "../packet/frame-chunk.ts";
import type { CaptureCounters, FrameSource, ReadExtent } from "./frame-source.ts";
import { describeReplay } from "./replay-report.ts";
import { ReplaySchedule } from "./replay-schedule.ts";
import type { ReplayTimeline } from "./replay-timeline.ts";

/** What a replay is timed by. */
export interface ReplayClock {
  /** ms of a clock that is never set. */
  nowMs(): number;
  /** Resolves after so many ms, 0 being a turn of the event loop, or as soon as the signal is aborted. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** A timer takes no more, and a clock is looked at now and then. */
const LONGEST_SLEEP_MS = 60_000;

const SYSTEM_CLOCK: ReplayClock = {
  nowMs: () => performance.now(),
  sleep: (ms, signal) => (ms === 0 ? nextTurn() : sleep(ms, undefined, { signal }).catch(() => {})),
};

/**
 * Hands over the frames of a source when they are due, as views of its chunks. At the end, whatever
 * the end is, it says how fast it was.
 *
 * @param source a file
 * @param timeline says when; told of each new file by whoever opens them
 * @param logger told how fast it was, as a warning when that is slower than asked for
 */
export function paceSource(
  source: FrameSource,
  timeline: ReplayTimeline,
  logger: Logger,
  clock: ReplayClock = SYSTEM_CLOCK,
): FrameSource {
  return new PacedSource(source, timeline, logger, clock);
}

class PacedSource implements FrameSource {
  readonly kind: FrameSource["kind"];
  readonly name: string;
  readonly #source: FrameSource;
  readonly #timeline: ReplayTimeline;
  readonly #schedule = new ReplaySchedule();
  readonly #logger: Logger;
  readonly #clock: ReplayClock;
  readonly #stopping = new AbortController();
  /** Where the present chunk begins and ends in the files, and how much of it was handed over, 0 to 1. */
  #chunk = { start: 0, end: 0, share: 0 };

  constructor(source: FrameSource, timeline: ReplayTimeline, logger: Logger, clock: ReplayClock) {
    this.kind = source.kind;
    this.name = source.name;
    this.#source = source;
    this.#timeline = timeline;
    this.#logger = logger;
    this.#clock = clock;
  }

  get interfaces(): readonly CaptureInterface[] {
    return this.#source.interfaces;
  }

  get hasSeveralInterfaces(): boolean {
    return this.#source.hasSeveralInterfaces ?? this.interfaces.length > 1;
  }

  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    try {
      for await (const chunk of this.#source.chunks()) {
        const end = this.#source.extent?.()?.readBytes ?? 0;
        this.#chunk = { start: this.#chunk.end, end, share: 0 };
        yield* this.#pace(chunk);
      }
    } finally {
      const { message, isSlow } = describeReplay(this.#timeline.pace, this.#schedule);
      this.#logger[isSlow ? "warn" : "info"](message);
    }
  }

  counters(): CaptureCounters {
    return this.#source.counters();
  }

  extent(): ReadExtent | undefined {
    const extent = this.#source.extent?.();
    if (extent === undefined) return undefined;
    const { start, end, share } = this.#chunk;
    return { ...extent, readBytes: start + share * (end - start) };
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#source.stop();
  }

  async *#pace(chunk: FrameChunk): AsyncGenerator<FrameChunk, void, void> {
    const { bytes, frameCount, bigEndian } = chunk;
    const { signal } = this.#stopping;
    let frame = 0;
    let offset = 0;
    let dueMs = frameCount === 0 ? 0 : this.#placeFrame(chunk, offset);
    while (frame < frameCount && !signal.aborted) {
      const limitMs = this.#schedule.reach(this.#clock.nowMs(), dueMs);
      if (dueMs > limitMs) {
        const waitMs = this.#schedule.waitMs(dueMs);
        await this.#clock.sleep(Math.min(waitMs, LONGEST_SLEEP_MS), signal);
        continue;
      }
      const start = { frame, offset };
      let lastDueMs = dueMs;
      do {
        lastDueMs = dueMs;
        offset += FRAME_HEADER_BYTES + readHeaderWord(bytes, offset + 8, bigEndian);
        frame++;
        if (frame < frameCount) dueMs = this.#placeFrame(chunk, offset);
      } while (frame < frameCount && dueMs <= limitMs);
      this.#schedule.sent(lastDueMs);
      this.#chunk.share = offset / bytes.length;
      yield sliceFrames(chunk, start, { frame, offset });
      this.#schedule.gone(this.#clock.nowMs());
    }
  }

  /** @returns when the frame whose header is at `offset` is due; asked once for each */
  #placeFrame({ bytes, bigEndian, nanosecond }: FrameChunk, offset: number): number {
    const fraction = readHeaderWord(bytes, offset + 4, bigEndian);
    return this.#timeline.place(
      readHeaderWord(bytes, offset, bigEndian),
      nanosecond ? fraction : fraction * 1000,
      readHeaderWord(bytes, offset + 8, bigEndian),
    );
  }
}
