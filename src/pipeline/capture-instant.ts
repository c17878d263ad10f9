/** A capture time as frame headers have it. */
export interface CaptureInstant {
  /** Since the epoch. */
  readonly seconds: number;
  /** Microseconds or nanoseconds. */
  readonly fraction: number;
}

/** True when `a` is earlier than `b`; both in the same unit. */
export function isBefore(a: CaptureInstant, b: CaptureInstant): boolean {
  return a.seconds < b.seconds || (a.seconds === b.seconds && a.fraction < b.fraction);
}

/** The earlier one; undefined is the end of time. */
export function earlierOf(
  a: CaptureInstant | undefined,
  b: CaptureInstant | undefined,
): CaptureInstant | undefined {
  if (a === undefined) return b;
  return b !== undefined && isBefore(b, a) ? b : a;
}

/**
 * So much earlier.
 *
 * @param ms at least 0
 * @param perSecond units of a fraction
 */
export function minusMs(
  { seconds, fraction }: CaptureInstant,
  ms: number,
  perSecond: number,
): CaptureInstant {
  const wholeSeconds = Math.floor(ms / 1000);
  const rest = fraction - Math.floor(((ms % 1000) * perSecond) / 1000);
  return rest < 0
    ? { seconds: seconds - wholeSeconds - 1, fraction: rest + perSecond }
    : { seconds: seconds - wholeSeconds, fraction: rest };
}

/** How much later `b` is than `a`, in ms. */
export function msBetween(a: CaptureInstant, b: CaptureInstant, perSecond: number): number {
  return (b.seconds - a.seconds) * 1000 + ((b.fraction - a.fraction) * 1000) / perSecond;
}
