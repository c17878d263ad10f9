import type { RingMark } from "../capture-file/ring-writer.ts";
import type { GroupOptions } from "../kafka/client-options.ts";
import type { CommittedOffsets, GroupMember, OffsetAndMetadata } from "../kafka/group-member.ts";
import { joinSpans, type OffsetSpan } from "../kafka/offset-spans.ts";
import type { Logger } from "../logger.ts";
import {
  type CommitNote,
  EMPTY_NOTE,
  formatCommitNote,
  newNoteId,
  parseCommitNote,
  withOutput,
} from "./commit-note.ts";
import type { FrameOutput } from "./frame-output.ts";
import type { JournalPoint, OutputJournal } from "./output-journal.ts";
import type { ReadChunk } from "./read-chunk.ts";
import { within } from "./within.ts";

/** Offsets are committed at least this often while frames are written. */
const LONGEST_COMMIT_INTERVAL_MS = 1000;

/** What progress is made of. */
export interface GroupProgressSetup {
  readonly member: GroupMember;
  readonly group: GroupOptions;
  readonly output: FrameOutput;
  /** Keeps beside the output what is committed of it. */
  readonly journal?: OutputJournal | undefined;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** How long what is left to do may still take after a stop. */
  leftMs(): number;
}

/** A place in the output whose offsets are to be committed. */
interface Point {
  readonly offsets: ReadonlyMap<number, bigint>;
  readonly done: ReadonlyMap<number, readonly OffsetSpan[]>;
  readonly ring: RingMark | undefined;
  readonly journal: JournalPoint | undefined;
  /** It is on the disk, and in the journal. */
  isKept: boolean;
}

/**
 * What was written of each partition, and what of that is committed.
 *
 * ```
 *   frames ─► output ─► mark: a place between two chunks ─► synced, in the journal ─► committed
 *             └── goes on meanwhile ──────────────────────────────────────────────────┘
 * ```
 */
export class GroupProgress {
  /** Offset behind the last frame written, by partition, whoever reads the partition now. */
  readonly positions = new Map<number, bigint>();
  readonly #setup: GroupProgressSetup;
  /** What is dealt with behind these positions, in this assignment. */
  readonly #done = new Map<number, readonly OffsetSpan[]>();
  /** Partitions whose positions moved since the last point. */
  readonly #moved = new Set<number>();
  /** What is noted at the offsets that the partitions began with. */
  #notes = new Map<number, CommitNote>();
  #point: Point | undefined;
  /** The output has frames that this member could not commit. */
  #isAhead = true;
  /** Behind what an output without a journal has of a partition, where that could not be committed. */
  readonly #uncommitted = new Map<number, bigint>();
  #isTaking = false;
  #isDue = false;
  #marking: Promise<void> = Promise.resolve();
  #committing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failure: unknown;
  #stop = (): void => {};

  constructor(setup: GroupProgressSetup) {
    this.#setup = setup;
  }

  /**
   * Takes what could not be committed out of an output that has a journal, before it is read again.
   *
   * @param committed what the group has of all partitions
   */
  async settle(committed: CommittedOffsets): Promise<void> {
    const { journal, output } = this.#setup;
    this.#notes = new Map(
      [...committed].map(([partition, { metadata, offset }]) => [
        partition,
        parseCommitNote(metadata, offset),
      ]),
    );
    this.#done.clear();
    if (!this.#isAhead && this.#point === undefined && this.#moved.size === 0) return;
    if (journal === undefined) {
      for (const of of this.#listUncommitted()) {
        this.#uncommitted.set(of, this.positions.get(of)!);
      }
    }
    // Offsets that were not committed under the last assignment are not ours any more.
    this.#point = undefined;
    this.#moved.clear();
    await journal?.settle(committed, async ({ ring, linkType, begun }) => {
      await output.goOn(ring, linkType, begun);
      await output.forgetBefore(ring);
    });
    this.#isAhead = false;
  }

  /**
   * Where a partition is gone on with that the group has an offset for: a pipe that has frames behind it
   * gets them only once.
   */
  startOf(partition: number, committed: bigint | undefined): bigint | undefined {
    const own = this.#uncommitted.get(partition);
    this.#uncommitted.delete(partition);
    if (own === undefined || committed === undefined || own <= committed) return committed;
    this.#moved.add(partition);
    return own;
  }

  /**
   * Commits at once where partitions begin that the group has no offset for, because "the end" would be
   * a later one were the group to change before the first frame; and, for a journal, where nobody has
   * begun to note whose frames are committed.
   */
  async commitStart(
    start: ReadonlyMap<number, bigint>,
    committed: CommittedOffsets,
  ): Promise<void> {
    const { group, journal, member } = this.#setup;
    if (!group.autoCommit) return;
    const offsets = new Map<number, OffsetAndMetadata>();
    for (const [partition, offset] of start) {
      let note = this.#noteOf(partition);
      if (journal !== undefined && note.line === "") {
        note = { ...EMPTY_NOTE, line: newNoteId() };
        this.#notes.set(partition, note);
      } else if (committed.has(partition)) continue;
      offsets.set(partition, { offset, metadata: formatCommitNote(note, offset) });
    }
    await member.commit(offsets);
  }

