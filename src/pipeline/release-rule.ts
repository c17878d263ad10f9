import { type CaptureInstant, earlierOf, isBefore, minusMs, msBetween } from "./capture-instant.ts";
import { DisorderGauge } from "./disorder-gauge.ts";

/**
 * How long a frame waits for those of other partitions:
 * - `memory`: until everything is there, or the memory is full. For a run whose end is known.
 * - `partitions`: until every partition has shown one that is later by the window, or has ended.
 * - `window`: as before, but no longer than the window for partitions that have nothing.
 * - `disorder`: as before, but the window is as long as the disorder that was met asks for, at most as
 *   long as it says.
 */
export type OrderPatience = "memory" | "partitions" | "window" | "disorder";

/** What a rule knows of the partitions. */
export interface PartitionView {
  /** Latest time that it has shown. */
  latestOf(partition: number): CaptureInstant | undefined;
  /** Nothing more comes from it. */
  isFinished(partition: number): boolean;
  /** All that was there was handed over when it was last asked for. */
  isAtEnd(partition: number): boolean;
  /** So much of it is kept that it need not be asked for more before something goes. */
  hasEnoughOf(partition: number): boolean;
}

/** What a {@link ReleaseRule} begins with. */
export interface ReleaseRuleSetup {
  readonly partitions: Iterable<number>;
  readonly patience: OrderPatience;
  readonly windowMs: number;
  readonly view: PartitionView;
  readonly nowMs: number;
}

/** What came of a partition. */
export interface Arrival {
  readonly partition: number;
  readonly earliest: CaptureInstant;
  readonly highest: CaptureInstant;
  /** The latest that it has shown so far, since times jumped back: they may have, within what came. */
  readonly latest: CaptureInstant;
  /** How far its frames were behind those that it had shown. */
  readonly disorderMs: number;
}

interface PartitionState {
  /** When something of it came last. */
  cameMs: number;
  /** It had nothing more at some time since then. */
  wasQuiet: boolean;
  readonly disorder: DisorderGauge;
}

interface PastArrival {
  readonly atMs: number;
  /** What came then, or before, is not later than this; undefined: all of it waits no longer. */
  readonly latest: CaptureInstant | undefined;
  isReleased: boolean;
}

/** A partition that has more, but gives nothing, is not waited for any longer. */
const STALLED_MS = 1000;

/** How often it is looked at partitions that end without a word. */
const LOOK_MS = 200;

/**
 * Between partitions of one producer: as long as its requests, and the answers here, may be apart. On one
 * machine 99 of 100 are less than 5 ms apart; the gauge learns of more.
 */
const LEAST_LAG_MS = 10;

/** No frame is so early. */
const BEFORE_ALL: CaptureInstant = { seconds: -1, fraction: 0 };

/**
 * Says up to which capture time frames may go.
 *
 * ```
 *   partition 0  ──●──●●────●──▶          frames up to here ┊ may go: every partition has shown
 *   partition 1  ─●────●──●────▶          one as late, less its disorder
 *   partition 2  ───●──────┊●──▶
 *   partition 3  ──●─── nothing more      is at its end: what is later has to wait, but not for ever
 * ```
 */
export class ReleaseRule {
  readonly #setup: ReleaseRuleSetup;
  readonly #states = new Map<number, PartitionState>();
  /** How long frames were away, by the clock, behind later ones of other partitions. */
  readonly #lag: DisorderGauge;
  /** Oldest first. */
  #arrivals: PastArrival[] = [];
  /** Everything up to here has waited for as long as it may. */
  #released: CaptureInstant = BEFORE_ALL;
  /** Everything that is here has. */
  #isAllReleased = false;

