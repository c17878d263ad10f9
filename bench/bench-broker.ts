import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Admin, Kafka, logLevel } from "kafkajs";
import { createTopic, randomTopicName, startBroker } from "../test/brokers.ts";
import { BrokerProcess } from "../test/embedded-broker.ts";
import { fileSystemOf } from "./machine.ts";

const HEAP_MEGABYTES = 1024;
/** For making a topic ready, and for its files to go. */
const TOPIC_TIMEOUT_MS = 30_000;

/** Which broker a benchmark has. */
export type BrokerName = "kafka" | "embedded";

/** What a {@link BenchBroker} needs of a broker's process. */
interface BrokerServer {
  readonly name: BrokerName;
  readonly bootstrap: string;
  /** Undefined while it is down. */
  readonly pid: number | undefined;
  readonly directory: string;
  /** Has a folder for each topic, or each partition. */
  readonly topicsFolder: string;
  /** Version and settings. */
  readonly settings: string;
  log(): string;
  /** Starts it again on its data. */
  start(): Promise<void>;
  kill(): Promise<unknown>;
  remove(): Promise<void>;
}

/** The broker of a benchmark, a process of its own on this machine, and its topics. */
export class BenchBroker {
  readonly #broker: BrokerServer;
  readonly #admin: Admin;

  private constructor(broker: BrokerServer, admin: Admin) {
    this.#broker = broker;
    this.#admin = admin;
  }

  /** Starts one node of Kafka as its own scripts would; resolves when it serves. It dies with this process. */
  static async start(): Promise<BenchBroker> {
    const broker = await startBroker({
      jvm: "server",
      heapMegabytes: HEAP_MEGABYTES,
      properties: {
        "log.retention.ms": -1,
        // Files of deleted topics go from then on.
        "log.initial.task.delay.ms": 1000,
        "log.segment.delete.delay.ms": 100,
        // A run may take long, and the admin has nothing to ask meanwhile.
        "connections.max.idle.ms": 86_400_000,
      },
    });
    return BenchBroker.#connect({
      name: "kafka",
      bootstrap: broker.bootstrap,
      get pid() {
        return broker.pid;
      },
      directory: broker.directory,
      topicsFolder: path.join(broker.directory, "data"),
      settings: `Kafka 4.3.0 on the same machine, one node, heap ${HEAP_MEGABYTES} MB, G1`,
      log: () => broker.log(),
      start: () => broker.start(),
      kill: () => broker.kill(),
      remove: () => broker.remove(),
    });
  }

  /** Starts `pcapts broker`; resolves when it serves. It dies with this process. */
  static async startEmbedded(): Promise<BenchBroker> {
    const broker = await BrokerProcess.start();
    const endWithUs = (): void => {
      if (broker.pid !== undefined) killIfThere(broker.pid);
      rmSync(broker.directory, { recursive: true, force: true });
    };
    process.once("exit", endWithUs);
    return BenchBroker.#connect({
      name: "embedded",
      bootstrap: broker.bootstrap,
      get pid() {
        return broker.pid;
      },
      directory: broker.directory,
      topicsFolder: path.join(broker.directory, "topics"),
      settings: "`pcapts broker` on the same machine, its defaults",
      log: () => broker.log,
      start: () => broker.start(),
      kill: () => broker.kill(),
      remove: async () => {
        process.off("exit", endWithUs);
        await broker.remove();
      },
    });
  }

  static async #connect(broker: BrokerServer): Promise<BenchBroker> {
    const admin = new Kafka({ brokers: [broker.bootstrap], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    return new BenchBroker(broker, admin);
  }

  /** Which broker it is. */
  get name(): BrokerName {
    return this.#broker.name;
  }

  /** `127.0.0.1:PORT`. */
  get bootstrap(): string {
    return this.#broker.bootstrap;
  }

  /**
   * Process id of the broker.
   * @throws Error with the end of its log when it has ended
   */
  get pid(): number {
    const { pid } = this.#broker;
    if (pid !== undefined) return pid;
    throw new Error(
      `The broker has ended; the end of its log:\n${this.#broker.log().slice(-2_000)}`,
    );
  }

  /** Settings and place, as the report says them. */
  describe(): string {
    return `${this.#broker.settings}, data on ${fileSystemOf(this.#broker.directory)}`;
  }

  /** The most memory its process has had at once, in megabytes of the kernel's VmHWM. */
  peakMegabytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "latin1");
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? NaN) / 1024;
  }

  /** Bytes of all records on its disk. */
  dataBytes(): number {
    const folder = this.#broker.topicsFolder;
    return readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".log"))
      .reduce((sum, name) => sum + statSync(path.join(folder, name)).size, 0);
  }

  /** Starts it again on its data; resolves when it has said that it serves. */
  restart(): Promise<void> {
    return this.#broker.start();
  }

  /** Ends it with SIGKILL; the data stays. */
  async kill(): Promise<void> {
    await this.#broker.kill();
  }

  /** A topic whose partitions all answer, so that no program waits for a leader. */
  async newTopic(prefix: string, partitions: number): Promise<string> {
    const topic = randomTopicName(prefix);
    const deadline = Date.now() + TOPIC_TIMEOUT_MS;
    let made = false;
    for (;;) {
      try {
        // Made once; Kafka may fail while not every part of it knows the topic.
        if (!made) await createTopic(this.bootstrap, topic, { partitions });
        made = true;
        await this.recordsOf(topic);
        return topic;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await sleep(100);
      }
    }
  }

  /** Records of a topic by its offsets. */
  async recordsOf(topic: string): Promise<number> {
    const offsets = await this.#admin.fetchTopicOffsets(topic);
    return offsets.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0);
  }

  /** Resolves when its files are gone, so that the disk holds no more than two topics. */
  async deleteTopic(topic: string): Promise<void> {
    await this.#admin.deleteTopics({ topics: [topic] });
    const data = this.#broker.topicsFolder;
    const deadline = Date.now() + TOPIC_TIMEOUT_MS;
    while (readdirSync(data).some((name) => name.startsWith(topic)) && Date.now() < deadline) {
      await sleep(100);
    }
  }

  /** Ends it and deletes its data. */
  async remove(): Promise<void> {
    await this.#admin.disconnect();
    await this.#broker.remove();
  }
}

/** It may have ended already. */
function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has.
  }
}
