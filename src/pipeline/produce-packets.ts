import { type FrameSource, sensorOf } from "../capture/frame-source.ts";
import type { LiveSource } from "../capture/live-source.ts";
import { PcaptsError } from "../errors.ts";
import { Publisher } from "../kafka/publisher.ts";
import type { Delivery } from "../kafka/delivery.ts";
import { describeClient } from "../kafka/client-description.ts";
import { asUnreachable, persistently } from "../kafka/persistently.ts";
import { prepareTopic } from "../kafka/topic.ts";
import type { PublishableTopic } from "../kafka/topic.ts";
import { createTransport } from "../kafka/transport.ts";
import type { Transport } from "../kafka/transport.ts";
import type { Logger } from "../logger.ts";
import { SpoolDirectory } from "../spool/spool-directory.ts";
import { Spool } from "../spool/spool.ts";
import { cutFrames, dropFrames } from "../packet/chunk-stages.ts";
import { frameBytesOf, readHeaderWord } from "../packet/frame-chunk.ts";
import type { FrameChunk } from "../packet/frame-chunk.ts";
import { CaptureLimit } from "./capture-limit.ts";
import { LedgerTopic } from "./ledger-topic.ts";
import { Overload } from "./overload.ts";
import { furthest } from "./read-progress.ts";
import { OwnTraffic } from "./own-traffic.ts";
import { DeliveryPrinter, printReceived } from "./print-packets.ts";
import { asOutputError } from "./output-error.ts";
import type { ProduceOptions, ProduceSummary, RunProgress } from "./pipeline-options.ts";
import type { ProducerRun, ProducerStatus } from "./run-status.ts";

/**
 * Publishes every frame of a source to a topic.
 *
 * ```ts
 * const run = producePackets(await openFileSource("in.pcap"), options, logger);
 * console.log((await run.done).acknowledged);
 * ```
 *
 * `done` resolves when the source has ended or `stop()` was called and everything is flushed. A
 * source that fails (a file that is cut, an interface that is gone) has its frames flushed first,
 * then `done` rejects with the source's error; `summary()` tells what was delivered.
 *
 * @param source opened already, so that a wrong one is refused before Kafka is contacted
 */
export function producePackets(
  source: FrameSource,
  options: ProduceOptions,
  logger: Logger,
): ProducerRun {
  return new ProduceRun(source, options, logger);
}

class ProduceRun implements ProducerRun {
  readonly done: Promise<ProduceSummary>;
  readonly #source: FrameSource;
  readonly #options: ProduceOptions;
  readonly #logger: Logger;
  readonly #stopping = new AbortController();
  #transport: Transport | undefined;
  #publisher: Publisher | undefined;
  #isCapturing = false;
  #ledger: LedgerTopic | undefined;
  #ownTraffic: OwnTraffic | undefined;
  #publishFailure: unknown;
  #captured = 0;
  #capturedBytes = 0;
  #droppedHere = 0;
  readonly #overload: Overload | undefined;
  #spoolDirectory: SpoolDirectory | undefined;
  #spool: Spool | undefined;
  #foundInSpool = 0;
  /** What a run that is over has left in the spool. */
  #leftInSpool: number | undefined;
  #isAgeTold = false;
  readonly #limit: CaptureLimit;
  #shareOfTime: () => number | undefined = () => undefined;

  constructor(source: FrameSource, options: ProduceOptions, logger: Logger) {
    this.#source = source;
    this.#options = options;
    this.#logger = logger;
    const { overload } = options;
    this.#overload =
      overload === undefined || source.kind === "file" ? undefined : new Overload(overload, logger);
    this.#limit = new CaptureLimit(options.maxPackets, options.limits ?? {});
    this.done = this.#run();
  }

