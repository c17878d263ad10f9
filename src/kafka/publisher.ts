import { PcaptsError } from "../errors.ts";
import { CodecUnavailableError, loadCodec } from "../kafka-wire/compression.ts";
import type { RecordCodec } from "../kafka-wire/compression.ts";
import type { ProducePartitionResponse } from "../kafka-wire/produce.ts";
import { NO_PRODUCER_ID } from "../kafka-wire/record-batch-writer.ts";
import type { Logger } from "../logger.ts";
import type { FrameChunk } from "../packet/frame-chunk.ts";
import { BackOff } from "./back-off.ts";
import { BatchCompressor } from "./batch-compressor.ts";
import { BatchMemory } from "./batch-memory.ts";
import { ChangeSignal } from "./change-signal.ts";
import type { KafkaClientOptions, PublisherOptions } from "./client-options.ts";
import type { Delivery } from "./delivery.ts";
import { FrameBatcher } from "./frame-batcher.ts";
import type { FrameHeaderOptions } from "./frame-headers.ts";
import { LeaderSender } from "./leader-sender.ts";
import type { SenderHost } from "./leader-sender.ts";
import { Outage } from "./outage.ts";
import { createPartitioner } from "./partitioner.ts";
import { PartitionQueue } from "./partition-queue.ts";
import type { Batch, ProducerIdentity } from "./partition-queue.ts";
import { judgeAnswer } from "./produce-answer.ts";
import { requestProducerIdentity } from "./producer-identity.ts";
import type { PublishableTopic } from "./topic.ts";
import type { Transport } from "./transport.ts";

/** Smallest useful batch buffer, however many partitions share the memory. */
const MIN_BATCH_BYTES = 16 * 1024;

/** How often batches are looked through for those whose time is up. */
const EXPIRY_CHECK_MS = 200;

/** What the publisher did with the frames it was given. */
export interface PublisherCounters {
  acknowledged: number;
  failed: number;
  /** Sent, never answered. */
  unknown: number;
}

/** What a {@link Publisher} works with. */
export interface PublisherSetup {
  readonly transport: Transport;
  readonly topic: PublishableTopic;
  readonly options: PublisherOptions;
  readonly client: Pick<KafkaClientOptions, "retryBackoffMs" | "retryBackoffMaxMs">;
  readonly partitioner: "flow" | "random";
  readonly headers: FrameHeaderOptions;
  /** Timestamp of a record: its capture time, or the time of publishing. */
  readonly recordTimestamp: "publish" | "capture";
  readonly logger: Logger;
  /** Aborted when the run is to stop: nothing waits for longer than `flushTimeoutMs` from then on. */
  readonly stopSignal: AbortSignal;
  readonly flushTimeoutMs: number;
  readonly onDelivery?: (delivery: Delivery) => void;
  /** Wall clock in milliseconds, for publish times. */
  readonly wallClock?: () => number;
}

/**
 * Writes frames into record batches and sees to it that each batch is in the
 * log once, in order: see `PartitionQueue`. `publish` waits while the memory
 * is full.
 */
export class Publisher {
  readonly counters: PublisherCounters = { acknowledged: 0, failed: 0, unknown: 0 };
  readonly #setup: PublisherSetup;
  readonly #queues: readonly PartitionQueue[];
  readonly #batcher: FrameBatcher;
  readonly #senders = new Map<number, LeaderSender>();
  readonly #wallClock: () => number;
  readonly #backOff: BackOff;
  readonly #outage: Outage;
  readonly #lossReasons = new Set<string>();
  readonly #change = new ChangeSignal();
  readonly #expiryTimer: NodeJS.Timeout;
  #lingerTimer: NodeJS.Timeout | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #stopTimer: NodeJS.Timeout | undefined;
  #deadlineMs = Infinity;
  #flushing = false;
  #isClosed = false;
  #failure: unknown;
  #queuesByLeader = new Map<number, PartitionQueue[]>();
  /** Queues that wait for the next retry. */
  readonly #held = new Set<PartitionQueue>();
  /** The next retry asks who leads. */
  #isLeaderStale = false;
  #isRetrying = false;
  #isRenewing = false;

