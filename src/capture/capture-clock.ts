/** Where a {@link CaptureClock} takes its time from; milliseconds with a fraction. */
export interface ClockReadings {
  /** Runs evenly, from any origin; moves on while the wall clock is set. */
  monotonicMs(): number;
  /** Since the epoch, whole milliseconds: what `Date.now()` gives. */
  wallMs(): number;
  /** Wall time at monotonic 0, as exactly as it is known: `performance.timeOrigin`. */
  readonly originMs: number;
}

/** How often the wall clock is looked at. */
const CHECK_EVERY_MS = 1000;

/**
 * Microseconds since the epoch for an engine that has no time stamps of its own: fine as the
 * monotonic clock, right as the wall clock, and never going back.
 *
 * Once a second it is held against the wall clock. Behind it (the clock was set forward, the machine
 * slept), it jumps. Ahead of it (the clock was set back), it runs at half speed until it is right
 * again, so that frames stay in order and keep times of their own.
 */
export class CaptureClock {
  readonly #readings: ClockReadings;
  /** Wall time in microseconds, and the monotonic time that belongs to it. */
  #anchorUs: number;
  #anchorMonotonicMs: number;
  #usPerMs = 1000;
  #nextCheckMs: number;

  constructor(readings: ClockReadings) {
    this.#readings = readings;
    this.#anchorMonotonicMs = readings.monotonicMs();
    this.#anchorUs = (readings.originMs + this.#anchorMonotonicMs) * 1000;
    this.#nextCheckMs = this.#anchorMonotonicMs;
  }

  /** Whole microseconds since the epoch, at least as many as the call before gave. */
  nowUs(): number {
    const monotonicMs = this.#readings.monotonicMs();
    if (monotonicMs >= this.#nextCheckMs) this.#check(monotonicMs);
    return Math.floor(this.#at(monotonicMs));
  }

  #at(monotonicMs: number): number {
    return this.#anchorUs + (monotonicMs - this.#anchorMonotonicMs) * this.#usPerMs;
  }

  #check(monotonicMs: number): void {
    const nowUs = this.#at(monotonicMs);
    // The wall time is somewhere in this millisecond.
    const earliestUs = this.#readings.wallMs() * 1000;
    this.#anchorMonotonicMs = monotonicMs;
    this.#anchorUs = Math.max(nowUs, earliestUs);
    this.#usPerMs = nowUs >= earliestUs + 1000 ? 500 : 1000;
    this.#nextCheckMs = monotonicMs + CHECK_EVERY_MS;
  }
}