  stop(): void {
    if (this.#stopping.signal.aborted) return;
    this.#logger.info("Clean shutdown process started");
    this.#stopping.abort();
    this.#ownTraffic?.close();
    void this.#source.stop();
  }

  summary(): ProduceSummary {
    // The source's counters come after our own: what was captured by now it has received by then.
    const captured = this.#captured;
    const { acknowledged, failed, unknown } = this.#publisher?.counters ?? NO_COUNTERS;
    const source = this.#source.counters();
    const { filtered, torn = 0 } = source;
    const { received, droppedByKernel, droppedByInterface } =
      this.#source.kind === "live"
        ? source
        : { received: filtered + captured, droppedByKernel: 0, droppedByInterface: 0 };
    const spool = this.#spool && {
      foundInSpool: this.#foundInSpool,
      spooled: this.#leftInSpool ?? this.#publisher?.spooled ?? this.#foundInSpool,
    };
    const isKnown = received !== undefined && droppedByKernel !== undefined;
    return {
      received,
      droppedByKernel,
      droppedByInterface,
      filtered,
      leftInRing: isKnown ? received - droppedByKernel - filtered - captured : undefined,
      captured,
      acknowledged,
      failed,
      unknown,
      droppedHere: this.#droppedHere,
      queued:
        captured +
        (spool?.foundInSpool ?? 0) -
        acknowledged -
        failed -
        unknown -
        this.#droppedHere -
        (this.#overload?.counters.sampledOut ?? 0) -
        (spool?.spooled ?? 0),
      ...this.#overload?.counters,
      ...spool,
      torn,
    };
  }

  status(): ProducerStatus {
    return {
      brokers: this.#transport?.connections() ?? [],
      isTopicKnown: this.#publisher !== undefined,
      isCapturing: this.#isCapturing,
      queuedBytes: this.#publisher?.heldBytes ?? 0,
    };
  }

  progress(): RunProgress {
    const { readBytes = 0, totalBytes } = this.#source.extent?.() ?? {};
    const ofFiles = totalBytes === undefined ? undefined : readBytes / Math.max(totalBytes, 1);
    return {
      frames: this.#captured,
      bytes: this.#capturedBytes,
      share: furthest(ofFiles, this.#limit.share, this.#shareOfTime()),
    };
  }

  async #run(): Promise<ProduceSummary> {
    const { kafka } = this.#options;
    const transport = createTransport(kafka, this.#logger);
    this.#transport = transport;
    let failure: string | undefined;
    try {
      await this.#publishAll(transport);
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
      if (!isAbort(error, this.#stopping.signal)) throw asUnreachable(asOutputError(error));
      failure = undefined;
    } finally {
      this.#ownTraffic?.close();
      await this.#leaveToSpool();
      this.#publisher?.close();
      await this.#source.stop();
      await this.#ledger?.end(failure, this.#options.flushTimeoutMs);
      await transport.close();
    }
    return this.summary();
  }

  /** Whatever ended the run, what is held then is left to the next one. */
  async #leaveToSpool(): Promise<void> {
    if (this.#spool === undefined) {
      await this.#spoolDirectory?.release();
      return;
    }
    this.#leftInSpool = (await this.#publisher?.keepHeld()) ?? this.#foundInSpool;
    await this.#spool.close();
  }

  async #publishAll(transport: Transport): Promise<void> {
    const { kafka, topic, newTopicPartitions } = this.#options;
    const { signal } = this.#stopping;
    await this.#takeSpoolDirectory();
    this.#logger.info(`Connecting to Kafka; ${describeClient(kafka)}`);
    await transport.connect(signal);
    const target = await prepareTopic(
      transport,
      topic,
      newTopicPartitions,
      kafka,
      this.#logger,
      signal,
    );
    await this.#openSpool(target, transport);
    this.#ledger = await this.#openLedger(transport);
    const publisher = await this.#openPublisher(transport, target);
    this.#publisher = publisher;
    if (canExclude(this.#source) && this.#options.captureSelf !== true) {
      this.#ownTraffic = new OwnTraffic(this.#source, transport, this.#logger);
      await this.#ownTraffic.start();
    }
    let sourceFailure: unknown;
    try {
      await this.#publishChunks(publisher, target);
    } catch (error) {
      // The source's own failures: what it gave before is flushed all the same.
      if (!(error instanceof PcaptsError) || error === this.#publishFailure) throw error;
      sourceFailure = error;
    }
    await this.#flush(publisher);
    if (sourceFailure !== undefined) throw sourceFailure;
  }

  /** Before Kafka is asked: what is wrong here is better said at once. */
  async #takeSpoolDirectory(): Promise<void> {
    const { spool } = this.#options;
    if (spool !== undefined) this.#spoolDirectory = await SpoolDirectory.take(spool.directory);
  }

  async #openSpool({ name, leaders }: PublishableTopic, { clusterId }: Transport): Promise<void> {
    const { spool } = this.#options;
    if (spool === undefined) return;
    const target = { topic: name, partitionCount: leaders.length, clusterId };
    const directory = this.#spoolDirectory!;
    this.#spoolDirectory = undefined;
    this.#spool = await Spool.open(directory, spool.sizeBytes, target, this.#logger);
    this.#foundInSpool = this.#spool.frameCount;
  }

  async #openLedger(transport: Transport): Promise<LedgerTopic | undefined> {
    const { ledger, kafka, topic } = this.#options;
    if (ledger === undefined) return undefined;
    const { name } = this.#source;
    const setup = {
      transport,
      client: kafka,
      ledgerTopic: ledger.topic,
      intervalMs: ledger.intervalMs,
      sensor: sensorOf(this.#source),
      source: name,
      topic,
      summary: () => this.summary(),
      logger: this.#logger,
    };
    return LedgerTopic.open(setup, this.#stopping.signal);
  }

  async #openPublisher(transport: Transport, topic: PublishableTopic): Promise<Publisher> {
    const { publisher, kafka, partitioner, headers, recordTimestamp, prettyPrint } = this.#options;
    const printer =
      prettyPrint === undefined ? undefined : new DeliveryPrinter(prettyPrint, topic.name);
    const { interfaces, hasSeveralInterfaces = interfaces.length > 1 } = this.#source;
    const setup = {
      transport,
      topic,
      // In a spool frames wait for as long as it takes.
      options: this.#spool === undefined ? publisher : { ...publisher, messageTimeoutMs: 0 },
      client: kafka,
      partitioner,
      headers: { all: headers === "all", nameInterface: hasSeveralInterfaces },
      recordTimestamp: this.#source.kind === "live" ? ("capture" as const) : recordTimestamp,
      // The first frame of a file was looked at; what a feed brings nobody knows before.
      keptMs: this.#source.kind === "file" ? Infinity : (topic.retentionMs ?? Infinity),
      logger: this.#logger,
      stopSignal: this.#stopping.signal,
      flushTimeoutMs: this.#options.flushTimeoutMs,
      observer: this.#ledger?.beside(this.#options.observer) ?? this.#options.observer,
      isLive: this.#source.kind === "live",
      spool: this.#spool,
      ...(printer && { onDelivery: (delivery: Delivery) => printer.print(delivery) }),
    };
    return persistently("get a producer id", kafka, this.#stopping.signal, () =>
      Publisher.open(setup),
    );
  }

  async #publishChunks(publisher: Publisher, topic: PublishableTopic): Promise<void> {
    const { limits, snapLengthBytes, prettyPrint } = this.#options;
    const limit = this.#limit;
    const endOfTime = this.#stopAfter(limits?.durationMs);
    try {
      for await (const taken of this.#startChunks()) {
        let chunk: FrameChunk = taken;
        if (chunk.frameCount === 0) continue;
        this.#checkAge(chunk, topic);
        if (snapLengthBytes !== undefined && this.#source.kind !== "live") {
          chunk = cutFrames(chunk, snapLengthBytes);
        }
        chunk = limit.take(chunk);
        if (prettyPrint !== undefined) printReceived(prettyPrint, chunk, this.#captured);
        this.#captured += chunk.frameCount;
        this.#capturedBytes += frameBytesOf(chunk);
        await this.#publish(publisher, chunk);
        if (limit.isReached) break;
      }
    } finally {
      endOfTime.abort();
    }
  }

  /** The source's chunks. An interface captures from the first request on, and then it is said. */
  async *#startChunks(): AsyncGenerator<FrameChunk, void, void> {
    const chunks = this.#source.chunks()[Symbol.asyncIterator]();
    let next = chunks.next();
    this.#logger.info("Starting packet capture");
    this.#isCapturing = true;
    try {
      for (let result = await next; result.done !== true; result = await next) {
        yield result.value;
        next = chunks.next();
      }
    } finally {
      this.#isCapturing = false;
      await chunks.return?.();
    }
  }

  /** Ends the source when its time is over; what it has taken by then is still published. */
  #stopAfter(durationMs: number | undefined): AbortController {
    const over = new AbortController();
    if (durationMs === undefined) return over;
    const endMs = performance.now() + durationMs;
    this.#shareOfTime = () => 1 - Math.max(0, endMs - performance.now()) / durationMs;
    const wait = (): void => {
      const leftMs = endMs - performance.now();
      if (leftMs <= 0) {
        this.#logger.info(`Capture ends: ${durationMs / 1000} s are over`);
        void this.#source.stop();
        return;
      }
      const timer = setTimeout(wait, Math.min(leftMs, LONGEST_TIMER_MS));
      over.signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
    };
    wait();
    return over;
  }

