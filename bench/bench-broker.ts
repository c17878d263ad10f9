import { readdirSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Admin, Kafka, logLevel } from "kafkajs";
import { type TestBroker, createTopic, randomTopicName, startBroker } from "../test/brokers.ts";
import { fileSystemOf } from "./machine.ts";

const HEAP_MEGABYTES = 1024;
/** For making a topic ready, and for its files to go. */
const TOPIC_TIMEOUT_MS = 30_000;

/** The Kafka of a benchmark: one node as Kafka's own scripts would start it, and its topics. */
export class BenchBroker {
  readonly #broker: TestBroker;
  readonly #admin: Admin;

  private constructor(broker: TestBroker, admin: Admin) {
    this.#broker = broker;
    this.#admin = admin;
  }

  /** Resolves when it serves. It dies with this process. */
  static async start(): Promise<BenchBroker> {
    const broker = await startBroker({
      jvm: "server",
      heapMegabytes: HEAP_MEGABYTES,
      properties: {
        "log.retention.ms": -1,
        "log.segment.delete.delay.ms": 100,
        // A run may take long, and the admin has nothing to ask meanwhile.
        "connections.max.idle.ms": 86_400_000,
      },
    });
    const admin = new Kafka({ brokers: [broker.bootstrap], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    return new BenchBroker(broker, admin);
  }

  /** `127.0.0.1:PORT`. */
  get bootstrap(): string {
    return this.#broker.bootstrap;
  }

  /**
   * Process id of Kafka.
   * @throws Error with the end of its log when it has ended
   */
  get pid(): number {
    const { pid } = this.#broker;
    if (pid !== undefined) return pid;
    throw new Error(`Kafka has ended; the end of its log:\n${this.#broker.log().slice(-2_000)}`);
  }

  /** Settings and place, as the report says them. */
  describe(): string {
    const place = fileSystemOf(this.#broker.directory);
    return `Kafka 4.3.0 on the same machine, one node, heap ${HEAP_MEGABYTES} MB, G1, data on ${place}`;
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
    const data = path.join(this.#broker.directory, "data");
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