  constructor(setup: ReleaseRuleSetup) {
    this.#setup = setup;
    const { patience, windowMs, nowMs } = setup;
    const isAdaptive = patience === "disorder";
    const mostMs = windowMs;
    const disorder = patience === "memory" ? Infinity : windowMs;
    for (const partition of setup.partitions) {
      this.#states.set(partition, {
        cameMs: nowMs,
        wasQuiet: false,
        disorder: new DisorderGauge({ leastMs: isAdaptive ? 0 : disorder, mostMs: disorder }),
      });
    }
    this.#lag = new DisorderGauge({ leastMs: isAdaptive ? LEAST_LAG_MS : mostMs, mostMs });
  }

  get #isPatient(): boolean {
    const { patience } = this.#setup;
    return patience === "memory" || patience === "partitions";
  }

  /** Something of a partition came, though there may be no frame in it. */
  heard(partition: number, nowMs: number): void {
    const state = this.#states.get(partition);
    if (state !== undefined) state.cameMs = nowMs;
  }

  /** Frames of a partition came. */
  arrived(
    { partition, earliest, highest, latest, disorderMs }: Arrival,
    perSecond: number,
    nowMs: number,
  ): void {
    if (this.#isPatient) return;
    const state = this.#states.get(partition);
    if (state === undefined) return;
    state.disorder.note(disorderMs);
    if (state.wasQuiet) this.#noteLag(earliest, perSecond, nowMs);
    state.wasQuiet = false;
    if (msBetween(latest, this.#released, perSecond) > this.#setup.windowMs) {
      // Times have jumped back: what is here from before must not wait for them to come again.
      this.#released = BEFORE_ALL;
      this.#arrivals.push({ atMs: nowMs, latest: undefined, isReleased: false });
    }
    const last = isBefore(latest, highest) ? highest : latest;
    this.#arrivals.push({ atMs: nowMs, latest: last, isReleased: false });
  }

  /**
   * Up to where frames may go.
   *
   * @returns undefined is everything
   */
  limit(perSecond: number, nowMs: number): CaptureInstant | undefined {
    this.#releaseOld(nowMs);
    if (this.#isAllReleased) return undefined;
    const { view } = this.#setup;
    let busy: CaptureInstant | undefined;
    let quiet: CaptureInstant | undefined;
    let isWaitedFor = false;
    for (const [partition, state] of this.#states) {
      if (view.isFinished(partition)) continue;
      const latest = view.latestOf(partition);
      const disorderMs = state.disorder.waitMs(nowMs);
      const shown =
        latest === undefined || disorderMs === Infinity
          ? BEFORE_ALL
          : minusMs(latest, disorderMs, perSecond);
      if (this.#isBusy(partition, state, nowMs)) {
        busy = earlierOf(busy, shown);
        if (!view.hasEnoughOf(partition)) isWaitedFor = true;
      } else {
        state.wasQuiet = true;
        quiet = earlierOf(quiet, shown);
      }
    }
    // Nothing more is asked for, so waiting would be for ever.
    if (!isWaitedFor) busy = undefined;
    if (quiet !== undefined && isBefore(quiet, this.#released)) quiet = this.#released;
    return earlierOf(busy, quiet);
  }

  /** How long to wait, if nothing comes, before asking again. */
  waitMs(nowMs: number): number {
    let waitMs = LOOK_MS;
    if (this.#isPatient) return waitMs;
    const next = this.#arrivals.find(({ isReleased }) => !isReleased);
    if (next !== undefined) {
      waitMs = Math.min(waitMs, next.atMs + this.#lag.waitMs(nowMs) - nowMs);
    }
    return Math.max(1, Math.ceil(waitMs));
  }

  /** Nothing is kept any more. */
  allIsOut(): void {
    this.#isAllReleased = false;
    for (const arrival of this.#arrivals) arrival.isReleased = true;
  }

  /** More is to be had of it, and soon. */
  #isBusy(partition: number, { cameMs }: PartitionState, nowMs: number): boolean {
    if (this.#isPatient) return true;
    const { view } = this.#setup;
    if (view.isAtEnd(partition)) return false;
    return view.hasEnoughOf(partition) || nowMs - cameMs < STALLED_MS;
  }

  #noteLag(earliest: CaptureInstant, perSecond: number, nowMs: number): void {
    const { windowMs } = this.#setup;
    // What is further behind no waiting puts in order.
    const overtaken = this.#arrivals.find(({ latest }) => {
      const behindMs = latest === undefined ? 0 : msBetween(earliest, latest, perSecond);
      return behindMs > 0 && behindMs <= windowMs;
    });
    if (overtaken !== undefined) this.#lag.note(nowMs - overtaken.atMs);
  }

  #releaseOld(nowMs: number): void {
    const { windowMs } = this.#setup;
    const dueMs = nowMs - this.#lag.waitMs(nowMs);
    let forgotten = 0;
    for (const arrival of this.#arrivals) {
      if (arrival.atMs > dueMs) break;
      const { latest } = arrival;
      if (!arrival.isReleased) {
        arrival.isReleased = true;
        if (latest === undefined) this.#isAllReleased = true;
        else if (isBefore(this.#released, latest)) this.#released = latest;
      }
      if (arrival.atMs < nowMs - windowMs) forgotten++;
    }
    if (forgotten > 0) this.#arrivals.splice(0, forgotten);
  }
}