  async #publish(publisher: Publisher, chunk: FrameChunk): Promise<void> {
    try {
      if (this.#overload !== undefined) {
        await this.#offer(publisher, chunk, this.#overload);
        return;
      }
      const left = chunk.frameCount - (await publisher.publish(chunk));
      // A stop ran out of time. What was read from a file is still in the file.
      if (this.#source.kind === "file") this.#captured -= left;
      else this.#droppedHere += left;
    } catch (error) {
      this.#publishFailure = error;
      throw error;
    }
  }

  /** What finds no room is shaped by the policy; what finds none even so is dropped. */
  async #offer(publisher: Publisher, chunk: FrameChunk, overload: Overload): Promise<void> {
    if (publisher.hasPlentyOfRoom) overload.end();
    let shaped = overload.shape(chunk);
    let left = shaped.frameCount - (await publisher.offer(shaped));
    if (left > 0 && shaped === chunk) {
      overload.begin();
      shaped = overload.shape(dropFrames(chunk, chunk.frameCount - left));
      left = shaped.frameCount - (await publisher.offer(shaped));
    }
    this.#droppedHere += left;
    overload.noteDropped(left);
  }

  /**
   * Frames whose record timestamp is older than the topic keeps would be gone before they are read. A
   * file that begins with such is refused; those of a feed carry the time of publishing, which is said.
   */
  #checkAge(chunk: FrameChunk, { name, retentionMs }: PublishableTopic): void {
    const { kind } = this.#source;
    if (kind === "file" ? this.#captured > 0 : this.#isAgeTold) return;
    if (kind !== "live" && this.#options.recordTimestamp !== "capture") return;
    if (retentionMs === undefined) return;
    const capturedMs = readHeaderWord(chunk.bytes, 0, chunk.bigEndian) * 1000;
    if (Date.now() - capturedMs <= retentionMs) return;
    const captured = new Date(capturedMs).toISOString();
    if (kind === "file") {
      throw (this.#publishFailure = new PcaptsError(
        "TOPIC_UNSUITABLE",
        `Cannot publish "${this.#source.name}" to topic "${name}" under capture times: its first frame is of ` +
          `${captured}, and the topic's retention.ms (${retentionMs}) would delete it; ` +
          "leave out --record-timestamp capture, or raise retention.ms",
      ));
    }
    this.#isAgeTold = true;
    this.#logger.warn(
      `"${this.#source.name}" has frames of ${captured}, older than topic "${name}" keeps ` +
        `(retention.ms ${retentionMs}): their records carry the time of publishing`,
    );
  }

  async #flush(publisher: Publisher): Promise<void> {
    const { unsent, unanswered } = publisher.countHeld();
    this.#logger.info(`Waiting for '${unsent + unanswered}' message(s) to flush`);
    const isDone = await publisher.flush();
    // What is held now is given up, or left to the spool.
    if (!isDone && this.#spool === undefined) publisher.close();
    this.#logger.info(
      `'${this.#captured}' packet(s) in, '${publisher.counters.acknowledged}' packet(s) out`,
    );
  }
}

/** setTimeout() takes more for 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

const NO_COUNTERS = { acknowledged: 0, failed: 0, unknown: 0 };

function canExclude(source: FrameSource): source is LiveSource {
  return source.kind === "live" && "exclude" in source;
}

function isAbort(error: unknown, signal: AbortSignal): boolean {
  return signal.aborted && error instanceof Error && error.name === "AbortError";
}
