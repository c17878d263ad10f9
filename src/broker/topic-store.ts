import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { BrokerError } from "./broker-error.ts";
import { isSystemError, replaceFile, syncDirectory } from "../storage/file-io.ts";
import { PartitionLog } from "./partition-log.ts";
import type { LogEnvironment } from "./partition-settings.ts";
import { logSettingsOf, type TopicConfig } from "./topic-settings.ts";

/** A topic and its logs. */
export interface Topic {
  readonly name: string;
  /** 32 hexadecimal digits, another one when a topic is created again. */
  readonly id: string;
  readonly config: TopicConfig;
  readonly partitions: readonly PartitionLog[];
}

/** What topic.json holds. */
interface TopicFile {
  readonly id: string;
  readonly partitions: number;
  readonly config: TopicConfig;
}

/** Partitions of all topics together: each has files, and memory. */
const MOST_PARTITIONS = 10_000;

/** All topics of a broker. */
export class TopicStore {
  readonly #directory: string;
  readonly #environment: LogEnvironment;
  readonly #defaults: TopicConfig;
  readonly #topics = new Map<string, Topic>();
  /** Creating and deleting, one after another. */
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(directory: string, environment: LogEnvironment, defaults: TopicConfig) {
    this.#directory = directory;
    this.#environment = environment;
    this.#defaults = defaults;
  }

  /**
   * Opens every topic below a data directory.
   *
   * @param defaults the broker's settings for topics that do not set them
   */
  static async open(
    directory: string,
    environment: LogEnvironment,
    defaults: TopicConfig,
  ): Promise<TopicStore> {
    const store = new TopicStore(directory, environment, defaults);
    const names = await readdir(join(directory, "topics"));
    await Promise.all(names.map((name) => store.#open(name)));
    return store;
  }

  async #open(name: string): Promise<void> {
    const path = this.#pathOf(name);
    let file: TopicFile;
    try {
      file = JSON.parse(await readFile(join(path, "topic.json"), "utf8")) as TopicFile;
    } catch (error) {
      if (!isSystemError(error, "ENOENT")) throw error;
      // A topic is there from the moment that this file is: what is left of one half made goes.
      this.#environment.logger.warn(`Removed ${path}, which was left when a topic was made`);
      await rm(path, { recursive: true, force: true });
      return;
    }
    this.#topics.set(name, await this.#openLogs(name, file));
  }

  async #openLogs(name: string, { id, config, partitions }: TopicFile): Promise<Topic> {
    const settings = logSettingsOf(config, this.#defaults);
    const opened = await Promise.allSettled(
      Array.from({ length: partitions }, (_, partition) =>
        PartitionLog.open(join(this.#pathOf(name), String(partition)), this.#environment, settings),
      ),
    );
    const logs = opened.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    const failed = opened.find((each) => each.status === "rejected");
    if (failed !== undefined) {
      // Their files would stay open for ever.
      await Promise.all(logs.map((log) => log.close(false)));
      throw failed.reason;
    }
    return { name, id, config, partitions: logs };
  }

  #pathOf(name: string): string {
    return join(this.#directory, "topics", name);
  }

  /** Topics by name. */
  list(): Topic[] {
    return [...this.#topics.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  find(name: string): Topic | undefined {
    return this.#topics.get(name);
  }

  findById(id: string): Topic | undefined {
    return this.list().find((topic) => topic.id === id);
  }

  /** Every partition of every topic. */
  logs(): PartitionLog[] {
    return [...this.#topics.values()].flatMap(({ partitions }) => partitions);
  }

  /**
   * A partition's log.
   *
   * @throws BrokerError UNKNOWN_TOPIC_OR_PARTITION
   */
  log(name: string, partition: number): PartitionLog {
    const log = this.#topics.get(name)?.partitions[partition];
    if (log === undefined) {
      throw new BrokerError(
        "UNKNOWN_TOPIC_OR_PARTITION",
        `There is no partition ${partition} of topic "${name}"`,
      );
    }
    return log;
  }

  /**
   * Creates a topic.
   *
   * @param config settings that were checked
   * @param onlyCheck say whether it could be
   * @throws BrokerError what the client is told
   */
  create(
    name: string,
    partitions: number,
    config: TopicConfig,
    onlyCheck = false,
  ): Promise<{ id: string }> {
    return this.#inTurn(async () => {
      if (!/^[a-zA-Z0-9._-]{1,249}$/.test(name) || name === "." || name === "..") {
        throw new BrokerError(
          "INVALID_TOPIC_EXCEPTION",
          `"${name}" is no topic name: 1 to 249 letters, digits, dots, dashes or underscores`,
        );
      }
      if (this.#topics.has(name)) {
        throw new BrokerError("TOPIC_ALREADY_EXISTS", `Topic '${name}' already exists.`);
      }
      if (partitions < 1 || this.logs().length + partitions > MOST_PARTITIONS) {
        throw new BrokerError(
          "INVALID_PARTITIONS",
          `${partitions} partition(s) cannot be had: at least 1, and ${MOST_PARTITIONS} in all topics together`,
        );
      }
      const id = randomUUID().replaceAll("-", "");
      if (onlyCheck) return { id };
      const file = { id, partitions, config };
      try {
        await mkdir(this.#pathOf(name), { recursive: true });
        const topic = await this.#openLogs(name, file);
        const text = `${JSON.stringify(file)}\n`;
        await replaceFile(join(this.#pathOf(name), "topic.json"), text, true);
        await syncDirectory(join(this.#directory, "topics"));
        this.#topics.set(name, topic);
      } catch (error) {
        await rm(this.#pathOf(name), { recursive: true, force: true }).catch(() => {});
        throw new BrokerError("KAFKA_STORAGE_ERROR", `The disk refused it: ${String(error)}`, {
          cause: error,
        });
      }
      return { id };
    });
  }

  /**
   * Deletes a topic and its records.
   *
   * @throws BrokerError UNKNOWN_TOPIC_OR_PARTITION
   */
  delete(name: string): Promise<void> {
    return this.#inTurn(async () => {
      const topic = this.#topics.get(name);
      if (topic === undefined) {
        throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", `There is no topic "${name}"`);
      }
      this.#topics.delete(name);
      await Promise.all(topic.partitions.map((log) => log.close(false)));
      const grave = join(this.#directory, "deleted", topic.id);
      await mkdir(join(this.#directory, "deleted"), { recursive: true });
      // One rename: after a crash the topic is there or not, never half.
      await rename(this.#pathOf(name), grave);
      await rm(grave, { recursive: true, force: true });
    });
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(change);
    this.#queue = turn.catch(() => {});
    return turn;
  }

  /** Closes every log; what was written is on the disk then. */
  async close(): Promise<void> {
    await this.#queue;
    await Promise.all(this.logs().map((log) => log.close(true)));
  }
}
