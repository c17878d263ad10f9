/** Median and extremes of one figure over the rounds. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/**
 * Middle of the numbers, the mean of the two middle ones when there is no middle.
 * @throws RangeError when there are none
 */
export function spreadOf(numbers: readonly number[]): Spread {
  const sorted = numbers.toSorted((a, b) => a - b);
  const [least, most] = [sorted[0], sorted.at(-1)];
  const high = sorted[sorted.length >> 1];
  const low = sorted[(sorted.length - 1) >> 1];
  if (least === undefined || most === undefined || high === undefined || low === undefined) {
    throw new RangeError("no numbers to take a median of");
  }
  return { median: (low + high) / 2, least, most };
}

/**
 * The order of a round: another program begins each time, and every other round goes backwards, so that none
 * always follows the same neighbour.
 * @param round from 1
 */
export function inTurn<T>(items: readonly T[], round: number): T[] {
  const start = items.length === 0 ? 0 : (round - 1) % items.length;
  const rotated = [...items.slice(start), ...items.slice(0, start)];
  return round % 2 === 0 ? rotated.toReversed() : rotated;
}
