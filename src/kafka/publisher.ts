import { PcaptsError } from "../errors.ts";
import { CodecUnavailableError, loadCodec } from "../kafka-wire/compression.ts";
import type { RecordCodec } from "../kafka-wire/compression.ts";
import { encodeInitProducerId } from "../kafka-wire/init-producer-id.ts";
import { KAFKA_ERROR_CODE, kafkaErrorInfo } from "../kafka-wire/error-codes.ts";
import type { ProducePartitionResponse } from "../kafka-wire/produce.ts";
import { NO_PRODUCER_ID, sizeOfSingleRecordBatch } from "../kafka-wire/record-batch-writer.ts";
import type { RecordBatchWriter } from "../kafka-wire/record-batch-writer.ts";
import type { Logger } from "../logger.ts";
import { FRAME_HEADER_BYTES, readHeaderWord } from "../packet/frame-chunk.ts";
import type { FrameChunk } from "../packet/frame-chunk.ts";
import { BackOff } from "./back-off.ts";
import { BatchCompressor } from "./batch-compressor.ts";
import { BatchMemory } from "./batch-memory.ts";
import type { BrokerConnection } from "./broker-connection.ts";
import type { KafkaClientOptions, PublisherOptions } from "./client-options.ts";
import type { Delivery } from "./delivery.ts";
import { FrameHeaderEncoder } from "./frame-headers.ts";
import type { FrameHeaderOptions } from "./frame-headers.ts";
import { LeaderSender } from "./leader-sender.ts";
import type { SenderHost } from "./leader-sender.ts";
import { createPartitioner } from "./partitioner.ts";
import type { Partitioner } from "./partitioner.ts";
import { PartitionQueue } from "./partition-queue.ts";
import type { Batch, ProducerIdentity } from "./partition-queue.ts";
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
  readonly #memory: BatchMemory;
  readonly #queues: PartitionQueue[];
  readonly #senders = new Map<number, LeaderSender>();
  readonly #partitioner: Partitioner;
  readonly #headers: FrameHeaderEncoder;
  readonly #batchLimitBytes: number;
  /** A frame that needs a larger batch for itself is refused here. */
  readonly #largestBatchBytes: number;
  readonly #wallClock: () => number;
  readonly #backOff: BackOff;
  readonly #lossReasons = new Set<string>();
  readonly #expiryTimer: NodeJS.Timeout;
  #lingerTimer: NodeJS.Timeout | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #stopTimer: NodeJS.Timeout | undefined;
  #deadlineMs = Infinity;
  #flushing = false;
  #failure: unknown;
  #wakers: (() => void)[] = [];
  #queuesByLeader = new Map<number, PartitionQueue[]>();
  #refreshing = false;
  #renewing = false;

  private constructor(setup: PublisherSetup, identity: ProducerIdentity, codec?: RecordCodec) {
    const { options, topic } = setup;
    this.#setup = setup;
    const partitionCount = topic.leaders.length;
    this.#batchLimitBytes = Math.min(options.batchBytes, topic.maxMessageBytes ?? Infinity);
    // A broker's limit is on what a batch is once it is compressed: only the broker can tell.
    this.#largestBatchBytes = Math.min(
      options.maxMessageBytes,
      (codec === undefined ? topic.maxMessageBytes : undefined) ?? Infinity,
    );
    const bufferBytes = Math.min(
      this.#batchLimitBytes,
      Math.max(MIN_BATCH_BYTES, Math.floor(options.queueBytes / (2 * partitionCount))),
    );
    this.#memory = new BatchMemory(bufferBytes, options.queueBytes);
    this.#wallClock = setup.wallClock ?? Date.now;
    this.#partitioner = createPartitioner(setup.partitioner, partitionCount);
    this.#headers = new FrameHeaderEncoder(setup.headers);
    this.#backOff = new BackOff(setup.client.retryBackoffMs, setup.client.retryBackoffMaxMs);
    const idempotent = identity.producerId !== NO_PRODUCER_ID;
    const maxInFlight = idempotent ? options.maxInFlight : 1;
    const losses = { failed: (frames: number, reason: string) => this.#lose(frames, reason) };
    const compression = codec && {
      compressor: new BatchCompressor(codec),
      failed: (error: unknown): void => this.#fail(error),
      compressed: (): void => {
        this.#pumpAll();
        this.#wake();
      },
    };
    this.#queues = topic.leaders.map(
      (_, partition) =>
        new PartitionQueue(
          partition,
          { ...identity },
          maxInFlight,
          this.#memory,
          losses,
          compression,
        ),
    );
    this.#useLeaders(topic.leaders);
    this.#expiryTimer = setInterval(() => this.#expire(), EXPIRY_CHECK_MS);
    this.#expiryTimer.unref();
    if (setup.stopSignal.aborted) this.#beginToStop();
    else setup.stopSignal.addEventListener("abort", () => this.#beginToStop(), { once: true });
  }

  /**
   * Gets a producer id and is ready.
   *
   * @throws AUTHORIZATION_FAILED when `enable.idempotence` was asked for and is refused
   * @throws USAGE when the codec that was asked for cannot be loaded
   */
  static async open(setup: PublisherSetup): Promise<Publisher> {
    const codec = await openCodec(setup.options);
    return new Publisher(setup, await requestIdentity(setup), codec);
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
    this.#headers.useInterfaces(chunk.interfaces);
    const position = { offset: 0, frame: 0 };
    for (;;) {
      this.#throwFailure();
      this.#append(chunk, position);
      this.#pumpAll();
      if (position.offset >= chunk.bytes.length || this.#isOutOfTime()) return position.frame;
      await this.#nextChange();
    }
  }

  /** Appends frames until the chunk or the memory is at its end. */
  #append(chunk: FrameChunk, position: { offset: number; frame: number }): void {
    const { bytes, bigEndian, nanosecond, interfaces, interfaceOf } = chunk;
    const { recordTimestamp } = this.#setup;
    const headers = this.#headers;
    const publishMs = this.#wallClock();
    const byCaptureTime = recordTimestamp === "capture";
    const queues = this.#queues;
    const partitioner = this.#partitioner;
    let interfaceIndex = 0;
    let linkType = interfaces[0]?.linkType ?? 1;
    let { offset, frame } = position;
    const end = bytes.length;
    while (offset < end) {
      const seconds = readHeaderWord(bytes, offset, bigEndian);
      const fraction = readHeaderWord(bytes, offset + 4, bigEndian);
      const capturedLength = readHeaderWord(bytes, offset + 8, bigEndian);
      const wireLength = readHeaderWord(bytes, offset + 12, bigEndian);
      const start = offset + FRAME_HEADER_BYTES;
      const frameEnd = start + capturedLength;
      const micros = nanosecond ? Math.floor(fraction / 1000) : fraction;
      const nanos = nanosecond ? fraction - micros * 1000 : 0;
      if (interfaceOf !== undefined) {
        interfaceIndex = interfaceOf[frame]!;
        linkType = interfaces[interfaceIndex]!.linkType;
      }
      const timestampMs = byCaptureTime ? seconds * 1000 + Math.floor(micros / 1000) : publishMs;
      const headerBytes = headers.encode(interfaceIndex, capturedLength, wireLength, nanos);
      const queue = queues[partitioner(bytes, start, frameEnd, linkType, interfaceIndex)]!;
      const needed = sizeOfSingleRecordBatch(capturedLength, headerBytes);
      if (needed > this.#largestBatchBytes) {
        this.#refuseTooLarge(capturedLength, needed);
        offset = frameEnd;
        frame++;
        continue;
      }
      let writer: RecordBatchWriter | undefined = queue.open?.writer;
      if (
        writer === undefined ||
        !writer.append(
          bytes,
          start,
          capturedLength,
          seconds,
          micros,
          timestampMs,
          headers.bytes,
          headerBytes,
        )
      ) {
        writer = this.#openBatch(queue, needed);
        if (writer === undefined) break;
        writer.append(
          bytes,
          start,
          capturedLength,
          seconds,
          micros,
          timestampMs,
          headers.bytes,
          headerBytes,
        );
      }
      offset = frameEnd;
      frame++;
    }
    position.offset = offset;
    position.frame = frame;
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

  #openBatch(queue: PartitionQueue, neededBytes: number): RecordBatchWriter | undefined {
    // Compressed, the full batch may leave room for the next.
    queue.closeOpen();
    const buffer = this.#memory.lend(neededBytes);
    if (buffer === undefined) return undefined;
    const writer = queue.openBatch(
      buffer,
      Math.max(this.#batchLimitBytes, neededBytes),
      performance.now(),
    );
    this.#lingerTimer ??= setTimeout(() => {
      this.#lingerTimer = undefined;
      this.#pumpAll();
    }, this.#setup.options.lingerMs);
    return writer;
  }

  #pumpAll(): void {
    if (this.#failure !== undefined) return;
    for (const nodeId of this.#queuesByLeader.keys()) {
      if (nodeId >= 0) this.#sender(nodeId).pump();
    }
    if (this.#queuesByLeader.has(-1)) this.#scheduleRetry(true);
    if (this.isIdempotent) this.#renewProducerIds();
    this.#armLinger();
  }

  /** Partitions whose epochs are used up, by tens of thousands of refused batches, get a new id. */
  #renewProducerIds(): void {
    if (this.#renewing) return;
    const used = this.#queues.filter((queue) => queue.needsProducerId && queue.inFlightCount === 0);
    if (used.length === 0) return;
    this.#renewing = true;
    requestIdentity(this.#setup)
      .then((identity) => {
        for (const queue of used) queue.useProducerId(identity);
      })
      .catch((error: Error) => this.#connectionFailed(error))
      .finally(() => {
        this.#renewing = false;
        this.#pumpAll();
      });
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
    const idempotent = this.isIdempotent;
    return {
      topic: topic.name,
      options: { ...options, maxInFlight: idempotent ? options.maxInFlight : 1 },
      connectionTo: (nodeId): Promise<BrokerConnection> =>
        transport.connectionTo(nodeId, "requests"),
      queuesOf: (nodeId) => this.#queuesByLeader.get(nodeId) ?? [],
      now: () => performance.now(),
      openBefore: (now) => (this.#flushing ? now : now - options.lingerMs),
      answered: (queue, batch, answer) => this.#answered(queue, batch, answer),
      connectionFailed: (_nodeId, error) => this.#connectionFailed(error),
      fatal: (error) => this.#fail(error),
    };
  }

  #answered(queue: PartitionQueue, batch: Batch, answer: ProducePartitionResponse): void {
    const { errorCode } = answer;
    switch (errorCode) {
      case KAFKA_ERROR_CODE.NONE:
      case KAFKA_ERROR_CODE.DUPLICATE_SEQUENCE_NUMBER:
        this.#acknowledged(queue, batch, answer);
        break;
      case KAFKA_ERROR_CODE.OUT_OF_ORDER_SEQUENCE_NUMBER:
        queue.outOfOrder(batch);
        break;
      case KAFKA_ERROR_CODE.UNKNOWN_PRODUCER_ID:
      case KAFKA_ERROR_CODE.INVALID_PRODUCER_EPOCH:
        queue.identityLost(batch);
        break;
      case KAFKA_ERROR_CODE.MESSAGE_TOO_LARGE:
      case KAFKA_ERROR_CODE.RECORD_LIST_TOO_LARGE:
        queue.refused(batch, {
          records: undefined,
          reason: this.#refusalText(answer, "the broker's max.message.bytes"),
        });
        break;
      case KAFKA_ERROR_CODE.INVALID_RECORD:
      case KAFKA_ERROR_CODE.INVALID_TIMESTAMP: {
        const named = answer.recordErrors.map(({ index }) => index);
        queue.refused(batch, {
          records: named.length > 0 ? new Set(named) : undefined,
          reason: this.#refusalText(answer, this.#clocks(batch, errorCode)),
        });
        break;
      }
      default:
        this.#otherError(queue, batch, answer);
    }
    this.#wake();
  }

  #acknowledged(queue: PartitionQueue, batch: Batch, answer: ProducePartitionResponse): void {
    const { recordCount } = batch.writer;
    this.#backOff.reset();
    this.counters.acknowledged += recordCount;
    this.#setup.onDelivery?.({
      partition: queue.partition,
      baseOffset: answer.baseOffset,
      recordCount,
      batch: queue.uncompressed(batch),
    });
    queue.acknowledged(batch);
  }

  #otherError(queue: PartitionQueue, batch: Batch, answer: ProducePartitionResponse): void {
    const { name, retriable, staleLeader } = kafkaErrorInfo(answer.errorCode);
    queue.returned(batch);
    if (retriable) {
      this.#setup.logger.debug(
        `partition ${queue.partition}: ${name}${answer.errorMessage === null ? "" : ` (${answer.errorMessage})`}, sending again`,
      );
      this.#scheduleRetry(staleLeader);
      return;
    }
    const forbidden =
      answer.errorCode === KAFKA_ERROR_CODE.TOPIC_AUTHORIZATION_FAILED ||
      answer.errorCode === KAFKA_ERROR_CODE.CLUSTER_AUTHORIZATION_FAILED;
    this.#fail(
      new PcaptsError(
        forbidden ? "AUTHORIZATION_FAILED" : "FRAME_REFUSED",
        `Cannot write to topic "${this.#setup.topic.name}": ${this.#refusalText(answer, name)}`,
      ),
    );
  }

  #refusalText(answer: ProducePartitionResponse, otherwise: string): string {
    const { name } = kafkaErrorInfo(answer.errorCode);
    const words = answer.recordErrors[0]?.message ?? answer.errorMessage;
    return words === null || words === ""
      ? `${name}: ${otherwise}`
      : `${name}: ${words}${otherwise === name ? "" : ` (${otherwise})`}`;
  }

  #clocks(batch: Batch, errorCode: number): string {
    if (errorCode !== KAFKA_ERROR_CODE.INVALID_TIMESTAMP) return "a record";
    const { maxTimestampMs } = batch.writer;
    return (
      `record time ${new Date(maxTimestampMs).toISOString()}, ` +
      `clock here ${new Date(this.#wallClock()).toISOString()}`
    );
  }

  #connectionFailed(error: Error): void {
    if (error instanceof PcaptsError) {
      this.#fail(error);
      return;
    }
    this.#setup.logger.debug(`publishing: ${error.message}, trying again`);
    this.#scheduleRetry(true);
    this.#wake();
  }

  /** After a pause asks who leads, if that may have changed, and sends again. */
  #scheduleRetry(staleLeader: boolean): void {
    if (this.#retryTimer !== undefined || this.#refreshing || this.#failure !== undefined) return;
    const delay = this.#backOff.nextDelayMs();
    const until = performance.now() + delay;
    for (const queue of this.#queues) queue.retryAtMs = until;
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      void this.#retry(staleLeader);
    }, delay + 1);
  }

  async #retry(staleLeader: boolean): Promise<void> {
    if (staleLeader) {
      this.#refreshing = true;
      try {
        const found = await this.#setup.transport.lookUpTopic(this.#setup.topic.name);
        this.#refreshing = false;
        if ("leaders" in found) this.#useLeaders(found.leaders);
        else return this.#scheduleRetry(true);
      } catch (error) {
        this.#refreshing = false;
        this.#connectionFailed(error as Error);
        return;
      }
    }
    this.#pumpAll();
  }

  /** The partition count is fixed when the run starts: new partitions get no frames. */
  #useLeaders(leaders: readonly number[]): void {
    this.#queuesByLeader = new Map();
    for (const queue of this.#queues) {
      queue.leader = leaders[queue.partition] ?? -1;
      const led = this.#queuesByLeader.get(queue.leader) ?? [];
      led.push(queue);
      this.#queuesByLeader.set(queue.leader, led);
    }
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
      this.#wake();
    }
  }

  #lose(frames: number, reason: string): void {
    if (frames === 0) return;
    this.counters.failed += frames;
    this.#reportLoss(reason);
  }

  #reportLoss(reason: string): void {
    // One line for each kind of loss: numbers in the broker's words differ from frame to frame.
    const kind = reason.replace(/\d+/g, "");
    if (this.#lossReasons.has(kind)) return;
    this.#lossReasons.add(kind);
    this.#setup.logger.error(`message delivery failed: error=${reason}`);
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
      await this.#nextChange();
    }
  }

  #isOutOfTime(): boolean {
    return performance.now() >= this.#deadlineMs;
  }

  #beginToStop(): void {
    const { flushTimeoutMs } = this.#setup;
    this.#deadlineMs = performance.now() + flushTimeoutMs;
    this.#stopTimer = setTimeout(() => this.#wake(), flushTimeoutMs + 1);
  }

  /** Gives up what is held: frames that were sent without an answer count as unknown. */
  abandon(): void {
    this.counters.unknown += this.countHeld().unanswered;
    this.close();
  }

  /** Stops timers; what is held is given up. */
  close(): void {
    this.#failure ??= new Error("the publisher is closed");
    clearInterval(this.#expiryTimer);
    clearTimeout(this.#stopTimer);
    clearTimeout(this.#lingerTimer);
    clearTimeout(this.#retryTimer);
    this.#wake();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#wake();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #nextChange(): Promise<void> {
    return new Promise((resolve) => this.#wakers.push(resolve));
  }

  #wake(): void {
    const wakers = this.#wakers;
    this.#wakers = [];
    for (const wake of wakers) wake();
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

async function requestIdentity(setup: PublisherSetup): Promise<ProducerIdentity> {
  const { transport, options, client, logger } = setup;
  const none = { producerId: NO_PRODUCER_ID, epoch: -1, nextSequence: -1 };
  if (options.idempotence === false) return none;
  const backOff = new BackOff(client.retryBackoffMs, client.retryBackoffMaxMs);
  for (;;) {
    const connection = await transport.connectionToController();
    const version = connection.versionOf("InitProducerId");
    const answer = await connection.send(encodeInitProducerId(version));
    const { errorCode, producerId, producerEpoch } = answer;
    if (errorCode === KAFKA_ERROR_CODE.NONE) {
      return { producerId, epoch: producerEpoch, nextSequence: 0 };
    }
    const { name, retriable } = kafkaErrorInfo(errorCode);
    if (retriable) {
      await new Promise((resolve) => setTimeout(resolve, backOff.nextDelayMs()));
      continue;
    }
    const refusal = `Kafka refuses a producer id (${name}): the principal lacks IdempotentWrite on the cluster`;
    if (options.idempotence === true) {
      throw new PcaptsError(
        "AUTHORIZATION_FAILED",
        `${refusal}, and enable.idempotence=true was asked for`,
      );
    }
    logger.warn(
      `${refusal}; publishing goes on without idempotence, one batch in flight, ` +
        "and a frame may be there twice after an outage",
    );
    return none;
  }
}
