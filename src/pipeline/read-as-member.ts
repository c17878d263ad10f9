import type { OffsetSpan } from "../kafka/offset-spans.ts";
import { GroupProgress, type GroupProgressSetup } from "./group-progress.ts";
import type { TopicReading } from "./topic-reading.ts";
import { within } from "./within.ts";

/** What reading in a group needs. */
export interface MemberReading extends GroupProgressSetup {
  /** A position was asked for on the command line, by this name: for a group that has none yet. */
  readonly explicitStart: string | undefined;
  /** Every partition of the topic as it is now; at least those given. */
  knownPartitions(assigned: readonly number[]): Promise<readonly number[]>;
  /** Where partitions start that the group has no offset for. */
  startOf(
    partitions: readonly number[],
    groupIsEmpty: boolean,
  ): Promise<ReadonlyMap<number, bigint>>;
  /** @param done records behind the start of each partition that are dealt with already */
  createReading(
    start: ReadonlyMap<number, bigint>,
    done: ReadonlyMap<number, readonly OffsetSpan[]>,
  ): TopicReading;
}

/**
 * Reads as a member of a group until the end, a stop, or enough frames:
 * whenever the group changes, what positions cannot lie in front of is written and committed,
 * the rest dropped, and the member joins again.
 */
export async function readAsMember(reading: MemberReading): Promise<void> {
  const { member, signal, output } = reading;
  const progress = new GroupProgress(reading);
  try {
    for (let joins = 1; ; joins++) {
      let topicReading: TopicReading | undefined;
      let noteRevoked = (): void => {};
      const revoked = new Promise<void>((resolve) => {
        noteRevoked = () => {
          topicReading?.stop();
          resolve();
        };
      });
      const partitions = await member.join(signal, noteRevoked);
      const start = await findStart(reading, progress, partitions, joins === 1);
      topicReading = reading.createReading(start, progress.doneAtStart);
      if (member.isRevoked) continue;
      const isAtEnd = await readAssignment(reading, progress, topicReading);
      if (signal.aborted || output.isFull) return;
      if (isAtEnd && !member.isRevoked) {
        if (!topicReading.readsForever) return;
        // No partition is ours: another member may leave.
        await Promise.race([revoked, aborted(signal)]);
      }
    }
  } finally {
    await within(reading.leftMs(), member.leave());
  }
}

async function findStart(
  reading: MemberReading,
  progress: GroupProgress,
  partitions: readonly number[],
  isFirst: boolean,
): Promise<Map<number, bigint>> {
  const { member, group, logger, signal, explicitStart } = reading;
  const committed = await member.committed(await reading.knownPartitions(partitions), signal);
  await progress.settle(committed);
  const start = new Map<number, bigint>();
  for (const partition of partitions) {
    // Without commits the group's offset says nothing of what this member has written.
    const own = group.autoCommit ? undefined : progress.positions.get(partition);
    const offset = own ?? progress.startOf(partition, committed.get(partition)?.offset);
    if (offset !== undefined) start.set(partition, offset);
  }
  if (isFirst && explicitStart !== undefined && committed.size > 0) {
    logger.info(
      `Group "${group.groupId}" has offsets of its own and goes on there; -o ${explicitStart} is for a group without`,
    );
  }
  const without = partitions.filter((partition) => !start.has(partition));
  if (without.length > 0) {
    const given = await reading.startOf(without, committed.size === 0);
    for (const [partition, offset] of given) start.set(partition, offset);
  }
  await progress.commitStart(start, committed);
  return start;
}

/** @returns true when the reading came to its end, false when it was stopped */
async function readAssignment(
  reading: MemberReading,
  progress: GroupProgress,
  topicReading: TopicReading,
): Promise<boolean> {
  const { member, output, signal } = reading;
  const stop = (): void => topicReading.stop();
  signal.addEventListener("abort", stop, { once: true });
  progress.begin(stop);
  try {
    for await (const chunk of topicReading.chunks()) {
      // After a stop some chunks come that let positions lie behind every frame that is out.
      if (member.isLost) return false;
      await leaveWhileStalled(reading, progress.take(chunk));
      if (output.isFull) return true;
    }
    return !member.isRevoked && !signal.aborted;
  } finally {
    signal.removeEventListener("abort", stop);
    topicReading.stop();
    await progress.end();
  }
}

/**
 * A member whose output takes nothing leaves its partitions to others, as clients do that are not polled:
 * its heartbeats would keep them for a reader that may never come back. It joins again when it takes
 * frames.
 */
async function leaveWhileStalled(
  { member, group, logger }: MemberReading,
  taking: Promise<void>,
): Promise<void> {
  const timer = setTimeout(() => {
    const seconds = group.rebalanceTimeoutMs / 1000;
    logger.warn(
      `Group "${group.groupId}": the output has taken nothing for ${seconds} s (max.poll.interval.ms): ` +
        "this member leaves the group until it does; others read its partitions from the last commit on",
    );
    void member.stepDown("the output takes nothing");
  }, group.rebalanceTimeoutMs);
  try {
    await taking;
  } finally {
    clearTimeout(timer);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
