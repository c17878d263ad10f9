import type { FrameChunk } from "../packet/frame-chunk.ts";
import { type CaptureCounters, sensorOf } from "./frame-source.ts";
import type { LiveSource } from "./live-source.ts";

/**
 * An open interface of which is known whether its engine delivers: "packets
 * in, none out" is noticed by {@link WatchedSource.stallOf}.
 */
export class WatchedSource implements LiveSource {
  readonly kind = "live";
  readonly #source: LiveSource;
  readonly #nowMs: () => number;
  /** When a chunk was asked for that has not come yet. */
  #askedMs: number | undefined;
  /** What had come in when it was last certain that nothing was held back. */
  #baseline: number | undefined;
  #risenMs: number | undefined;

  /** @param nowMs a monotonic clock */
  constructor(source: LiveSource, nowMs: () => number) {
    this.#source = source;
    this.#nowMs = nowMs;
  }

  get engine(): LiveSource["engine"] {
    return this.#source.engine;
  }

  get name(): string {
    return this.#source.name;
  }

  get description(): string {
    return this.#source.description;
  }

  get interfaces(): LiveSource["interfaces"] {
    return this.#source.interfaces;
  }

  get sensor(): string {
    return sensorOf(this.#source);
  }

  get hasSeveralInterfaces(): boolean {
    return this.#source.hasSeveralInterfaces ?? this.interfaces.length > 1;
  }

  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    const chunks = this.#source.chunks()[Symbol.asyncIterator]();
    try {
      for (;;) {
        this.#askedMs = this.#nowMs();
        const result = await chunks.next();
        this.#forget();
        if (result.done === true) return;
        yield result.value;
      }
    } finally {
      this.#forget();
      await chunks.return?.();
    }
  }

  /**
   * Looks whether frames come in and none come out; call it about once a second. A source that is
   * not asked for frames, because Kafka is slow or away, does not stall: its ring fills up.
   *
   * @param limitMs how long frames may come in without one coming out
   * @returns what is wrong, or undefined
   */
  stallOf(limitMs: number): string | undefined {
    const askedMs = this.#askedMs;
    if (askedMs === undefined) return undefined;
    const nowMs = this.#nowMs();
    const silentMs = Math.min(nowMs - askedMs, this.#source.silentMs?.() ?? 0);
    if (silentMs > limitMs) {
      return `interface "${this.name}": its capture process has been silent for ${inSeconds(silentMs)} s`;
    }
    const { received, filtered } = this.#source.counters();
    if (received === undefined) return undefined;
    // What an engine leaves out is a sign of life, too.
    const taken = received - filtered;
    this.#baseline ??= taken;
    if (taken <= this.#baseline) {
      this.#baseline = taken;
      this.#risenMs = undefined;
      return undefined;
    }
    this.#risenMs ??= nowMs;
    const stalledMs = nowMs - this.#risenMs;
    if (stalledMs <= limitMs) return undefined;
    return (
      `interface "${this.name}": the kernel received ${taken - this.#baseline} frame(s) in the last ` +
      `${inSeconds(stalledMs)} s, and the capture engine handed none over`
    );
  }

  counters(): CaptureCounters {
    return this.#source.counters();
  }

  exclude(expression: string): Promise<boolean> {
    return this.#source.exclude(expression);
  }

  stop(): Promise<void> {
    return this.#source.stop();
  }

  #forget(): void {
    this.#askedMs = undefined;
    this.#baseline = undefined;
    this.#risenMs = undefined;
  }
}

function inSeconds(ms: number): number {
  return Math.round(ms / 1000);
}
