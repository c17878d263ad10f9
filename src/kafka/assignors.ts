import type { Assignor } from "./client-options.ts";

/** What one member wants. */
export interface Subscriber {
  readonly memberId: string;
  readonly topics: readonly string[];
}

/** Partitions of each topic for each member. */
export type GroupAssignment = Map<string, Map<string, number[]>>;

/**
 * Shares the partitions of all topics out among the members, as the Java
 * client's assignors of the same name do, so that members of other clients in
 * the same group get what they expect.
 *
 * `range` gives each member a run of neighbouring partitions of each topic,
 * `roundrobin` deals the partitions of all topics out one by one.
 *
 * @param partitionCounts of each topic that somebody wants
 */
export function assignPartitions(
  assignor: Assignor,
  subscribers: readonly Subscriber[],
  partitionCounts: ReadonlyMap<string, number>,
): GroupAssignment {
  const assignment: GroupAssignment = new Map(
    subscribers.map(({ memberId }) => [memberId, new Map<string, number[]>()]),
  );
  const members = subscribers.toSorted((a, b) => (a.memberId < b.memberId ? -1 : 1));
  const give = (memberId: string, topic: string, partition: number): void => {
    const topics = assignment.get(memberId)!;
    const partitions = topics.get(topic) ?? [];
    partitions.push(partition);
    topics.set(topic, partitions);
  };
  let turn = 0;
  for (const topic of [...partitionCounts.keys()].toSorted()) {
    const count = partitionCounts.get(topic)!;
    const takers = members.filter(({ topics }) => topics.includes(topic));
    if (takers.length === 0) continue;
    for (let partition = 0; partition < count; partition++) {
      if (assignor === "range") {
        give(takers[rangeOwner(partition, count, takers.length)]!.memberId, topic, partition);
        continue;
      }
      while (!members[turn % members.length]!.topics.includes(topic)) turn++;
      give(members[turn++ % members.length]!.memberId, topic, partition);
    }
  }
  return assignment;
}

/** The first `count % takers` members get one partition more than the others. */
function rangeOwner(partition: number, count: number, takers: number): number {
  const share = Math.floor(count / takers);
  const larger = count % takers;
  const inLarger = larger * (share + 1);
  if (partition < inLarger) return Math.floor(partition / (share + 1));
  return larger + Math.floor((partition - inLarger) / share);
}
