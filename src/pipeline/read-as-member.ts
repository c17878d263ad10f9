import type { Fetcher } from "../kafka/fetcher.ts";
import type { GroupMember } from "../kafka/group-member.ts";
import type { GroupOptions } from "../kafka/client-options.ts";
import type { Logger } from "../logger.ts";
import type { FrameOutput } from "./frame-output.ts";

/** Offsets are committed at least this often while frames are written. */
const LONGEST_COMMIT_INTERVAL_MS = 1000;

/** What reading in a group needs. */
export interface MemberReading {
  readonly member: GroupMember;
  readonly group: GroupOptions;
  readonly output: FrameOutput;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** Every partition of the topic. */
  readonly allPartitions: readonly number[];
  /** A position was asked for on the command line, by this name: for a group that has none yet. */
  readonly explicitStart: string | undefined;
  /** Where partitions start that the group has no offset for. */
  startOf(
    partitions: readonly number[],
    groupIsEmpty: boolean,
  ): Promise<ReadonlyMap<number, bigint>>;
  createFetcher(start: ReadonlyMap<number, bigint>): Fetcher;
}

/**
 * Reads as a member of a group until the end, a stop, or enough frames:
 * whenever the group changes, what was written is committed, the rest dropped,
 * and the member joins again.
 */
export async function readAsMember(reading: MemberReading): Promise<void> {
  const { member, signal, output } = reading;
  try {
    for (let joins = 1; ; joins++) {
      let fetcher: Fetcher | undefined;
      let noteRevoked = (): void => {};
      const revoked = new Promise<void>((resolve) => {
        noteRevoked = () => {
          fetcher?.stop();
          resolve();
        };
      });
      const partitions = await member.join(signal, noteRevoked);
      const start = await findStart(reading, partitions, joins === 1);
      fetcher = reading.createFetcher(start);
      if (member.isRevoked) continue;
      const ended = await readAssignment(reading, fetcher, start);
      if (signal.aborted || output.isFull) return;
      if (ended && !member.isRevoked) {
        if (!fetcher.readsForever) return;
        // No partition is ours: another member may leave.
        await Promise.race([revoked, aborted(signal)]);
      }
    }
  } finally {
    await member.leave();
  }
}

async function findStart(
  reading: MemberReading,
  partitions: readonly number[],
  isFirst: boolean,
): Promise<Map<number, bigint>> {
  const { member, group, logger, allPartitions, explicitStart } = reading;
  const committed = await member.committed(allPartitions);
  const start = new Map<number, bigint>();
  for (const partition of partitions) {
    const offset = committed.get(partition);
    if (offset !== undefined) start.set(partition, offset);
  }
  if (isFirst && explicitStart !== undefined && committed.size > 0) {
    logger.info(
      `Group "${group.groupId}" has offsets of its own and goes on there; -o ${explicitStart} is for a group without`,
    );
  }
  const without = partitions.filter((partition) => !start.has(partition));
  if (without.length === 0) return start;
  const given = await reading.startOf(without, committed.size === 0);
  // Kept at once: were the group to change before the first frame, "end" would be a later one.
  if (group.autoCommit) await member.commit(given);
  for (const [partition, offset] of given) start.set(partition, offset);
  return start;
}

/** @returns true when the fetcher came to its end, false when it was stopped */
async function readAssignment(
  { member, group, output, signal }: MemberReading,
  fetcher: Fetcher,
  start: ReadonlyMap<number, bigint>,
): Promise<boolean> {
  const written = new Map<number, bigint>();
  let committing: Promise<unknown> = Promise.resolve();
  const commit = (): void => {
    if (!group.autoCommit || written.size === 0) return;
    const offsets = new Map(written);
    written.clear();
    committing = committing.then(() => member.commit(offsets));
  };
  const timer = setInterval(
    commit,
    Math.min(group.autoCommitIntervalMs, LONGEST_COMMIT_INTERVAL_MS),
  );
  const stop = (): void => fetcher.stop();
  signal.addEventListener("abort", stop, { once: true });
  try {
    for await (const chunk of fetcher.chunks()) {
      if (member.isRevoked || signal.aborted) return false;
      const next = await output.take(chunk);
      if (next > (start.get(chunk.partition) ?? -1n)) written.set(chunk.partition, next);
      if (output.isFull) return true;
    }
    return !member.isRevoked && !signal.aborted;
  } finally {
    clearInterval(timer);
    signal.removeEventListener("abort", stop);
    fetcher.stop();
    commit();
    await committing;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