  /**
   * Commits now and then from now on.
   *
   * @param stop ends the reading when that fails for good
   */
  begin(stop: () => void): void {
    const { group } = this.#setup;
    this.#stop = stop;
    if (!group.autoCommit) return;
    this.#timer = setInterval(
      () => this.#commitSoon(),
      Math.min(group.autoCommitIntervalMs, LONGEST_COMMIT_INTERVAL_MS),
    );
  }

  /** Records behind the positions of the partitions that this member has now which are dealt with. */
  get doneAtStart(): ReadonlyMap<number, readonly OffsetSpan[]> {
    return new Map([...this.#notes].map(([partition, { done }]) => [partition, done]));
  }

  /** Writes a chunk. @throws as the output does */
  async take(chunk: ReadChunk): Promise<void> {
    await this.#marking;
    const { output, group, journal } = this.#setup;
    this.#isTaking = true;
    try {
      const { positions, done } = await output.take(chunk);
      for (const [partition, next] of positions) {
        this.positions.set(partition, next);
        this.#done.set(partition, done?.get(partition) ?? []);
        if (group.autoCommit) this.#moved.add(partition);
      }
    } catch (error) {
      // The output ends within a frame: no place behind it can be gone on with.
      if (journal !== undefined) this.#failure ??= error;
      throw error;
    } finally {
      this.#isTaking = false;
    }
    if (this.#isDue || output.wantsCommit) this.#commitSoon();
  }

  /** Commits, unless that is under way: at once, but where the output has to stand still for it. */
  #commitSoon(): void {
    this.#isDue = this.#isTaking && this.#setup.journal !== undefined;
    if (this.#isDue || this.#committing !== undefined) return;
    this.#committing = this.#commit()
      .catch((error: unknown) => {
        this.#failure ??= error;
        this.#stop();
      })
      .finally(() => {
        this.#committing = undefined;
      });
  }

  async #commit(): Promise<void> {
    if (this.#failure !== undefined) return;
    if (this.#point === undefined) {
      if (this.#moved.size === 0) return;
      const marking = this.#mark();
      this.#marking = marking.catch(() => {});
      await marking;
    }
    const point = this.#point!;
    const { output, journal, member } = this.#setup;
    if (!point.isKept) {
      await output.sync();
      if (point.journal !== undefined) await journal?.add(point.journal);
      point.isKept = true;
    }
    const isCommitted = await member.commit(this.#withNotes(point));
    // A point of a journal is tried again as it is: the group may have it, and never have said so.
    if (isCommitted || point.journal === undefined) this.#point = undefined;
    if (!isCommitted) {
      if (point.journal === undefined) for (const of of point.offsets.keys()) this.#moved.add(of);
      return;
    }
    if (point.ring === undefined) return;
    journal?.confirm();
    await output.forgetBefore(point.ring);
  }

  async #mark(): Promise<void> {
    const { output, journal } = this.#setup;
    const offsets = new Map([...this.#moved].map((of) => [of, this.positions.get(of)!]));
    // What was dealt with before this assignment is so still, where it is not reached.
    const done = new Map(
      [...offsets].map(([of, offset]) => [
        of,
        joinSpans([...(this.#done.get(of) ?? []), ...this.#noteOf(of).done], offset),
      ]),
    );
    this.#moved.clear();
    const ring = await output.mark();
    this.#point = {
      offsets,
      done,
      ring,
      journal: ring && journal?.describe(ring, output.linkType, this.#describeMoved(offsets)),
      isKept: false,
    };
  }

  #describeMoved(offsets: ReadonlyMap<number, bigint>): JournalPoint["moved"] {
    const moved = [...offsets].map(([of, offset]): [string, JournalPoint["moved"][string]] => [
      String(of),
      { offset: String(offset), line: this.#noteOf(of).line },
    ]);
    return Object.fromEntries(moved);
  }

  #noteOf(partition: number): CommitNote {
    return this.#notes.get(partition) ?? EMPTY_NOTE;
  }

  #withNotes({ offsets, done, journal }: Point): CommittedOffsets {
    const id = this.#setup.journal?.id;
    return new Map(
      [...offsets].map(([partition, offset]) => {
        const before = { ...this.#noteOf(partition), done: done.get(partition)! };
        const note =
          id === undefined || journal === undefined
            ? before
            : withOutput(before, id, journal.number);
        return [partition, { offset, metadata: formatCommitNote(note, offset) }];
      }),
    );
  }

  /** Commits the rest. @throws what kept an earlier commit from being made for good */
  async end(): Promise<void> {
    const { group, member, signal, logger } = this.#setup;
    clearInterval(this.#timer);
    const rest = this.#commitRest();
    await (signal.aborted ? within(this.#setup.leftMs(), rest) : rest);
    if (this.#failure !== undefined) throw this.#failure;
    const uncommitted = this.#listUncommitted();
    // Who stepped down has said so.
    if (uncommitted.size === 0 || member.hasSteppedDown) return;
    logger.warn(
      `Group "${group.groupId}": the last offsets of ${uncommitted.size} partition(s) could not be committed; ` +
        "the frames since the ones before come again",
    );
  }

  #listUncommitted(): ReadonlySet<number> {
    return new Set([...this.#moved, ...(this.#point?.offsets.keys() ?? [])]);
  }

  async #commitRest(): Promise<void> {
    for (let tries = 0; tries < 2; tries++) {
      await this.#committing;
      if (this.#point === undefined && this.#moved.size === 0) return;
      this.#commitSoon();
      await this.#committing;
    }
  }
}
