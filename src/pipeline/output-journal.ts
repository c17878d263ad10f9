import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import type { OutputCompression } from "../capture-file/compressed-output.ts";
import { lookAtPlace } from "../capture-file/ring-file.ts";
import type { RingKeeper, RingMark } from "../capture-file/ring-writer.ts";
import { PcaptsError } from "../errors.ts";
import type { CommittedOffsets } from "../kafka/group-member.ts";
import type { Logger } from "../logger.ts";
import { DirectoryLock } from "../storage/directory-lock.ts";
import { isSystemError, replaceFile } from "../storage/file-io.ts";
import { newNoteId, parseCommitNote } from "./commit-note.ts";
import { describeOutputError } from "./output-error.ts";

/** What an output is, and whose. */
export interface OutputDescription {
  readonly group: string;
  readonly topic: string;
  readonly fileType: "pcap" | "nsecpcap" | "pcapng";
  readonly compression: OutputCompression | null;
}

/** What a point has of a partition. */
interface MovedPartition {
  /** Behind the last frame. */
  readonly offset: string;
  /** As the note has it. */
  readonly line: string;
}

/** A place in the output, and what belongs to it. */
export interface JournalPoint {
  readonly number: number;
  readonly ring: RingMark;
  /** Link type of a pcap file that has its header. */
  readonly linkType: number | null;
  /** By partition, of those that moved since the point before. */
  readonly moved: Readonly<Record<string, MovedPartition>>;
  /** Files begun since the point before. */
  readonly begun: readonly string[];
}

interface JournalContent extends OutputDescription {
  readonly version: 1;
  readonly id: string;
  readonly nextNumber: number;
  /** The last that is known to be committed, if any, and perhaps one that may be. */
  readonly points: readonly JournalPoint[];
  /** Files begun since the last point. */
  readonly begun: readonly string[];
}

/** Where to go on. */
export interface Resumption {
  readonly ring: RingMark;
  readonly linkType: number | undefined;
  /** Files that were begun behind that place. */
  readonly begun: readonly string[];
}

const NOTHING: RingMark = {
  names: { count: 0, lastName: "", sameNames: 0 },
  current: undefined,
  kept: [],
  doomed: [],
  isFull: false,
};

/**
 * Keeps beside an output what of it is committed, so that after a crash it is gone on with where the
 * group goes on: each frame is in it once.
 *
 * ```
 *   frames ─► files, synced ─► journal: point 18, 81,920 bytes ─► group: offsets and "point 18"
 * ```
 *
 * Offsets and the note of the point are one commit, which the coordinator takes as a whole. So what
 * the group has says which of the last two points it belongs to, wherever the process was when it ended.
 */
export class OutputJournal implements RingKeeper {
  readonly #path: string;
  readonly #output: string;
  readonly #folder: string;
  readonly #description: OutputDescription;
  #content: JournalContent;
  /** Nobody has told yet whether the newest point is committed. */
  #isOpen = false;
  /** The files that are there are of another format. */
  #startsNextFile = false;
  #lock: DirectoryLock | undefined;
  #saving: Promise<void> = Promise.resolve();

  /** @param output path that the output was given, by which the journal is named */
  constructor(output: string, description: OutputDescription) {
    this.#output = output;
    this.#folder = path.dirname(output);
    this.#path = `${output}.offsets`;
    this.#description = description;
    const id = newNoteId();
    this.#content = { version: 1, id, ...description, nextNumber: 1, points: [], begun: [] };
  }

  /** Tells this output from all others in what groups commit. */
  get id(): string {
    return this.#content.id;
  }

  /** Link type of the pcap file that is gone on with. */
  get linkType(): number | undefined {
    const [newest] = this.#content.points.slice(-1);
    return this.#startsNextFile ? undefined : (newest?.linkType ?? undefined);
  }

