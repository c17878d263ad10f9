import { join } from "node:path";
import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { isSystemError, syncDirectory } from "../storage/file-io.ts";
import { PartitionSpool } from "./partition-spool.ts";
import type { SpoolableBatch } from "./partition-spool.ts";
import { ENTRY_HEADER_BYTES } from "./spool-entry.ts";
import type { SpoolDirectory, SpoolTarget } from "./spool-directory.ts";
import { SpoolProgress } from "./spool-progress.ts";

/** How often what was written is brought to the disk: so much a power failure may cost. */
const SYNC_MS = 1000;

/** A disk that refused is asked again after this time. */
const DISK_PAUSE_MS = 1000;

/** A broker forgets a producer that has not written for so long, unless told otherwise. */
const PRODUCER_EXPIRATION_MS = 24 * 60 * 60 * 1000;

const LARGEST_SEGMENT_BYTES = 16 * 1024 * 1024;

/** Batches on disk that Kafka does not take at present, see `PartitionSpool` for each partition's. */
export class Spool {
  readonly partitions: readonly PartitionSpool[];
  readonly #directory: SpoolDirectory;
  readonly #sizeBytes: number;
  readonly #logger: Logger;
  readonly #progress: SpoolProgress;
  readonly #syncTimer: NodeJS.Timeout;
  #operations: Promise<unknown> = Promise.resolve();
  #haveFilesChanged = false;
  #refusedUntilMs = 0;
  #isFull = false;
  readonly #toldErrors = new Set<string>();

