import type { ReplaySchedule } from "./replay-schedule.ts";
import type { ReplayPace } from "./replay-timeline.ts";

/** A replay that ends so much later than it should is slower than asked for. */
const SLOW_SHARE = 0.01;
/** Less than this is a matter of timers. */
const SLOW_MS = 100;

const UNITS: Readonly<Record<ReplayPace["unit"], string>> = {
  pps: "frames/s",
  mbps: "Mbit/s",
  multiplier: "times the recorded speed",
};

/**
 * Says how fast a replay was, and how fast it should have been.
 *
 * @param done what it took
 * @returns one line; `isSlow` when it took over 1 % longer than it should have
 */
export function describeReplay(
  { unit, value }: ReplayPace,
  { takenMs, wantedMs, lateMs }: Pick<ReplaySchedule, "takenMs" | "wantedMs" | "lateMs">,
): { readonly message: string; readonly isSlow: boolean } {
  const took = `Replay took ${(takenMs / 1000).toFixed(3)} s`;
  if (wantedMs <= 0 || takenMs <= 0) return { message: took, isSlow: false };
  const reached = Number(((value * wantedMs) / takenMs).toPrecision(6));
  const overMs = takenMs - wantedMs;
  const isSlow = overMs > SLOW_MS && overMs > wantedMs * SLOW_SHARE;
  const message =
    `${took}: ${reached} ${UNITS[unit]} of ${value} asked for, at most ${Math.round(lateMs)} ms late` +
    (isSlow ? "; the source, Kafka or this machine did not keep up" : "");
  return { message, isSlow };
}
