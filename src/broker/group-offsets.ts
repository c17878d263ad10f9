import { readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { crc32c } from "../bytes/crc32c.ts";
import {
  closeFile,
  isSystemError,
  openFile,
  READ_WRITE,
  syncDirectory,
  syncFile,
  truncateFile,
  writeAt,
} from "../storage/file-io.ts";

/** How far a group has read a partition. */
export interface CommittedOffset {
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string | null;
}

/** One committed offset, as it stands in the file. */
export interface OffsetEntry extends CommittedOffset {
  readonly topic: string;
  readonly partition: number;
}

/** A line: group, topic, partition, offset, leader epoch, metadata; without an offset it is deleted. */
type Line = readonly [string, string, number, (readonly [number, number, string | null])?];

const COMPACT_FROM_BYTES = 1024 * 1024;
/** The file may grow to so many times what is in force before it is written anew. */
const COMPACT_FACTOR = 4;

/**
 * Committed offsets of all groups, in memory and in a log of its own: one line
 * for each commit of a partition, its checksum first. What is torn at the end
 * is cut when the file is opened.
 *
 * ```
 *   5d3e01fa ["group","topic",0,[42,0,null]]
 * ```
 */
export class GroupOffsets {
  readonly #path: string;
  readonly #sync: boolean;
  readonly #groups = new Map<string, Map<string, Map<number, CommittedOffset>>>();
  #fd: number;
  #fileBytes = 0;
  #compactAtBytes = COMPACT_FROM_BYTES;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(path: string, sync: boolean, fd: number) {
    this.#path = path;
    this.#sync = sync;
    this.#fd = fd;
  }

  /** @param sync every commit is on the disk before it is answered */
  static async open(path: string, sync: boolean): Promise<GroupOffsets> {
    const bytes = await readFile(path).catch((error: unknown) => {
      if (isSystemError(error, "ENOENT")) return Buffer.alloc(0);
      throw error;
    });
    const offsets = new GroupOffsets(path, sync, await openFile(path, READ_WRITE));
    let at = 0;
    for (;;) {
      const end = bytes.indexOf(0x0a, at);
      const line = end === -1 ? undefined : decodeLine(bytes.subarray(at, end));
      if (line === undefined) break;
      offsets.#apply(line);
      at = end + 1;
    }
    offsets.#fileBytes = at;
    if (at < bytes.length) await truncateFile(offsets.#fd, at);
    await offsets.#compactIfLarge();
    return offsets;
  }

  /** Names of the groups that committed anything. */
  groups(): string[] {
    return [...this.#groups.keys()];
  }

  /** Names of the topics that anything was committed for. */
  topics(): string[] {
    return [...new Set([...this.#groups.values()].flatMap((topics) => [...topics.keys()]))];
  }

  /** All offsets of a group. */
  list(group: string): OffsetEntry[] {
    return [...(this.#groups.get(group) ?? [])].flatMap(([topic, partitions]) =>
      [...partitions].map(([partition, committed]) => ({ topic, partition, ...committed })),
    );
  }

  find(group: string, topic: string, partition: number): CommittedOffset | undefined {
    return this.#groups.get(group)?.get(topic)?.get(partition);
  }

  /**
   * Writes what a group committed.
   *
   * @throws what the file system says; nothing counts as committed then
   */
  commit(group: string, entries: readonly OffsetEntry[]): Promise<void> {
    return this.#append(() =>
      entries.map(({ topic, partition, offset, leaderEpoch, metadata }) => [
        group,
        topic,
        partition,
        [offset, leaderEpoch, metadata],
      ]),
    );
  }

  /** Forgets what a group committed. */
  deleteGroup(group: string): Promise<void> {
    return this.#append(() =>
      this.list(group).map(({ topic, partition }) => [group, topic, partition]),
    );
  }

  /** Forgets what was committed for a topic that is no more. */
  deleteTopic(topic: string): Promise<void> {
    return this.#append(() =>
      this.groups().flatMap((group) =>
        [...(this.#groups.get(group)?.get(topic)?.keys() ?? [])].map((partition): Line => [
          group,
          topic,
          partition,
        ]),
      ),
    );
  }

  /** @param list what to write, asked for when all before is written */
  #append(list: () => readonly Line[]): Promise<void> {
    const turn = this.#queue.then(async () => {
      const lines = list();
      if (lines.length === 0) return;
      const bytes = Buffer.concat(lines.map(encodeLine));
      try {
        await writeAt(this.#fd, bytes, this.#fileBytes);
        if (this.#sync) await syncFile(this.#fd);
      } catch (error) {
        await truncateFile(this.#fd, this.#fileBytes).catch(() => {});
        throw error;
      }
      this.#fileBytes += bytes.length;
      for (const line of lines) this.#apply(line);
      await this.#compactIfLarge();
    });
    this.#queue = turn.catch(() => {});
    return turn;
  }

  #apply([group, topic, partition, committed]: Line): void {
    if (committed === undefined) {
      const topics = this.#groups.get(group);
      const partitions = topics?.get(topic);
      partitions?.delete(partition);
      if (partitions?.size === 0) topics?.delete(topic);
      if (topics?.size === 0) this.#groups.delete(group);
      return;
    }
    let topics = this.#groups.get(group);
    if (topics === undefined) this.#groups.set(group, (topics = new Map()));
    let partitions = topics.get(topic);
    if (partitions === undefined) topics.set(topic, (partitions = new Map()));
    const [offset, leaderEpoch, metadata] = committed;
    partitions.set(partition, { offset, leaderEpoch, metadata });
  }

  async #compactIfLarge(): Promise<void> {
    if (this.#fileBytes < this.#compactAtBytes) return;
    const lines = this.groups().flatMap((group) =>
      this.list(group).map(({ topic, partition, offset, leaderEpoch, metadata }): Line => [
        group,
        topic,
        partition,
        [offset, leaderEpoch, metadata],
      ]),
    );
    const bytes = Buffer.concat(lines.map(encodeLine));
    this.#compactAtBytes = Math.max(COMPACT_FROM_BYTES, bytes.length * COMPACT_FACTOR);
    const temporary = `${this.#path}.new`;
    let fd: number | undefined;
    try {
      fd = await openFile(temporary, READ_WRITE);
      await truncateFile(fd, 0);
      await writeAt(fd, bytes, 0);
      await syncFile(fd);
      // Opened before it takes the other's place: there is no moment without a file to write to.
      await rename(temporary, this.#path);
    } catch {
      // The old file holds everything, too; it is tried again when it has doubled.
      if (fd !== undefined) closeFile(fd);
      this.#compactAtBytes = this.#fileBytes * 2;
      return;
    }
    closeFile(this.#fd);
    this.#fd = fd;
    this.#fileBytes = bytes.length;
    await syncDirectory(dirname(this.#path)).catch(() => {});
  }

  /** Waits for what is being written, syncs it and closes the file. */
  async close(): Promise<void> {
    await this.#queue;
    await syncFile(this.#fd).catch(() => {});
    closeFile(this.#fd);
  }
}

function encodeLine(line: Line): Buffer {
  const json = Buffer.from(JSON.stringify(line));
  const checksum = crc32c(json).toString(16).padStart(8, "0");
  return Buffer.concat([Buffer.from(`${checksum} `), json, Buffer.from("\n")]);
}

function decodeLine(bytes: Buffer): Line | undefined {
  const json = bytes.subarray(9);
  if (json.length === 0) return undefined;
  if (Number.parseInt(bytes.toString("latin1", 0, 8), 16) !== crc32c(json)) return undefined;
  return JSON.parse(json.toString()) as Line;
}
