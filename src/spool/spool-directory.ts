import { constants } from "node:fs";
import { access, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { PcaptsError } from "../errors.ts";
import { DirectoryLock, makeDirectory } from "../storage/directory-lock.ts";
import { isSystemError, replaceFile } from "../storage/file-io.ts";
import { partitionOf } from "./partition-spool.ts";

/** What a spool was written for: nothing of it can go elsewhere. */
export interface SpoolTarget {
  readonly topic: string;
  readonly partitionCount: number;
  /** The cluster's own name, "" where it has none. */
  readonly clusterId: string;
}

/** Of the files and their entries. */
const FORMAT = 1;

interface SpoolFile extends SpoolTarget {
  readonly format: number;
}

/**
 * The directory of a spool; one process at a time has it.
 *
 * ```
 *   spool.json                   what it was written for
 *   progress                     how far each partition is
 *   PARTITION-SERIAL.batches     entries, from this serial on
 * ```
 */
export class SpoolDirectory {
  readonly path: string;
  readonly #lock: DirectoryLock;

  private constructor(path: string, lock: DirectoryLock) {
    this.path = path;
    this.#lock = lock;
  }

  /**
   * Makes the directory if need be, and takes it.
   *
   * @throws PcaptsError SPOOL_UNUSABLE: not writable, or another process has it
   */
  static async take(path: string): Promise<SpoolDirectory> {
    let lock: DirectoryLock | undefined;
    try {
      await makeDirectory(path);
      await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
      lock = await DirectoryLock.takeWhole(path, "spool");
    } catch (error) {
      throw unusable(path, reasonOf(error), "choose another with --spool-dir", error);
    }
    if (lock !== undefined) return new SpoolDirectory(path, lock);
    throw unusable(
      path,
      "another process is running on it",
      "stop that one, or choose another with --spool-dir",
    );
  }

  /**
   * Files with entries, by partition.
   *
   * @returns size beside name
   * @throws PcaptsError SPOOL_UNUSABLE: they are for another topic, or of another format
   */
  async open(target: SpoolTarget): Promise<{
    readonly files: ReadonlyMap<number, { name: string; bytes: number }[]>;
    /** They were written for another cluster: what was sent was not sent to this one. */
    readonly isOtherCluster: boolean;
  }> {
    try {
      const files = await this.#list();
      const found = await this.#readFile();
      if (files.size > 0 && found !== undefined) this.#refuseOther(found, target);
      const text = `${JSON.stringify({ format: FORMAT, ...target })}\n`;
      await replaceFile(join(this.path, "spool.json"), text, true);
      const isOtherCluster = found !== undefined && found.clusterId !== target.clusterId;
      return { files, isOtherCluster };
    } catch (error) {
      if (error instanceof PcaptsError) throw error;
      throw unusable(this.path, reasonOf(error), "choose another with --spool-dir", error);
    }
  }

  async #list(): Promise<Map<number, { name: string; bytes: number }[]>> {
    const files = new Map<number, { name: string; bytes: number }[]>();
    for (const name of await readdir(this.path)) {
      const partition = partitionOf(name);
      if (partition === undefined) continue;
      const { size } = await stat(join(this.path, name));
      files.set(partition, [...(files.get(partition) ?? []), { name, bytes: size }]);
    }
    return files;
  }

  async #readFile(): Promise<SpoolFile | undefined> {
    try {
      return JSON.parse(await readFile(join(this.path, "spool.json"), "utf8")) as SpoolFile;
    } catch (error) {
      if (isSystemError(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  #refuseOther(found: SpoolFile, { topic, partitionCount }: SpoolTarget): void {
    const remedy = "let a run with its topic send them first, or choose another with --spool-dir";
    const holds = "it holds frames";
    if (found.format !== FORMAT) {
      throw unusable(
        this.path,
        `${holds} in format ${found.format}, and ${FORMAT} is written here`,
        "let the version of pcapts that wrote them send them first, or choose another with --spool-dir",
      );
    }
    if (found.topic !== topic) {
      throw unusable(
        this.path,
        `${holds} for topic "${found.topic}", this run is for "${topic}"`,
        remedy,
      );
    }
    if (found.partitionCount !== partitionCount) {
      throw unusable(
        this.path,
        `${holds} for ${found.partitionCount} partition(s), topic "${topic}" has ${partitionCount} now`,
        "choose another with --spool-dir; a topic with as many partitions as it had takes them",
      );
    }
  }

  /** Gives the directory up. */
  release(): Promise<void> {
    return this.#lock.release();
  }
}

function unusable(path: string, reason: string, remedy: string, cause?: unknown): PcaptsError {
  return new PcaptsError("SPOOL_UNUSABLE", `Cannot use the spool "${path}": ${reason}; ${remedy}`, {
    cause,
  });
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