  /**
   * Takes the output for this process, and finds out whether there is something to go on with.
   *
   * @param isOneFile the output is one file and not a ring
   * @param linkType that was asked for
   * @throws PcaptsError OUTPUT_NOT_WRITABLE: another process writes it, or it is not what it was
   */
  async open(isOneFile: boolean, linkType: number | undefined, logger: Logger): Promise<void> {
    await this.#takeLock();
    const found = await this.#read();
    const { group, topic } = this.#description;
    const anew = (reason: string): void => {
      logger.info(`Output "${this.#output}" is begun anew: ${reason}`);
    };
    if (found === undefined) {
      if (isOneFile && (await sizeOf(this.#output)) > 0) {
        anew(`there is no "${this.#path}" that says where group "${group}" left it`);
      }
      return;
    }
    if (found.group !== group || found.topic !== topic) {
      anew(`"${this.#path}" is of group "${found.group}" and topic "${found.topic}"`);
      return;
    }
    const newest = found.points.at(-1);
    // As many files as were asked for are there: this run makes others.
    if (newest?.ring.isFull === true) return;
    const isOther =
      found.fileType !== this.#description.fileType ||
      found.compression !== this.#description.compression ||
      (linkType !== undefined &&
        typeof newest?.linkType === "number" &&
        newest.linkType !== linkType);
    if (isOneFile && newest !== undefined) {
      const { current } = newest.ring;
      const state = current === undefined ? "missing" : (await lookAtPlace(current)).state;
      if (state === "missing") {
        anew("it is not there any more");
        return;
      }
      if (isOther) throw this.#cannotGoOn("it has another format or link type");
      if (state === "other") throw this.#cannotGoOn("it is not what it was when it was left");
    }
    this.#content = { ...found, ...this.#description };
    this.#startsNextFile = isOther;
    this.#isOpen = true;
  }

  /**
   * Goes on behind what is committed: at the newest point, or at the one before when that is what the
   * group has.
   *
   * @param committed what the group has of the topic
   * @param goOn takes the output there
   * @throws PcaptsError OUTPUT_NOT_WRITABLE
   */
  async settle(
    committed: CommittedOffsets,
    goOn: (where: Resumption) => Promise<void>,
  ): Promise<void> {
    const { points, begun } = this.#content;
    const newest = points.at(-1);
    const isCommitted = newest === undefined || !this.#isOpen || this.#has(committed, newest);
    const last = isCommitted ? newest : points.at(-2);
    const ring = last?.ring ?? NOTHING;
    const { linkType } = this;
    const behind = isCommitted ? begun : [...newest.begun, ...begun];
    // First, so that whoever has to go on from here, were this process to end now, decides the same.
    await this.#save(() => ({ points: last === undefined ? [] : [last], begun: behind }));
    this.#isOpen = false;
    await goOn({
      ring: this.#startsNextFile ? { ...ring, current: undefined } : ring,
      linkType,
      begun: behind,
    });
    await this.#save((content) => ({ begun: content.begun.slice(behind.length) }));
  }

  /** A file is about to be begun. @throws PcaptsError OUTPUT_NOT_WRITABLE */
  async onOpening(file: string): Promise<void> {
    await this.#save(({ begun }) => ({ begun: [...begun, file] }));
  }

  /** Describes a place. @param moved as {@link JournalPoint} has it */
  describe(
    ring: RingMark,
    linkType: number | undefined,
    moved: JournalPoint["moved"],
  ): JournalPoint {
    const { begun, nextNumber } = this.#content;
    return { number: nextNumber, ring, linkType: linkType ?? null, moved, begun };
  }

  /**
   * Keeps a place that is on the disk, before the offsets that belong to it are committed.
   *
   * @throws PcaptsError OUTPUT_NOT_WRITABLE
   */
  async add(point: JournalPoint): Promise<void> {
    this.#startsNextFile = false;
    this.#isOpen = true;
    await this.#save(({ points, begun }) => ({
      nextNumber: point.number + 1,
      points: [...points.slice(-1), point],
      begun: begun.slice(point.begun.length),
    }));
  }

  /** The offsets of the newest point are committed. */
  confirm(): void {
    this.#isOpen = false;
  }

  /** Gives the output up. */
  async close(): Promise<void> {
    await this.#lock?.release();
  }

  /**
   * Whether the group has the offsets of a point, or later ones of members that went on from there.
   * Where that cannot be told, because other clients have committed since, it is taken for granted:
   * a frame may then be there twice, but none is missing.
   */
  #has(committed: CommittedOffsets, { number, moved }: JournalPoint): boolean {
    let isDenied = false;
    for (const [partition, { offset, line }] of Object.entries(moved)) {
      const found = committed.get(Number(partition));
      if (found === undefined) continue;
      const note = parseCommitNote(found.metadata, found.offset);
      if ((note.outputs.get(this.id) ?? 0) >= number) return true;
      if ((line !== "" && note.line === line) || found.offset < BigInt(offset)) isDenied = true;
    }
    return !isDenied;
  }

  async #takeLock(): Promise<void> {
    const { dir, base } = path.parse(path.resolve(this.#output));
    const name = createHash("sha256").update(base).digest("hex").slice(0, 16);
    try {
      this.#lock = await DirectoryLock.take(dir, `output-${name}`);
    } catch (error) {
      throw describeOutputError(this.#output, error);
    }
    if (this.#lock !== undefined) return;
    throw new PcaptsError(
      "OUTPUT_NOT_WRITABLE",
      `Cannot write "${this.#output}": another pcapts writes it for a group; stop that one, or name another with -w`,
    );
  }

  async #read(): Promise<JournalContent | undefined> {
    let text: string;
    try {
      text = await readFile(this.#path, "utf8");
    } catch (error) {
      if (isSystemError(error, "ENOENT")) return undefined;
      throw describeOutputError(this.#path, error);
    }
    try {
      const content = JSON.parse(text) as JournalContent;
      if (content.version === 1) return mapPaths(content, (file) => path.join(this.#folder, file));
    } catch {
      // Said below.
    }
    throw this.#cannotGoOn(`"${this.#path}" is none of this version's, or damaged`);
  }

  async #save(change: (content: JournalContent) => Partial<JournalContent>): Promise<void> {
    const save = async (): Promise<void> => {
      const content = { ...this.#content, ...change(this.#content) };
      try {
        const text = JSON.stringify(mapPaths(content, (file) => path.basename(file)));
        await replaceFile(this.#path, `${text}\n`, true);
      } catch (error) {
        throw describeOutputError(this.#path, error);
      }
      this.#content = content;
    };
    this.#saving = this.#saving.catch(() => {}).then(save);
    await this.#saving;
  }

  #cannotGoOn(reason: string): PcaptsError {
    return new PcaptsError(
      "OUTPUT_NOT_WRITABLE",
      `Cannot go on with "${this.#output}": ${reason}; name another with -w, ` +
        `or remove "${this.#path}" to begin it anew`,
    );
  }
}

/** Files are kept by their names alone: they stand beside the journal, wherever that is. */
function mapPaths(content: JournalContent, map: (file: string) => string): JournalContent {
  const mapRing = ({ current, kept, doomed, ...ring }: RingMark): RingMark => ({
    ...ring,
    current: current && { ...current, path: map(current.path) },
    kept: kept.map(map),
    doomed: doomed.map(map),
  });
  return {
    ...content,
    points: content.points.map((point) => ({
      ...point,
      ring: mapRing(point.ring),
      begun: point.begun.map(map),
    })),
    begun: content.begun.map(map),
  };
}

async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}
