import type { GroupMember } from "../kafka/group-member.ts";
import type { GroupOptions } from "../kafka/client-options.ts";
import type { Logger } from "../logger.ts";
import type { FrameOutput } from "./frame-output.ts";
import type { TopicReading } from "./topic-reading.ts";

/** Offsets are committed at least this often while frames are written. */
const LONGEST_COMMIT_INTERVAL_MS = 1000;

/** What reading in a group needs. */
export interface MemberReading {
  readonly member: GroupMember;
  readonly group: GroupOptions;
  readonly output: FrameOutput;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** How long commit and farewell may still take after a stop. */
  leftMs(): number;
  /** A position was asked for on the command line, by this name: for a group that has none yet. */
  readonly explicitStart: string | undefined;
  /** Every partition of the topic as it is now; at least those given. */
  knownPartitions(assigned: readonly number[]): Promise<readonly number[]>;
  /** Where partitions start that the group has no offset for. */
  startOf(
    partitions: readonly number[],
    groupIsEmpty: boolean,
  ): Promise<ReadonlyMap<number, bigint>>;
  createReading(start: ReadonlyMap<number, bigint>): TopicReading;
}

/**
 * Reads as a member of a group until the end, a stop, or enough frames:
 * whenever the group changes, what positions cannot lie in front of is written and committed,
 * the rest dropped, and the member joins again.
 */
export async function readAsMember(reading: MemberReading): Promise<void> {
  const { member, signal, output } = reading;
  const progress = new Progress(reading);
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
      topicReading = reading.createReading(start);
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
  progress: Progress,
  partitions: readonly number[],
  isFirst: boolean,
): Promise<Map<number, bigint>> {
  const { member, group, logger, signal, explicitStart } = reading;
  const committed = await member.committed(await reading.knownPartitions(partitions), signal);
  const start = new Map<number, bigint>();
  for (const partition of partitions) {
    // Without commits the group's offset says nothing of what this member has written.
    const own = group.autoCommit ? undefined : progress.positions.get(partition);
    const offset = own ?? committed.get(partition);
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

/** @returns true when the reading came to its end, false when it was stopped */
async function readAssignment(
  { member, output, signal }: MemberReading,
  progress: Progress,
  topicReading: TopicReading,
): Promise<boolean> {
  const stop = (): void => topicReading.stop();
  signal.addEventListener("abort", stop, { once: true });
  progress.begin(stop);
  try {
    for await (const chunk of topicReading.chunks()) {
      // After a stop some chunks come that let positions lie behind every frame that is out.
      if (member.isLost) return false;
      for (const [partition, next] of await output.take(chunk)) progress.written(partition, next);
      if (output.isFull) return true;
    }
    return !member.isRevoked && !signal.aborted;
  } finally {
    signal.removeEventListener("abort", stop);
    topicReading.stop();
    await progress.end();
  }
}

/** What was written of each partition, and what of that is committed. */
class Progress {
  /** Offset behind the last frame written, by partition, whoever reads the partition now. */
  readonly positions = new Map<number, bigint>();
  readonly #reading: MemberReading;
  readonly #uncommitted = new Map<number, bigint>();
  #timer: NodeJS.Timeout | undefined;
  #committing: Promise<void> = Promise.resolve();
  #failure: unknown;
  #stop = (): void => {};

  constructor(reading: MemberReading) {
    this.#reading = reading;
  }

  /** A new assignment: offsets that were not committed under the last are not ours any more. */
  begin(stop: () => void): void {
    const { group } = this.#reading;
    this.#stop = stop;
    this.#uncommitted.clear();
    if (!group.autoCommit) return;
    this.#timer = setInterval(
      () => this.#commit(),
      Math.min(group.autoCommitIntervalMs, LONGEST_COMMIT_INTERVAL_MS),
    );
  }

  written(partition: number, next: bigint): void {
    this.positions.set(partition, next);
    if (this.#reading.group.autoCommit) this.#uncommitted.set(partition, next);
  }

  #commit(): void {
    if (this.#uncommitted.size === 0) return;
    this.#committing = this.#committing
      .then(() => this.#commitNow())
      .catch((error: unknown) => {
        this.#failure ??= error;
        this.#stop();
      });
  }

  async #commitNow(): Promise<void> {
    const offsets = new Map(this.#uncommitted);
    await this.#reading.output.flush();
    if (await this.#reading.member.commit(offsets)) {
      for (const [partition, offset] of offsets) {
        if (this.#uncommitted.get(partition) === offset) this.#uncommitted.delete(partition);
      }
    }
  }

  /** Commits the rest. @throws what kept an earlier commit from being made for good */
  async end(): Promise<void> {
    const { group, signal, logger } = this.#reading;
    clearInterval(this.#timer);
    this.#commit();
    await (signal.aborted ? within(this.#reading.leftMs(), this.#committing) : this.#committing);
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#uncommitted.size > 0) {
      logger.warn(
        `Group "${group.groupId}": the last offsets of ${this.#uncommitted.size} partition(s) could not be committed; ` +
          "the frames since the ones before come again",
      );
    }
  }
}

/** Waits for a promise, but no longer than this. */
async function within(timeoutMs: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  try {
    await Promise.race([promise, timeout]);
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
