import assert from "node:assert/strict";
import type { PartitionContent } from "./faulty-broker.ts";
import { numberOf } from "./numbered-frames.ts";

/** Numbers of the frames that a topic holds, as each partition has them. */
export function numbersOf(partitions: readonly PartitionContent[]): number[][] {
  return partitions.map(({ values }) => values.map(numberOf));
}

/** Every frame below `count` is there once, and in order within its partition. */
export function assertOnceAndInOrder(
  partitions: readonly PartitionContent[],
  count: number,
  what = "",
): void {
  assertInOrder(partitions, what);
  const all = numbersOf(partitions)
    .flat()
    .toSorted((a, b) => a - b);
  const seen = new Set(all);
  const missing: number[] = [];
  for (let number = 0; number < count && missing.length < 5; number++) {
    if (!seen.has(number)) missing.push(number);
  }
  const twice = all.filter((number, index) => index > 0 && all[index - 1] === number);
  assert.deepEqual({ missing, twice: twice.slice(0, 5) }, { missing: [], twice: [] }, what);
  assert.equal(all.length, count, what);
}

/** No partition has a frame behind a later one. */
export function assertInOrder(partitions: readonly PartitionContent[], what = ""): void {
  for (const [partition, numbers] of numbersOf(partitions).entries()) {
    const late = numbers.findIndex((number, index) => index > 0 && numbers[index - 1]! >= number);
    const found = numbers.slice(Math.max(0, late - 2), late + 2);
    assert.equal(late, -1, `${what}: order of partition ${partition} at ${late}: ${String(found)}`);
  }
}

/**
 * All that was acknowledged is in the log once, in order; beside it there are at most
 * frames that were sent and not answered.
 *
 * @param acknowledged numbers of frames, in any order
 * @param unanswered how many frames these may be
 */
export function assertAcknowledgedOnce(
  partitions: readonly PartitionContent[],
  acknowledged: readonly number[],
  unanswered: number,
  what = "",
): void {
  assertInOrder(partitions, what);
  const logged = numbersOf(partitions).flat();
  assert.equal(new Set(logged).size, logged.length, `${what}: a frame is there twice`);
  assertAllThere(partitions, acknowledged, what);
  assert.equal(new Set(acknowledged).size, acknowledged.length, `${what}: acknowledged twice`);
  const beside = logged.length - acknowledged.length;
  assert.ok(beside <= unanswered, `${what}: ${beside} frames beside, ${unanswered} unanswered`);
}

/** All of these frames are in the log, perhaps more than once. */
export function assertAllThere(
  partitions: readonly PartitionContent[],
  numbers: readonly number[],
  what = "",
): void {
  const inLog = new Set(numbersOf(partitions).flat());
  const missing = numbers.filter((number) => !inLog.has(number));
  assert.deepEqual(missing.slice(0, 5), [], `${what}: acknowledged, and not there`);
}
