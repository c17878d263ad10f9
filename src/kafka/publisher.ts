import { PcaptsError } from "../errors.ts";
import { KAFKA_ERROR_CODE } from "../kafka-wire/error-codes.ts";
import type { RecordCodec } from "../kafka-wire/compression.ts";
import type { ProducePartitionResponse } from "../kafka-wire/produce.ts";
import { NO_PRODUCER_ID } from "../kafka-wire/record-batch-writer.ts";
import type { FrameChunk } from "../packet/frame-chunk.ts";
import { BackOff } from "../back-off.ts";
import { Backlog } from "./backlog.ts";
import type { Batch } from "./batch.ts";
import { BatchCompressor, openCodec } from "./batch-compressor.ts";
import { divideMemory } from "./batch-memory.ts";
import type { BatchMemory } from "./batch-memory.ts";
import { ChangeSignal } from "./change-signal.ts";
import { DeliveryCounts, describeTooLarge } from "./delivery-counts.ts";
import type { PublisherCounters } from "./delivery-counts.ts";
import { FrameBatcher } from "./frame-batcher.ts";
import { LeaderSender } from "./leader-sender.ts";
import type { SenderHost } from "./leader-sender.ts";
import { LeaderSilence } from "./leader-silence.ts";
import { createPartitioner } from "./partitioner.ts";
import { PartitionQueue } from "./partition-queue.ts";
import type { ProducerIdentity } from "./partition-queue.ts";
import type { PublisherSetup } from "./publisher-setup.ts";
import { judgeAnswer } from "./produce-answer.ts";
import { requestProducerIdentity } from "./producer-identity.ts";
import { rehearsePublishing } from "./rehearsal.ts";
import { SendRetries } from "./send-retries.ts";
import { Spooler } from "./spooler.ts";
import { TopicWatch } from "./topic-watch.ts";
import { WriteOutage } from "./write-outage.ts";

/** How often batches are looked through for those whose time is up, or that nobody answers. */
const TIME_CHECK_MS = 200;

/** When nothing was acknowledged for so long, Kafka takes no frames. */
const OUTAGE_MS = 1000;

/** How often the topic is looked at although nothing is wrong; librdkafka's topic.metadata.refresh.interval.ms. */
const TOPIC_CHECK_MS = 300_000;

/**
 * Writes frames into record batches and sees to it that each batch is in the
 * log once, in order: see `PartitionQueue`. `publish` waits while the memory
 * is full.
 */
export class Publisher {
  readonly #counts: DeliveryCounts;
  readonly #setup: PublisherSetup;
  readonly #queues: readonly PartitionQueue[];
  readonly #batcher: FrameBatcher;
  readonly #memory: BatchMemory;
  readonly #spoolMemory: BatchMemory;
  readonly #senders = new Map<number, LeaderSender>();
  readonly #wallClock: () => number;
  readonly #retries: SendRetries;
  readonly #outage: WriteOutage;
  readonly #watch: TopicWatch;
  readonly #silence: LeaderSilence;
  readonly #spooler: Spooler | undefined;
  readonly #change = new ChangeSignal();
  readonly #timeTimer: NodeJS.Timeout;
  #lingerTimer: NodeJS.Timeout | undefined;
  #stopTimer: NodeJS.Timeout | undefined;
  #lastAcknowledgedMs = performance.now();
  #nextTopicCheckMs = performance.now() + TOPIC_CHECK_MS;
  #deadlineMs = Infinity;
  #flushing = false;
  #isClosed = false;
  #failure: unknown;
  #queuesByLeader = new Map<number, PartitionQueue[]>();
  #isRenewing = false;

