import { setTimeout as sleep } from "node:timers/promises";
import { KAFKA_ERROR_CODE, kafkaErrorInfo } from "../kafka-wire/error-codes.ts";
import {
  encodePlainBatch,
  type PlainRecord,
  sizeOfPlainBatch,
} from "../kafka-wire/plain-records.ts";
import { encodeProduce } from "../kafka-wire/produce.ts";
import type { Logger } from "../logger.ts";
import { BackOff } from "../back-off.ts";
import { ChangeSignal } from "./change-signal.ts";
import type { KafkaClientOptions } from "./client-options.ts";
import { Outage } from "./outage.ts";
import type { Transport } from "./transport.ts";

/** Batches stay well below a topic's usual `max.message.bytes` of a million. */
const BATCH_BYTES = 500_000;

const ACK_TIMEOUT_MS = 30_000;

/** What a {@link RecordSender} works with. */
export interface RecordSenderSetup {
  readonly transport: Transport;
  readonly topic: string;
  /** Node that leads each partition when it begins. */
  readonly leaders: readonly number[];
  readonly client: Pick<KafkaClientOptions, "retryBackoffMs" | "retryBackoffMaxMs">;
  readonly logger: Logger;
}

/**
 * Writes a few records that are no frames to the first partition of a topic,
 * in order, one batch at a time, again and again until a broker has them. After
 * an outage one may be there twice: whoever reads has to know it again.
 */
export class RecordSender {
  readonly #setup: RecordSenderSetup;
  readonly #waiting: PlainRecord[] = [];
  readonly #backOff: BackOff;
  readonly #outage: Outage;
  readonly #change = new ChangeSignal();
  readonly #closing = new AbortController();
  #leader: number;
  #isSending = false;

  constructor(setup: RecordSenderSetup) {
    const { retryBackoffMs, retryBackoffMaxMs } = setup.client;
    this.#setup = setup;
    this.#leader = setup.leaders[0] ?? -1;
    this.#backOff = new BackOff(retryBackoffMs, retryBackoffMaxMs);
    this.#outage = new Outage(`write to topic "${setup.topic}"`, setup.logger);
  }

  /** Takes a record; it is sent in the background. */
  send(record: PlainRecord): void {
    this.#waiting.push(record);
    if (!this.#isSending) void this.#sendAll();
  }

  /**
   * Waits until every record is in the log.
   *
   * @returns how many are not when the time is over; they are given up
   */
  async drain(timeoutMs: number): Promise<number> {
    const timer = setTimeout(() => this.close(), timeoutMs);
    while (this.#waiting.length > 0 && !this.#closing.signal.aborted) await this.#change.next();
    clearTimeout(timer);
    this.close();
    return this.#waiting.length;
  }

  /** Sends nothing more. */
  close(): void {
    this.#closing.abort();
    this.#change.notify();
  }

  async #sendAll(): Promise<void> {
    const { signal } = this.#closing;
    this.#isSending = true;
    while (this.#waiting.length > 0 && !signal.aborted) {
      const batch = this.#nextBatch();
      try {
        await this.#sendBatch(batch);
        this.#waiting.splice(0, batch.length);
        this.#backOff.reset();
        this.#outage.ended();
        this.#change.notify();
      } catch (error) {
        this.#outage.failed((error as Error).message);
        await sleep(this.#backOff.nextDelayMs(), undefined, { signal }).catch(() => {});
        if (!signal.aborted) await this.#findLeader();
      }
    }
    this.#isSending = false;
  }

  #nextBatch(): PlainRecord[] {
    const batch: PlainRecord[] = [];
    for (const record of this.#waiting) {
      if (batch.length > 0 && sizeOfPlainBatch([...batch, record]) > BATCH_BYTES) break;
      batch.push(record);
    }
    return batch;
  }

  async #sendBatch(records: readonly PlainRecord[]): Promise<void> {
    const { transport, topic } = this.#setup;
    const connection = await transport.connectionTo(this.#leader, "requests");
    const version = connection.versionOf("Produce");
    const batch = encodePlainBatch(records);
    const { partitions } = await connection.send(
      encodeProduce(version, topic, -1, ACK_TIMEOUT_MS, [{ partition: 0, batch }]),
    );
    const errorCode = partitions[0]?.errorCode ?? KAFKA_ERROR_CODE.NONE;
    if (errorCode !== KAFKA_ERROR_CODE.NONE) throw new Error(kafkaErrorInfo(errorCode).name);
  }

  async #findLeader(): Promise<void> {
    try {
      const found = await this.#setup.transport.lookUpTopic(this.#setup.topic);
      if ("leaders" in found) this.#leader = found.leaders[0] ?? -1;
    } catch {
      // The next try says why.
    }
  }
}
