import { PcaptsError } from "../errors.ts";
import { encodeProduce } from "../kafka-wire/produce.ts";
import type { ProducePartitionResponse } from "../kafka-wire/produce.ts";
import type { Batch } from "./batch.ts";
import type { BrokerConnection } from "./broker-connection.ts";
import type { PublisherOptions } from "./client-options.ts";
import type { PartitionQueue } from "./partition-queue.ts";

/** Bytes of batches in one request; more partitions than fit take turns. */
const REQUEST_BYTES = 4 * 1024 * 1024;

/** What a {@link LeaderSender} needs of the publisher. */
export interface SenderHost {
  readonly topic: string;
  readonly options: Pick<PublisherOptions, "acks" | "ackTimeoutMs" | "maxInFlight">;
  /** Nothing more is to be sent. */
  isClosed(): boolean;
  connectionTo(nodeId: number): Promise<BrokerConnection>;
  /** Partitions that this node leads at the moment. */
  queuesOf(nodeId: number): readonly PartitionQueue[];
  now(): number;
  /** A request was answered after so long. */
  produceAnswered(tookMs: number): void;
  /** A request with so many batches was lost. */
  produceLost(batches: number): void;
  /** Open batches born before this time are sent although they are not full. */
  openBefore(now: number): number;
  answered(queue: PartitionQueue, batch: Batch, answer: ProducePartitionResponse): void;
  /** The request was lost; each batch was already returned to its queue. */
  connectionFailed(nodeId: number, error: Error): void;
  /** A program error or one that ends the run. */
  fatal(error: unknown): void;
}

/**
 * Sends the batches of the partitions that one broker leads: one batch of
 * each partition in a request, several requests without waiting for answers.
 */
export class LeaderSender {
  readonly #nodeId: number;
  readonly #host: SenderHost;
  #connection: BrokerConnection | undefined;
  #connecting = false;
  #requestsInFlight = 0;
  /** The partition to begin the next request with, so that none starves. */
  #turn = 0;

  constructor(nodeId: number, host: SenderHost) {
    this.#nodeId = nodeId;
    this.#host = host;
  }

  /** Sends whatever is ready. Called whenever something may have become so. */
  pump(): void {
    if (this.#connecting || this.#host.isClosed()) return;
    if (this.#connection?.isOpen() !== true) {
      if (this.#anythingReady()) void this.#connect();
      return;
    }
    while (this.#requestsInFlight < this.#host.options.maxInFlight) {
      const taken = this.#takeBatches();
      if (taken.length === 0) return;
      void this.#send(this.#connection, taken);
    }
  }

  /** Loses the connection: what is in flight comes back, and is sent to whoever leads by then. */
  giveUp(reason: string): void {
    this.#connection?.close(reason);
  }

  #anythingReady(): boolean {
    const openBefore = this.#host.openBefore(this.#host.now());
    return this.#host.queuesOf(this.#nodeId).some((queue) => queue.isReady(openBefore));
  }

  async #connect(): Promise<void> {
    this.#connecting = true;
    try {
      this.#connection = await this.#host.connectionTo(this.#nodeId);
    } catch (error) {
      this.#host.connectionFailed(this.#nodeId, error as Error);
      return;
    } finally {
      this.#connecting = false;
    }
    this.pump();
  }

  #takeBatches(): { queue: PartitionQueue; batch: Batch }[] {
    const openBefore = this.#host.openBefore(this.#host.now());
    const queues = this.#host.queuesOf(this.#nodeId);
    const taken: { queue: PartitionQueue; batch: Batch }[] = [];
    let bytes = 0;
    for (let i = 0; i < queues.length; i++) {
      const queue = queues[(this.#turn + i) % queues.length]!;
      if (!queue.isReady(openBefore)) continue;
      bytes += queue.nextBatchBytes();
      if (taken.length > 0 && bytes > REQUEST_BYTES) {
        this.#turn += i;
        break;
      }
      const batch = queue.take(this.#host.now());
      if (batch !== undefined) taken.push({ queue, batch });
    }
    return taken;
  }

  async #send(
    connection: BrokerConnection,
    taken: readonly { queue: PartitionQueue; batch: Batch }[],
  ): Promise<void> {
    const { topic, options } = this.#host;
    this.#requestsInFlight++;
    try {
      const request = encodeProduce(
        connection.versionOf("Produce"),
        topic,
        options.acks,
        options.ackTimeoutMs,
        taken.map(({ queue, batch }) => ({ partition: queue.partition, batch: batch.sealed! })),
      );
      let answers: readonly ProducePartitionResponse[];
      const sentMs = this.#host.now();
      try {
        ({ partitions: answers } = await connection.send(request));
        this.#host.produceAnswered(this.#host.now() - sentMs);
      } catch (error) {
        for (const { queue, batch } of taken) queue.returned(batch);
        this.#host.produceLost(taken.length);
        this.#host.connectionFailed(this.#nodeId, error as Error);
        return;
      } finally {
        this.#requestsInFlight--;
      }
      for (const { queue, batch } of taken) {
        const answer = answers.find(({ partition }) => partition === queue.partition);
        if (answer === undefined) {
          throw new PcaptsError(
            "BROKER_PROTOCOL",
            `Cannot use the broker at "${connection.address}": it did not answer for partition ${queue.partition}`,
          );
        }
        this.#host.answered(queue, batch, answer);
      }
    } catch (error) {
      this.#host.fatal(error);
      return;
    }
    this.pump();
  }
}