  private constructor(setup: PublisherSetup, identity: ProducerIdentity, codec?: RecordCodec) {
    const { options, topic, client, logger, stopSignal } = setup;
    this.#setup = setup;
    this.#counts = new DeliveryCounts(logger);
    this.#wallClock = setup.wallClock ?? Date.now;
    this.#retries = new SendRetries(new BackOff(client.retryBackoffMs, client.retryBackoffMaxMs), {
      refreshLeaders: () => this.#refreshLeaders(),
      failed: (error) => this.#connectionFailed(error, []),
      resume: () => this.#pumpAll(),
    });
    const partitionCount = topic.leaders.length;
    this.#outage = new WriteOutage(topic.name, partitionCount, logger);
    this.#watch = new TopicWatch(topic.name, partitionCount, setup.transport, logger);
    const batchLimitBytes = Math.min(options.batchBytes, topic.maxMessageBytes ?? Infinity);
    const { memory, spoolMemory } = divideMemory(
      options.queueBytes,
      batchLimitBytes,
      partitionCount,
      { hasSpool: setup.spool !== undefined, isCompressing: codec !== undefined },
    );
    this.#memory = memory;
    this.#spoolMemory = spoolMemory;
    this.#queues = this.#createQueues(identity, memory, codec);
    this.#spooler = this.#createSpooler(spoolMemory);
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
      keptMs: setup.keptMs ?? Infinity,
      wallClock: this.#wallClock,
      onTooLarge: (frameBytes, batchBytes) =>
        this.#lose(1, describeTooLarge(frameBytes, batchBytes, options.maxMessageBytes, topic)),
    });
    this.#useLeaders(topic.leaders);
    this.#silence = new LeaderSilence({
      queuesByLeader: () => this.#queuesByLeader,
      silent: (partitions, reason) => this.#outage.failed(partitions, reason),
      look: (exceptNode) => this.#watch.look(exceptNode),
      giveUp: (nodeId, reason) => this.#senders.get(nodeId)?.giveUp(reason),
    });
    this.#timeTimer = setInterval(() => this.#checkTimes(), TIME_CHECK_MS);
    this.#timeTimer.unref();
    if (stopSignal.aborted) this.#beginToStop();
    else stopSignal.addEventListener("abort", this.#beginToStop, { once: true });
  }

  #createSpooler(memory: BatchMemory): Spooler | undefined {
    const { spool, topic, logger } = this.#setup;
    if (spool === undefined) return undefined;
    return new Spooler({
      spool,
      queues: this.#queues,
      memory,
      topic,
      logger,
      wallClock: this.#wallClock,
      changed: () => {
        this.#pumpAll();
        this.#change.notify();
      },
      failed: (frames, reason) => this.#lose(frames, reason),
      isClosed: () => this.#failure !== undefined || this.#isClosed,
    });
  }

  #createQueues(
    identity: ProducerIdentity,
    memory: BatchMemory,
    codec: RecordCodec | undefined,
  ): PartitionQueue[] {
    const { options, topic, logger } = this.#setup;
    const isIdempotent = identity.producerId !== NO_PRODUCER_ID;
    const losses = {
      failed: (frames: number, reason: string) => this.#lose(frames, reason),
      logBegunAnew: (partition: number, offset: bigint, expected: bigint) =>
        logger.warn(
          `Partition ${partition} of topic "${topic.name}" goes on at offset ${offset}, ${expected} was expected: ` +
            "the topic was created anew, or its leader lost records; frames that were acknowledged before may be gone",
        ),
    };
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
          this.#createBacklog(partition),
        ),
    );
  }

  #createBacklog(partition: number): Backlog | undefined {
    const { spool } = this.#setup;
    if (spool === undefined) return undefined;
    const filesDone = (): void => {
      void spool.removeDone(partition).then(() => this.#change.notify());
    };
    return new Backlog(spool.partitions[partition]!, filesDone, this.#wallClock);
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
    if (setup.isLive === true) rehearsePublishing();
    return new Publisher(setup, identity, codec);
  }

  /** What became of the frames that were taken; those that are missing are held. */
  get counters(): PublisherCounters {
    const { acknowledged, failed, unknown } = this.#counts;
    return { acknowledged, failed, unknown };
  }

  /** Frames that are in the spool and not in memory. */
  get spooled(): number {
    return this.#setup.spool?.unreadFrames ?? 0;
  }

  /** True when idempotence is on. */
  get isIdempotent(): boolean {
    return this.#queues[0]!.identity.producerId !== NO_PRODUCER_ID;
  }

  /** Memory that is lent to frames that are held, of `queue.buffering.max.kbytes`. */
  get heldBytes(): number {
    return this.#memory.lentBytes + this.#spoolMemory.lentBytes;
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
  publish(chunk: FrameChunk): Promise<number> {
    return this.#take(chunk, true);
  }

  /**
   * Takes the frames of a chunk as far as there is room in memory or spool; waits only for the spool's disk.
   *
   * @returns frames taken
   * @throws PcaptsError when publishing cannot go on
   */
  offer(chunk: FrameChunk): Promise<number> {
    return this.#take(chunk, false);
  }

  /** True when new frames find room for a while: half of the memory, a tenth of the spool. */
  get hasPlentyOfRoom(): boolean {
    return (
      this.#memory.lentBytes <= this.#memory.limitBytes / 2 &&
      this.#setup.spool?.isNearlyFull !== true
    );
  }

  async #take(chunk: FrameChunk, isPatient: boolean): Promise<number> {
    const position = { offset: 0, frame: 0 };
    for (;;) {
      this.#throwFailure();
      this.#batcher.append(chunk, position);
      this.#pumpAll();
      if (position.offset >= chunk.bytes.length || this.#isOutOfTime()) return position.frame;
      this.#memoryIsFull();
      if (!isPatient && this.#spooler?.isFull !== false) return position.frame;
      await this.#change.next();
    }
  }

  /** A source that can wait does, as long as Kafka takes frames; what cannot wait goes to the spool. */
  #memoryIsFull(): void {
    const silentMs = performance.now() - this.#lastAcknowledgedMs;
    if (this.#setup.isLive === true || silentMs > OUTAGE_MS) this.#spooler?.spill();
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

  /**
   * With a spool, leaves what is held to it, for the next process; then nothing is sent any more.
   *
   * @returns frames that are in the spool now
   */
  async keepHeld(): Promise<number> {
    if (this.#spooler === undefined || this.#isClosed) return 0;
    this.#end();
    // What is on its way between memory and spool would be counted in both, or in neither.
    await this.#spooler.settled();
    const { unanswered, unsent } = this.countHeld();
    const unkept = await this.#spooler.keepHeld();
    this.#counts.unknown += Math.min(unkept, unanswered);
    return unanswered + unsent - unkept;
  }

  /** Gives up what is held: frames that were sent without an answer count as unknown. Safe repeatedly. */
  close(): void {
    if (this.#isClosed) return;
    this.#counts.unknown += this.countHeld().unanswered;
    this.#end();
  }

  #end(): void {
    this.#isClosed = true;
    this.#failure ??= new Error("the publisher is closed");
    this.#setup.stopSignal.removeEventListener("abort", this.#beginToStop);
    clearInterval(this.#timeTimer);
    clearTimeout(this.#stopTimer);
    clearTimeout(this.#lingerTimer);
    this.#retries.cancel();
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
      if (nodeId >= 0) {
        this.#sender(nodeId).pump();
        continue;
      }
      const waiting = queues.filter((queue) => !queue.isEmpty);
      this.#outage.failed(numbersOf(waiting), "nobody leads it at the moment");
      this.#retries.later(true, waiting);
    }
    if (this.isIdempotent) this.#renewProducerIds();
    this.#spooler?.advance();
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
      produceAnswered: (tookMs) => this.#setup.observer?.produceAnswered(tookMs),
      produceLost: (batches) => this.#setup.observer?.batchesReturned(batches),
      openBefore: (now) => (this.#flushing ? now : now - options.lingerMs),
      answered: (queue, batch, answer) => this.#answered(queue, batch, answer),
      connectionFailed: (nodeId, error) =>
        this.#connectionFailed(error, this.#queuesByLeader.get(nodeId) ?? []),
      fatal: (error) => this.#fail(error),
    };
  }

  #answered(queue: PartitionQueue, batch: Batch, answer: ProducePartitionResponse): void {
    if (this.#isClosed) return;
    const { topic, logger, transport } = this.#setup;
    const { maxTimestampMs } = batch.writer;
    const { principal } = transport;
    const now = this.#wallClock();
    const verdict = judgeAnswer(answer, topic.name, principal, maxTimestampMs, now);
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
        this.#outage.failed([queue.partition], verdict.reason);
        if (answer.errorCode === KAFKA_ERROR_CODE.UNKNOWN_TOPIC_OR_PARTITION) queue.logLost();
        this.#setup.observer?.batchesReturned(1);
        queue.returned(batch);
        this.#retries.later(verdict.staleLeader, [queue]);
        break;
      case "final":
        queue.returned(batch);
        this.#fail(verdict.error);
    }
    this.#change.notify();
  }

  #acknowledged(queue: PartitionQueue, batch: Batch, baseOffset: bigint): void {
    const { onDelivery, observer } = this.#setup;
    const { recordCount, length } = batch.writer;
    observer?.batchAcknowledged({
      partition: queue.partition,
      baseOffset,
      recordCount,
      bytes: length,
      agedMs: this.#ageOf(batch),
    });
    this.#retries.reset();
    this.#outage.ended(queue.partition);
    this.#counts.acknowledged += recordCount;
    this.#lastAcknowledgedMs = performance.now();
    const delivery = onDelivery && {
      partition: queue.partition,
      baseOffset,
      recordCount,
      batch: queue.uncompressed(batch),
    };
    queue.acknowledged(batch, baseOffset);
    // Last, because whoever prints may fail; the memory is not used again before this returns.
    if (delivery !== undefined) onDelivery?.(delivery);
  }

  #ageOf({ writer, bornMs }: Batch): number {
    const { isLive = false } = this.#setup;
    const agedMs = isLive
      ? this.#wallClock() - writer.firstTimestampMs
      : performance.now() - bornMs;
    return Math.max(0, agedMs);
  }

  #connectionFailed(error: Error, queues: readonly PartitionQueue[]): void {
    if (this.#isClosed) return;
    if (error instanceof PcaptsError) {
      this.#fail(error);
      return;
    }
    this.#setup.logger.debug(`publishing: ${error.message}, trying again`);
    this.#outage.failed(numbersOf(queues.filter((queue) => !queue.isEmpty)), error.message);
    this.#retries.later(true, queues);
    this.#change.notify();
  }

  /** @returns false when the brokers do not know at the moment @throws what {@link TopicWatch.look} does */
  async #refreshLeaders(): Promise<boolean> {
    const found = await this.#watch.look();
    if ("leaders" in found) {
      this.#useLeaders(found.leaders);
      return true;
    }
    const held = this.#queues.filter((queue) => !queue.isEmpty);
    this.#outage.failed(numbersOf(held), found.reason);
    if (found.isMissing) for (const queue of this.#queues) queue.logLost();
    return false;
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

  #checkTimes(): void {
    const failed = (error: Error): void => this.#connectionFailed(error, []);
    this.#silence.check().catch(failed);
    if (performance.now() >= this.#nextTopicCheckMs) {
      this.#nextTopicCheckMs = performance.now() + TOPIC_CHECK_MS;
      this.#watch.look().catch(failed);
    }
    this.#expire();
    // A disk that was full may have room again; a publish that waits may have waited long enough.
    if (this.#spooler !== undefined) {
      this.#spooler.advance();
      this.#change.notify();
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
      this.#counts.fail(unsent, reason);
      this.#counts.giveUp(unanswered, reason);
      this.#change.notify();
    }
  }

  #lose(frames: number, reason: string): void {
    this.#counts.fail(frames, reason);
    this.#change.notify();
  }
}

function numbersOf(queues: readonly PartitionQueue[]): number[] {
  return queues.map(({ partition }) => partition);
}
