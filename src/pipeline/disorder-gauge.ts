/** What was met longer ago than two of these does not count any more. */
const PERIOD_MS = 30_000;

/** The next disorder may be a little more. */
const MARGIN = 1.5;

/** Between which bounds a {@link DisorderGauge} lies, in ms. */
export interface GaugeBounds {
  readonly leastMs: number;
  readonly mostMs: number;
}

/**
 * How long it takes to wait for what comes late: half as much again as the worst that was met in the
 * last half minute or minute.
 */
export class DisorderGauge {
  readonly #bounds: GaugeBounds;
  #periodEndMs: number | undefined;
  #met = 0;
  #metBefore = 0;

  constructor(bounds: GaugeBounds) {
    this.#bounds = bounds;
  }

  /** @param ms how late something came */
  note(ms: number): void {
    if (ms > this.#met) this.#met = ms;
  }

  /** @param nowMs by a monotonic clock */
  waitMs(nowMs: number): number {
    this.#periodEndMs ??= nowMs + PERIOD_MS;
    if (nowMs >= this.#periodEndMs) {
      this.#metBefore = this.#met;
      this.#met = 0;
      this.#periodEndMs = nowMs + PERIOD_MS;
    }
    const { leastMs, mostMs } = this.#bounds;
    const wanted = MARGIN * Math.max(this.#met, this.#metBefore);
    return Math.min(mostMs, Math.max(leastMs, wanted));
  }
}