  private constructor(
    directory: SpoolDirectory,
    sizeBytes: number,
    partitionCount: number,
    progress: SpoolProgress,
    logger: Logger,
  ) {
    this.#directory = directory;
    this.#sizeBytes = sizeBytes;
    this.#progress = progress;
    this.#logger = logger;
    const host = {
      directory: directory.path,
      // Space is had back a file at a time.
      segmentBytes: Math.min(LARGEST_SEGMENT_BYTES, Math.floor(sizeBytes / (4 * partitionCount))),
      save: (partition: number, state: Parameters<SpoolProgress["save"]>[1]) => {
        try {
          this.#progress.save(partition, state);
        } catch (error) {
          this.#tell(
            error,
            "note how far its frames are sent",
            "should this process be killed, some may be there twice",
          );
        }
      },
      filesChanged: () => {
        this.#haveFilesChanged = true;
      },
    };
    this.partitions = Array.from({ length: partitionCount }, (_, n) => new PartitionSpool(n, host));
    this.#syncTimer = setInterval(() => void this.sync(), SYNC_MS);
    this.#syncTimer.unref();
  }

  /**
   * Takes up what is in a directory, and says what it found.
   *
   * @param directory taken already; the spool gives it up in the end
   * @param sizeBytes of all files with entries together
   * @throws PcaptsError SPOOL_UNUSABLE
   */
  static async open(
    directory: SpoolDirectory,
    sizeBytes: number,
    target: SpoolTarget,
    logger: Logger,
  ): Promise<Spool> {
    try {
      const { files, isOtherCluster } = await directory.open(target);
      const opened = await SpoolProgress.open(
        join(directory.path, "progress"),
        target.partitionCount,
      );
      const { partitionCount } = target;
      const spool = new Spool(directory, sizeBytes, partitionCount, opened.progress, logger);
      let cutBytes = 0;
      for (const partition of spool.partitions) {
        const number = partition.partition;
        cutBytes += await partition.recover(files.get(number) ?? [], opened.found[number]);
        if (isOtherCluster) partition.forgetIdentities();
      }
      spool.#sayFound(cutBytes);
      return spool;
    } catch (error) {
      await directory.release();
      if (error instanceof PcaptsError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new PcaptsError(
        "SPOOL_UNUSABLE",
        `Cannot use the spool "${directory.path}": ${reason}; choose another with --spool-dir`,
        { cause: error },
      );
    }
  }

  #sayFound(cutBytes: number): void {
    const { path } = this.#directory;
    if (cutBytes > 0) {
      this.#logger.warn(
        `The spool "${path}" ended in the middle of a batch: ${cutBytes} bytes were cut, whole batches are kept`,
      );
    }
    const { frameCount } = this;
    if (frameCount === 0) return;
    this.#logger.info(
      `The spool "${path}" holds ${frameCount} frame(s) of a run before: they are sent first`,
    );
    const lastSentMs = Math.max(...this.partitions.map((partition) => partition.lastSentMs));
    if (lastSentMs > 0 && Date.now() - lastSentMs > PRODUCER_EXPIRATION_MS) {
      this.#logger.warn(
        `Some of the spooled frames were sent at ${new Date(lastSentMs).toISOString()} without an answer: ` +
          "brokers forget a producer after producer.id.expiration.ms, a day by default, so a few of them may be there twice",
      );
    }
  }

  /** Frames that are not done. */
  get frameCount(): number {
    return this.partitions.reduce((sum, { frameCount }) => sum + frameCount, 0);
  }

  /** Frames of entries that were not read yet. */
  get unreadFrames(): number {
    return this.partitions.reduce((sum, { unreadFrames }) => sum + unreadFrames, 0);
  }

  /** Bytes of all files with entries. */
  get bytes(): number {
    return this.partitions.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get path(): string {
    return this.#directory.path;
  }

  /** True from when a batch found no room until one was taken again. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** True when less than a tenth is free, or the disk has refused lately. */
  get isNearlyFull(): boolean {
    return this.#isFull || this.bytes > 0.9 * this.#sizeBytes;
  }

  /** Runs what reads or writes files when everything before has ended. */
  run<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#operations.then(operation);
    this.#operations = result.catch(() => {});
    return result;
  }

  /**
   * Writes a batch behind those of its partition.
   *
   * @returns false when there is no room, or the disk refuses
   */
  append(partition: number, batch: SpoolableBatch): Promise<boolean> {
    return this.run(() =>
      this.#write(batch.bytes.length + ENTRY_HEADER_BYTES, () =>
        this.partitions[partition]!.append(batch),
      ),
    );
  }

  /**
   * Writes batches in front of an entry of their partition: all of them, or none.
   *
   * @param before its serial; undefined: the first that was not read yet
   */
  insert(partition: number, batches: readonly SpoolableBatch[], before?: number): Promise<boolean> {
    const bytes = batches.reduce((sum, batch) => sum + batch.bytes.length + ENTRY_HEADER_BYTES, 0);
    return this.run(() =>
      this.#write(bytes, () => this.partitions[partition]!.insert(batches, before)),
    );
  }

  async #write(bytes: number, write: () => Promise<void>): Promise<boolean> {
    const hasRoom =
      this.bytes + bytes <= this.#sizeBytes && performance.now() >= this.#refusedUntilMs;
    if (!hasRoom) {
      this.#isFull = true;
      return false;
    }
    try {
      await write();
    } catch (error) {
      this.#isFull = true;
      this.#refusedUntilMs = performance.now() + DISK_PAUSE_MS;
      this.#tell(error, "write to it", "it counts as full meanwhile");
      return false;
    }
    this.#isFull = false;
    return true;
  }

  /** Deletes files whose entries are all done. */
  async removeDone(partition: number): Promise<void> {
    const spool = this.partitions[partition]!;
    if (!spool.hasDoneFiles) return;
    await this.run(async () => {
      try {
        await spool.removeDone();
      } catch (error) {
        this.#tell(error, "delete a file of it", "its frames are in Kafka");
      }
    });
  }

  /** Says once for each kind of error what the disk refuses, and what comes of it. */
  #tell(error: unknown, action: string, consequence: string): void {
    const code = isSystemError(error, "ENOSPC") ? "ENOSPC" : action;
    if (this.#toldErrors.has(code)) return;
    this.#toldErrors.add(code);
    const reason = error instanceof Error ? error.message : String(error);
    this.#logger.error(`Cannot use the spool "${this.path}", ${action}: ${reason}; ${consequence}`);
  }

  /** A read failed, or found something damaged. */
  tellUnreadable(error: unknown, consequence: string): void {
    this.#tell(error, "read from it", consequence);
  }

  /** Brings everything to the disk. */
  async sync(): Promise<void> {
    try {
      await this.#progress.sync();
      for (const partition of this.partitions) await partition.sync();
      if (!this.#haveFilesChanged) return;
      this.#haveFilesChanged = false;
      await syncDirectory(this.path);
    } catch (error) {
      this.#tell(error, "bring it to the disk", "a power failure may cost frames");
    }
  }

  /** Brings everything to the disk and gives the directory up. */
  async close(): Promise<void> {
    clearInterval(this.#syncTimer);
    for (const { partition } of this.partitions) await this.removeDone(partition);
    await this.run(async () => {
      await this.sync();
      for (const partition of this.partitions) await partition.close();
    });
    this.#progress.close();
    await this.#directory.release();
  }
}