  private constructor(setup: PublisherSetup, identity: ProducerIdentity, codec?: RecordCodec) {
    const { options, topic, client, logger, stopSignal } = setup;
    this.#setup = setup;
    this.#wallClock = setup.wallClock ?? Date.now;
    this.#backOff = new BackOff(client.retryBackoffMs, client.retryBackoffMaxMs);
    this.#outage = new Outage(`write to topic "${topic.name}"`, logger);
    const partitionCount = topic.leaders.length;
    const batchLimitBytes = Math.min(options.batchBytes, topic.maxMessageBytes ?? Infinity);
    const bufferBytes = Math.min(
      batchLimitBytes,
      Math.max(MIN_BATCH_BYTES, Math.floor(options.queueBytes / (2 * partitionCount))),
    );
    const memory = new BatchMemory(bufferBytes, options.queueBytes);
    this.#queues = this.#createQueues(identity, memory, codec);
    this.#batcher = new FrameBatcher({
      queues: this.#queues,
      memory,
      partitioner: createPartitioner(setup.partitioner, partitionCount),
      headers: setup.headers,
      batchLimitBytes,
      // A broker's limit is on what a batch is once it is compressed: only the broker can tell.
      largestBatchBytes: Math.min(
        options.maxMessageBytes,
        (codec === undefined ? topic.maxMessageBytes : undefined) ?? Infinity,
      ),
      recordTimestamp: setup.recordTimestamp,
      wallClock: this.#wallClock,
      onTooLarge: (frameBytes, batchBytes) => this.#refuseTooLarge(frameBytes, batchBytes),
    });
    this.#useLeaders(topic.leaders);
    this.#expiryTimer = setInterval(() => this.#expire(), EXPIRY_CHECK_MS);
    this.#expiryTimer.unref();
    if (stopSignal.aborted) this.#beginToStop();
    else stopSignal.addEventListener("abort", this.#beginToStop, { once: true });
  }

  #createQueues(
    identity: ProducerIdentity,
    memory: BatchMemory,
    codec: RecordCodec | undefined,
  ): PartitionQueue[] {
    const { options, topic } = this.#setup;
    const isIdempotent = identity.producerId !== NO_PRODUCER_ID;
    const losses = { failed: (frames: number, reason: string) => this.#lose(frames, reason) };
    const compression = codec && {
      compressor: new BatchCompressor(codec),
      failed: (error: unknown): void => this.#fail(error),
      compressed: (): void => {
        this.#pumpAll();
        this.#change.notify();
      },
    };
    return topic.leaders.map(
      (_, partition) =>
        new PartitionQueue(
          partition,
          { ...identity },
          isIdempotent ? options.maxInFlight : 1,
          memory,
          losses,
          compression,
        ),
    );
  }

  /**
   * Gets a producer id and is ready.
   *
   * @throws ConnectionError when trying again may help; AUTHORIZATION_FAILED when
   *   `enable.idempotence` was asked for and is refused; USAGE when the codec that was asked for
   *   cannot be loaded
   */
  static async open(setup: PublisherSetup): Promise<Publisher> {
    const { transport, options, logger } = setup;
    const codec = await openCodec(options);
    const identity = await requestProducerIdentity(transport, options, logger);
    return new Publisher(setup, identity, codec);
  }

  /** True when idempotence is on. */
  get isIdempotent(): boolean {
    return this.#queues[0]!.identity.producerId !== NO_PRODUCER_ID;
  }

  /** Frames that are held: never sent, and sent without an answer so far. */
  countHeld(): { unsent: number; unanswered: number } {
    const held = { unsent: 0, unanswered: 0 };
    for (const queue of this.#queues) {
      const { unsent, unanswered } = queue.countFrames();
      held.unsent += unsent;
      held.unanswered += unanswered;
    }
    return held;
  }

  /**
   * Takes the frames of a chunk; resolves when they are in batches, which is at
   * once unless the memory is full. `chunk.bytes` is free afterwards.
   *
   * @returns frames taken: fewer than the chunk has only if a stop ran out of time
   * @throws PcaptsError when publishing cannot go on
   */
  async publish(chunk: FrameChunk): Promise<number> {
    const position = { offset: 0, frame: 0 };
    for (;;) {
      this.#throwFailure();
      this.#batcher.append(chunk, position);
      this.#pumpAll();
      if (position.offset >= chunk.bytes.length || this.#isOutOfTime()) return position.frame;
      await this.#change.next();
    }
  }

  /**
   * Sends everything and waits for the answers, as long as `message.timeout.ms` lets frames wait;
   * after a stop as long as `flushTimeoutMs`.
   *
   * @returns false when frames are still held
   */
  async flush(): Promise<boolean> {
    this.#flushing = true;
    for (;;) {
      this.#throwFailure();
      if (this.#queues.every((queue) => queue.isEmpty)) return true;
      if (this.#isOutOfTime()) return false;
      this.#pumpAll();
      await this.#change.next();
    }
  }

  /** Gives up what is held: frames that were sent without an answer count as unknown. Safe repeatedly. */
  close(): void {
    if (this.#isClosed) return;
    this.counters.unknown += this.countHeld().unanswered;
    this.#isClosed = true;
    this.#failure ??= new Error("the publisher is closed");
    this.#setup.stopSignal.removeEventListener("abort", this.#beginToStop);
    clearInterval(this.#expiryTimer);
    clearTimeout(this.#stopTimer);
    clearTimeout(this.#lingerTimer);
    clearTimeout(this.#retryTimer);
    this.#change.notify();
  }

  #isOutOfTime(): boolean {
    return performance.now() >= this.#deadlineMs;
  }

  readonly #beginToStop = (): void => {
    const { flushTimeoutMs } = this.#setup;
    this.#deadlineMs = performance.now() + flushTimeoutMs;
    this.#stopTimer = setTimeout(() => this.#change.notify(), flushTimeoutMs + 1);
  };

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#change.notify();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #pumpAll(): void {
    if (this.#failure !== undefined) return;
    for (const [nodeId, queues] of this.#queuesByLeader) {
      if (nodeId >= 0) this.#sender(nodeId).pump();
      else
        this.#retryLater(
          true,
          queues.filter((queue) => !queue.isEmpty),
        );
    }
    if (this.isIdempotent) this.#renewProducerIds();
    this.#armLinger();
  }

  /** An open batch that was too young to be sent is looked at again. */
  #armLinger(): void {
    if (this.#lingerTimer !== undefined) return;
    if (!this.#queues.some(({ open }) => open !== undefined)) return;
    this.#lingerTimer = setTimeout(() => {
      this.#lingerTimer = undefined;
      this.#pumpAll();
    }, this.#setup.options.lingerMs);
  }

  #sender(nodeId: number): LeaderSender {
    let sender = this.#senders.get(nodeId);
    if (sender === undefined) {
      sender = new LeaderSender(nodeId, this.#senderHost());
      this.#senders.set(nodeId, sender);
    }
    return sender;
  }

  #senderHost(): SenderHost {
    const { topic, options, transport } = this.#setup;
    return {
      topic: topic.name,
      options: { ...options, maxInFlight: this.isIdempotent ? options.maxInFlight : 1 },
      isClosed: () => this.#failure !== undefined,
      connectionTo: (nodeId) => transport.connectionTo(nodeId, "requests"),
      queuesOf: (nodeId) => this.#queuesByLeader.get(nodeId) ?? [],
      now: () => performance.now(),
      openBefore: (now) => (this.#flushing ? now : now - options.lingerMs),
      answered: (queue, batch, answer) => this.#answered(queue, batch, answer),
      connectionFailed: (nodeId, error) =>
        this.#connectionFailed(error, this.#queuesByLeader.get(nodeId) ?? []),
      fatal: (error) => this.#fail(error),
    };
  }

  #answered(queue: PartitionQueue, batch: Batch, answer: ProducePartitionResponse): void {
    if (this.#isClosed) return;
    const { topic, logger } = this.#setup;
    const { maxTimestampMs } = batch.writer;
    const verdict = judgeAnswer(answer, topic.name, maxTimestampMs, this.#wallClock());
    switch (verdict.kind) {
      case "acknowledged":
        this.#acknowledged(queue, batch, answer.baseOffset);
        break;
      case "out-of-order":
        queue.outOfOrder(batch);
        break;
      case "identity-lost":
        queue.identityLost(batch);
        break;
      case "refused":
        queue.refused(batch, verdict.refusal);
        break;
      case "again":
        logger.debug(`partition ${queue.partition}: ${verdict.reason}, sending again`);
        this.#outage.failed(verdict.reason);
        queue.returned(batch);
        this.#retryLater(verdict.staleLeader, [queue]);
        break;
      case "final":
        queue.returned(batch);
        this.#fail(verdict.error);
    }
    this.#change.notify();
  }

  #acknowledged(queue: PartitionQueue, batch: Batch, baseOffset: bigint): void {
    const { onDelivery } = this.#setup;
    const { recordCount } = batch.writer;
    this.#backOff.reset();
    this.#outage.ended();
    this.counters.acknowledged += recordCount;
    const delivery = onDelivery && {
      partition: queue.partition,
      baseOffset,
      recordCount,
      batch: queue.uncompressed(batch),
    };
    queue.acknowledged(batch);
    // Last, because whoever prints may fail; the memory is not used again before this returns.
    if (delivery !== undefined) onDelivery?.(delivery);
  }

  #connectionFailed(error: Error, queues: readonly PartitionQueue[]): void {
    if (error instanceof PcaptsError) {
      this.#fail(error);
      return;
    }
    this.#setup.logger.debug(`publishing: ${error.message}, trying again`);
    this.#outage.failed(error.message);
    this.#retryLater(true, queues);
    this.#change.notify();
  }

  /** Holds the queues back for a pause; then asks who leads, if that may have changed, and sends. */
  #retryLater(staleLeader: boolean, queues: readonly PartitionQueue[]): void {
    if (this.#failure !== undefined || (queues.length === 0 && this.#held.size === 0)) return;
    for (const queue of queues) {
      queue.isHeldBack = true;
      this.#held.add(queue);
    }
    this.#isLeaderStale ||= staleLeader;
    if (this.#retryTimer !== undefined || this.#isRetrying) return;
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      void this.#retry();
    }, this.#backOff.nextDelayMs());
  }

  async #retry(): Promise<void> {
    this.#isRetrying = true;
    try {
      if (this.#isLeaderStale) {
        const found = await this.#setup.transport.lookUpTopic(this.#setup.topic.name);
        if ("leaders" in found) {
          this.#useLeaders(found.leaders);
          this.#isLeaderStale = false;
        }
      }
      this.#isRetrying = false;
      if (this.#isLeaderStale) {
        this.#retryLater(true, []);
        return;
      }
      for (const queue of this.#held) queue.isHeldBack = false;
      this.#held.clear();
      this.#pumpAll();
    } catch (error) {
      this.#isRetrying = false;
      this.#connectionFailed(error as Error, []);
    }
  }

  /** The partition count is fixed when the run starts: new partitions get no frames. */
  #useLeaders(leaders: readonly number[]): void {
    this.#queuesByLeader = new Map();
    for (const queue of this.#queues) {
      const leader = leaders[queue.partition] ?? -1;
      const led = this.#queuesByLeader.get(leader) ?? [];
      led.push(queue);
      this.#queuesByLeader.set(leader, led);
    }
  }

  /** Partitions whose epochs are used up, by tens of thousands of refused batches, get a new id. */
  #renewProducerIds(): void {
    if (this.#isRenewing) return;
    const used = this.#queues.filter((queue) => queue.needsProducerId && queue.inFlightCount === 0);
    if (used.length === 0) return;
    const { transport, options, logger } = this.#setup;
    this.#isRenewing = true;
    requestProducerIdentity(transport, options, logger)
      .then((identity) => {
        for (const queue of used) queue.useProducerId(identity);
      })
      .catch((error: Error) => this.#connectionFailed(error, used))
      .finally(() => {
        this.#isRenewing = false;
        this.#pumpAll();
      });
  }

  #expire(): void {
    const { messageTimeoutMs } = this.#setup.options;
    if (messageTimeoutMs === 0) return;
    const bornBefore = performance.now() - messageTimeoutMs;
    for (const queue of this.#queues) {
      const { unsent, unanswered } = queue.expire(bornBefore);
      if (unsent + unanswered === 0) continue;
      const reason = `not acknowledged within message.timeout.ms (${messageTimeoutMs})`;
      this.#lose(unsent, reason);
      this.counters.unknown += unanswered;
      if (unanswered > 0) this.#reportLoss(reason);
      this.#change.notify();
    }
  }

  #refuseTooLarge(frameBytes: number, batchBytes: number): void {
    const { options, topic } = this.#setup;
    this.#lose(
      1,
      batchBytes > options.maxMessageBytes
        ? `a frame of ${frameBytes} bytes is above this side's message.max.bytes (${options.maxMessageBytes}); -X message.max.bytes= raises it`
        : `a frame of ${frameBytes} bytes is above the broker's max.message.bytes (${topic.maxMessageBytes}) of topic "${topic.name}"`,
    );
  }

  #lose(frames: number, reason: string): void {
    if (frames === 0) return;
    this.counters.failed += frames;
    this.#reportLoss(reason);
    this.#change.notify();
  }

  #reportLoss(reason: string): void {
    // One line for each kind of loss: numbers in the broker's words differ from frame to frame.
    const kind = reason.replace(/\d+/g, "");
    if (this.#lossReasons.has(kind)) return;
    this.#lossReasons.add(kind);
    this.#setup.logger.error(`message delivery failed: error=${reason}`);
  }
}

async function openCodec(options: PublisherOptions): Promise<RecordCodec | undefined> {
  const { compression, compressionLevel } = options;
  if (compression === "none") return undefined;
  try {
    return await loadCodec(compression, compressionLevel);
  } catch (error) {
    if (!(error instanceof CodecUnavailableError)) throw error;
    throw new PcaptsError(
      "USAGE",
      `Cannot publish with compression.codec=${compression}: ${error.message}`,
      { cause: error },
    );
  }
}
