import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { access, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { PcaptsError } from "../errors.ts";
import { DirectoryLock, makeDirectory } from "../storage/directory-lock.ts";
import { isSystemError, replaceFile } from "../storage/file-io.ts";

/** What a broker remembers of itself. */
interface Identity {
  readonly clusterId: string;
  /** Ids below were given out, perhaps; see {@link DataDirectory.nextProducerId}. */
  readonly producerIdLimit: number;
}

/** Ids reserved with one write. */
const PRODUCER_IDS_AT_ONCE = 1000;

/**
 * The directory where a broker keeps everything; one process at a time has it.
 *
 * ```
 *   broker.json           who the broker is
 *   clean-shutdown        the last process ended in order
 *   group-offsets.log     what groups have read
 *   topics/NAME/topic.json
 *   topics/NAME/PARTITION/00000000000000000000.log, .index, written.json, synced.json
 *   deleted/              topics on their way out
 * ```
 */
export class DataDirectory {
  readonly path: string;
  readonly #lock: DirectoryLock;
  #identity: Identity;
  #nextProducerId: number;
  #saving: Promise<void> = Promise.resolve();
  /** The process before ended in order. */
  readonly wasClean: boolean;

  private constructor(path: string, lock: DirectoryLock, identity: Identity, wasClean: boolean) {
    this.path = path;
    this.#lock = lock;
    this.#identity = identity;
    this.#nextProducerId = identity.producerIdLimit;
    this.wasClean = wasClean;
  }

  /**
   * Makes the directory if need be, and takes it.
   *
   * @throws PcaptsError BROKER_DATA_DIRECTORY: not writable, or another process has it
   */
  static async open(path: string): Promise<DataDirectory> {
    try {
      await makeDirectory(join(path, "topics"));
      await access(path, constants.W_OK | constants.X_OK);
    } catch (error) {
      throw new PcaptsError(
        "BROKER_DATA_DIRECTORY",
        `Cannot use the data directory "${path}": ${reasonOf(error)}; choose another with --data-dir`,
        { cause: error },
      );
    }
    const lock = await takeLock(path);
    try {
      const identity = await readIdentity(path);
      const wasClean = await remove(join(path, "clean-shutdown"));
      await rm(join(path, "deleted"), { recursive: true, force: true });
      return new DataDirectory(path, lock, identity, wasClean);
    } catch (error) {
      await lock.release();
      throw new PcaptsError(
        "BROKER_DATA_DIRECTORY",
        `Cannot use the data directory "${path}": ${reasonOf(error)}`,
        { cause: error },
      );
    }
  }

  get clusterId(): string {
    return this.#identity.clusterId;
  }

  /** An id that no producer had before, also not before a crash. */
  async nextProducerId(): Promise<number> {
    const id = this.#nextProducerId++;
    while (id >= this.#identity.producerIdLimit) {
      const before = this.#identity.producerIdLimit;
      this.#saving = this.#saving
        .catch(() => {})
        .then(async () => {
          if (this.#identity.producerIdLimit > before) return;
          const identity = { ...this.#identity, producerIdLimit: before + PRODUCER_IDS_AT_ONCE };
          await saveIdentity(this.path, identity);
          this.#identity = identity;
        });
      await this.#saving;
    }
    return id;
  }

  /** Says that everything was closed in order, and gives the directory up. */
  async close(isClean: boolean): Promise<void> {
    await this.#saving.catch(() => {});
    if (isClean) await replaceFile(join(this.path, "clean-shutdown"), "", true);
    await this.#lock.release();
  }
}

async function takeLock(path: string): Promise<DirectoryLock> {
  const lock = await DirectoryLock.takeWhole(path, "broker");
  if (lock !== undefined) return lock;
  throw new PcaptsError(
    "BROKER_DATA_DIRECTORY",
    `Cannot use the data directory "${path}": another broker is running on it; ` +
      "stop that one, or choose another with --data-dir",
  );
}

async function readIdentity(path: string): Promise<Identity> {
  try {
    return JSON.parse(await readFile(join(path, "broker.json"), "utf8")) as Identity;
  } catch (error) {
    if (!isSystemError(error, "ENOENT")) throw error;
  }
  // Kafka's ids are 16 bytes in base64url.
  const clusterId = Buffer.from(randomUUID().replaceAll("-", ""), "hex").toString("base64url");
  const identity = { clusterId, producerIdLimit: 1 };
  await saveIdentity(path, identity);
  return identity;
}

function saveIdentity(path: string, identity: Identity): Promise<void> {
  return replaceFile(join(path, "broker.json"), `${JSON.stringify(identity)}\n`, true);
}

async function remove(path: string): Promise<boolean> {
  try {
    await rm(path);
    return true;
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return false;
    throw error;
  }
}

/** Name of this start of the machine, as Linux has it; another one each time where it is not told. */
export async function readBootId(): Promise<string> {
  const told = await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => randomUUID());
  return told.trim();
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
