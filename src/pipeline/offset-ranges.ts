import type { OffsetRange } from "./ledger-record.ts";

/** How many offsets ranges have. */
export function countOffsets(ranges: readonly OffsetRange[]): number {
  return ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

/** The same offsets in ascending order, neighbours joined. */
export function joinRanges(ranges: readonly OffsetRange[]): OffsetRange[] {
  const joined: [number, number][] = [];
  for (const [first, last] of ranges.toSorted(([a], [b]) => a - b)) {
    const before = joined.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else joined.push([first, last]);
  }
  return joined;
}

/** Offsets that are in more than one of the ranges. */
export function findOverlaps(ranges: readonly OffsetRange[]): OffsetRange[] {
  const twice: OffsetRange[] = [];
  let behind = -1;
  for (const [first, last] of ranges.toSorted(([a], [b]) => a - b)) {
    if (first <= behind) twice.push([first, Math.min(last, behind)]);
    behind = Math.max(behind, last);
  }
  return joinRanges(twice);
}

/** The part of ranges below an offset. */
export function rangesBelow(ranges: readonly OffsetRange[], offset: number): OffsetRange[] {
  return joinRanges(ranges)
    .filter(([first]) => first < offset)
    .map(([first, last]) => [first, Math.min(last, offset - 1)]);
}

/** The part of ranges at or above an offset. */
export function rangesFrom(ranges: readonly OffsetRange[], offset: number): OffsetRange[] {
  return joinRanges(ranges)
    .filter(([, last]) => last >= offset)
    .map(([first, last]) => [Math.max(first, offset), last]);
}

/** "0-24, 31". */
export function formatRanges(ranges: readonly OffsetRange[]): string {
  return ranges
    .map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`))
    .join(", ");
}
