/**
 * Frames of so much of the replay go at once at most. Two such bursts may end up beside each other, when
 * the machine stood still while the first was taken, and the next ms may bring 2 more of what is late:
 * 10 ms of frames together.
 */
const LONGEST_BURST_MS = 4;

/** How much faster than asked for what is late is caught up: whoever runs half of the time keeps up. */
const CATCH_UP_SPEED = 2;

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
 *                 ╱   ┌ ╱       at most 4 ms at once
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
    const reachMs = Math.min(nowMs - this.#anchorMs, caughtUpMs);
    this.#lookedMs = nowMs;
    this.#reachedMs = dueMs > reachMs ? reachMs : Math.min(reachMs, dueMs + LONGEST_BURST_MS);
    if (dueMs <= reachMs) this.lateMs = Math.max(this.lateMs, nowMs - this.#startedMs - dueMs);
    return this.#reachedMs;
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
    return untilDueMs > caughtUpMs ? Math.ceil(untilDueMs) : Math.floor(caughtUpMs);
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
}
