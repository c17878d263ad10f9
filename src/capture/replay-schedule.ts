/**
 * Frames of so much of the replay go within a ms at most; below 10 ms, both ends being counted. Fewer
 * were too few on a machine with ten times as much to do as it can, where a wait takes 20 ms.
 */
const LONGEST_BURST_MS = 9;
const BURST_WITHIN_MS = 1;

/** How much faster than asked for what is late is caught up: whoever runs half of the time keeps up. */
const CATCH_UP_SPEED = 2;

/** For less than this the event loop turns instead: a timer would bring too few frames at a time. */
const SHORTEST_TIMER_MS = 0.25;

/** What is later than this is not caught up: an outage is not made up for minutes. */
const MOST_CATCH_UP_MS = 10_000;

/**
 * Decides when frames go, from one anchor: the time at which the first one went. A frame is due at the
 * anchor and its time in the replay, whenever the frames before it really went, so that timers that
 * fire late add up to nothing.
 *
 * After a stall frames are late. They are caught up at twice the speed, and never many at once:
 *
 * ```
 *  replay ms                    ╱╱ on time again
 *                             ╱╱
 *                           ╱ ╱   twice as fast
 *             due → ╱     ╱ ╱
 *                 ╱   ┌ ╱       at most 9 ms at once
 *               ╱─────┘
 *             ╱  stall
 *           ╱
 *          anchor                     clock ms →
 * ```
 *
 * What is more than 10 s late moves the anchor instead: the end is later by that, as `takenMs` tells.
 */
export class ReplaySchedule {
  #startedMs: number | undefined;
  #anchorMs = 0;
  /** When it was last looked at how far frames may go, and how far that was. */
  #lookedMs = 0;
  #reachedMs = 0;
  /** Bursts of the last ms: when their first frame was due, and when they were gone. Oldest first. */
  readonly #recent: { readonly dueMs: number; readonly goneMs: number }[] = [];
  #burstDueMs = 0;

  /** ms from the first frame to the last, by the clock. */
  takenMs = 0;
  /** ms from the first frame to the last, as they were due. */
  wantedMs = 0;
  /** How late the latest frame was, in ms. */
  lateMs = 0;

  /**
   * Says how far the replay may go now.
   *
   * @param nowMs of a clock that is never set
   * @param dueMs of the next frame, in ms after the first
   * @returns frames that are due up to then may go; less than `dueMs` when the next one has to wait
   */
  reach(nowMs: number, dueMs: number): number {
    if (this.#startedMs === undefined) {
      this.#startedMs = nowMs;
      this.#anchorMs = nowMs - dueMs;
      this.#lookedMs = nowMs;
      this.#reachedMs = dueMs;
    }
    const tooLateMs = nowMs - this.#anchorMs - dueMs - MOST_CATCH_UP_MS;
    if (tooLateMs > 0) this.#anchorMs += tooLateMs;
    const caughtUpMs = this.#reachedMs + (nowMs - this.#lookedMs) * CATCH_UP_SPEED;
    while (this.#recent.length > 0 && nowMs - this.#recent[0]!.goneMs >= BURST_WITHIN_MS) {
      this.#recent.shift();
    }
    const burstEndMs = (this.#recent[0]?.dueMs ?? dueMs) + LONGEST_BURST_MS;
    const reachMs = Math.min(nowMs - this.#anchorMs, caughtUpMs, burstEndMs);
    this.#lookedMs = nowMs;
    this.#reachedMs = reachMs;
    if (dueMs <= reachMs) {
      this.#burstDueMs = dueMs;
      this.lateMs = Math.max(this.lateMs, nowMs - this.#startedMs - dueMs);
    }
    return reachMs;
  }

  /**
   * How long to wait until the next frame may go, counted from a look after which none went.
   *
   * @param dueMs of that frame, as it was given to {@link reach}
   * @returns whole ms, as timers have them; 0 is a turn of the event loop, for what is late already
   */
  waitMs(dueMs: number): number {
    const untilDueMs = this.#anchorMs + dueMs - this.#lookedMs;
    const caughtUpMs = (dueMs - this.#reachedMs) / CATCH_UP_SPEED;
    if (untilDueMs > caughtUpMs) return Math.ceil(untilDueMs);
    return caughtUpMs < SHORTEST_TIMER_MS ? 0 : Math.ceil(caughtUpMs);
  }

  /**
   * Notes that frames go, at the time of the last look.
   *
   * @param dueMs when the last of them was due
   */
  sent(dueMs: number): void {
    this.wantedMs = dueMs;
    this.takenMs = this.#lookedMs - (this.#startedMs ?? this.#lookedMs);
  }

  /**
   * Notes that they are gone, which may be long after: the machine may stand still meanwhile, and the
   * next burst must not be right behind them.
   *
   * @param nowMs of the same clock
   */
  gone(nowMs: number): void {
    this.#recent.push({ dueMs: this.#burstDueMs, goneMs: nowMs });
  }
}
