/** Offsets from one on up to another, which is not in it. */
export interface OffsetSpan {
  readonly from: bigint;
  readonly to: bigint;
}

/**
 * Puts spans in order and joins those that touch.
 *
 * @param behind what is before this offset is left out
 */
export function joinSpans(spans: readonly OffsetSpan[], behind: bigint): OffsetSpan[] {
  const joined: OffsetSpan[] = [];
  for (const { from, to } of spans.toSorted((a, b) => (a.from < b.from ? -1 : 1))) {
    if (to <= behind) continue;
    const last = joined.at(-1);
    if (last === undefined || from > last.to)
      joined.push({ from: from < behind ? behind : from, to });
    else if (to > last.to) joined[joined.length - 1] = { from: last.from, to };
  }
  return joined;
}

/** Takes holes out of spans, both in order. */
export function subtractSpans(
  spans: readonly OffsetSpan[],
  holes: readonly OffsetSpan[],
): OffsetSpan[] {
  const rest: OffsetSpan[] = [];
  let next = 0;
  for (const { from, to } of spans) {
    let at = from;
    while (next < holes.length && holes[next]!.to <= from) next++;
    for (let n = next; n < holes.length && holes[n]!.from < to; n++) {
      const hole = holes[n]!;
      if (hole.from > at) rest.push({ from: at, to: hole.from });
      at = hole.to;
    }
    if (at < to) rest.push({ from: at, to });
  }
  return rest;
}

/** The spans that have something from one offset on up to another, which is the last. */
export function spansBetween(
  spans: readonly OffsetSpan[] | undefined,
  first: bigint,
  last: bigint,
): readonly OffsetSpan[] | undefined {
  const found = spans?.filter(({ from, to }) => from <= last && to > first);
  return found === undefined || found.length === 0 ? undefined : found;
}

/** True when an offset is in one of the spans. */
export function isInSpans(spans: readonly OffsetSpan[], offset: bigint): boolean {
  return spans.some(({ from, to }) => offset >= from && offset < to);
}
