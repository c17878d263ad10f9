import type { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { PcaptsError } from "../errors.ts";
import { Fetcher } from "../kafka/fetcher.ts";
import { GroupMember } from "../kafka/group-member.ts";
import { findLastLinkType } from "../kafka/last-link-type.ts";
import type { OffsetSpan } from "../kafka/offset-spans.ts";
import { listOffsets } from "../kafka/offsets.ts";
import type { OffsetQuery } from "../kafka/offsets.ts";
import { describeClient } from "../kafka/client-description.ts";
import { asUnreachable, persistently } from "../kafka/persistently.ts";
import { findTopic } from "../kafka/topic.ts";
import { createTransport } from "../kafka/transport.ts";
import type { Transport } from "../kafka/transport.ts";
import type { GroupOptions, StartPosition } from "../kafka/client-options.ts";
import type { Logger } from "../logger.ts";
import { LINKTYPE_ETHERNET } from "../packet/link-types.ts";
import { isOneFile, type RingOptions } from "../capture-file/ring-writer.ts";
import { FrameOutput } from "./frame-output.ts";
import { OutputJournal } from "./output-journal.ts";
import { TopicFilter } from "./topic-filter.ts";
import { TopicReading } from "./topic-reading.ts";
import { asOutputError } from "./output-error.ts";
import { formatEndOfPartition } from "./packet-text.ts";
import type { ConsumeOptions, ConsumeSummary, RunProgress } from "./pipeline-options.ts";
import type { ConsumerRun, ConsumerStatus } from "./run-status.ts";
import { readAsMember } from "./read-as-member.ts";
import { furthest } from "./read-progress.ts";

/** How often a topic that is missing is looked for. */
const TOPIC_POLL_MS = 500;

/** After this long without a frame one line says where frames may be. */
const SILENCE_MS = 3000;

/**
 * Streams a topic's frames into `output` as a capture file, into a ring of files, or prints them.
 *
 * ```ts
 * const run = consumePackets(createWriteStream("out.pcap"), options, logger);
 * console.log((await run.done).written);
 * ```
 *
 * `done` resolves at the end that was asked for, after `stop()`, or when the reader of `output`
 * went away (EPIPE).
 *
 * @param output a stream, ended when the run ends, or where the files of a ring go
 * @throws PcaptsError FILTER_INVALID when `options.filter` is none for any link type
 */
export function consumePackets(
  output: Writable | RingOptions,
  options: ConsumeOptions,
  logger: Logger,
): ConsumerRun {
  return new ConsumeRun(output, options, logger);
}

/** Live frames are on their way to Kafka for so long at most. */
const RANGE_SLACK_MS = 2000;

/** After a stop an output may take this much of the time there is: a group wants to be left, too. */
const SHARE_OF_OUTPUT = 0.8;

/** Of that, what is kept to be in order may take so much: it is dropped before the output is given up. */
const SHARE_OF_ORDER = 0.5;

/** What a timer can wait for. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** What is known of a topic when reading begins. */
interface Extent {
  readonly leaders: readonly number[];
  readonly begin: ReadonlyMap<number, bigint>;
  readonly end: ReadonlyMap<number, bigint>;
  /** Where what was captured before `--to` probably ends, where that is past. */
  readonly endOfRange: ReadonlyMap<number, bigint> | undefined;
}

class ConsumeRun implements ConsumerRun {
  readonly done: Promise<ConsumeSummary>;
  readonly #target: Writable | RingOptions;
  readonly #options: ConsumeOptions;
  readonly #logger: Logger;
  readonly #output: FrameOutput;
  /** Keeps what is committed of the output beside it. */
  readonly #journal: OutputJournal | undefined;
  readonly #stopping = new AbortController();
  /** Aborted when an output that takes nothing is not waited for any longer. */
  readonly #patience = new AbortController();
  #patienceTimer: NodeJS.Timeout | undefined;
  /** When all has to be done with, once there was a stop. */
  #deadlineMs: number | undefined;
  readonly #filter: TopicFilter | undefined;
  #transport: Transport | undefined;
  #isTopicKnown = false;
  #saidNoTimes = false;
  #fetcher: Fetcher | undefined;
  #reading: TopicReading | undefined;
  /** Counts of readings that are over: a group that changes begins another. */
  readonly #before = { late: 0, outOfRange: 0, bytes: 0, missed: 0 };
  #foreign = 0;
  #silenceTimer: NodeJS.Timeout | undefined;
  #rangeTimer: NodeJS.Timeout | undefined;
  /** Ends of the partitions when the end of the range was past. */
  #rangeEnd: ReadonlyMap<number, bigint> | undefined;

  constructor(target: Writable | RingOptions, options: ConsumeOptions, logger: Logger) {
    this.#target = target;
    this.#options = options;
    this.#logger = logger;
    const { filter } = options;
    this.#filter = filter === undefined ? undefined : new TopicFilter(filter, logger);
    this.#journal = this.#createJournal();
    this.#output = new FrameOutput(target, options, logger, this.#patience.signal, this.#journal);
    this.done = this.#run();
  }

  stop(): void {
    if (this.#stopping.signal.aborted) return;
    this.#logger.debug("Clean shutdown process started");
    const { flushTimeoutMs } = this.#options;
    this.#deadlineMs = performance.now() + flushTimeoutMs;
    this.#patienceTimer = setTimeout(() => this.#giveUpOutput(), flushTimeoutMs * SHARE_OF_OUTPUT);
    this.#stopping.abort();
    this.#reading?.stop();
  }

  #createJournal(): OutputJournal | undefined {
    const { group, topic, fileType, compression = null, resumes } = this.#options;
    if (resumes !== true || group?.autoCommit !== true || !("limits" in this.#target))
      return undefined;
    const { path } = this.#target;
    return new OutputJournal(path, { group: group.groupId, topic, fileType, compression });
  }

  #giveUpOutput(): void {
    const { flushTimeoutMs, group } = this.#options;
    const commits =
      group?.autoCommit === true ? "; frames that it did not take are not committed" : "";
    this.#patience.abort(
      new PcaptsError(
        "OUTPUT_NOT_WRITABLE",
        "Cannot write the rest of the output: it takes nothing, and the run was stopped; " +
          `gave up before --flush-timeout (${flushTimeoutMs / 1000} s) is over${commits}`,
      ),
    );
  }

  /** How long what is left to do may take. */
  #leftMs(): number {
    if (this.#deadlineMs === undefined) return this.#options.flushTimeoutMs;
    return Math.max(0, this.#deadlineMs - performance.now());
  }

  summary(): ConsumeSummary {
    const { written, otherLinkType } = this.#output;
    const { filtered = 0, notFilterable = 0 } = this.#filter ?? {};
    const foreign = this.#foreign;
    const outOfRange = this.#before.outOfRange + (this.#reading?.outOfRange ?? 0);
    return {
      received: written + foreign + otherLinkType + filtered + outOfRange,
      written,
      foreign,
      otherLinkType,
      filtered,
      notFilterable,
      outOfRange,
      late: this.#before.late + (this.#reading?.late ?? 0),
      missed: this.#before.missed + (this.#fetcher?.missed ?? 0),
    };
  }

  status(): ConsumerStatus {
    return {
      brokers: this.#transport?.connections() ?? [],
      isTopicKnown: this.#isTopicKnown,
      lag: this.#fetcher?.lag() ?? new Map(),
    };
  }

  progress(): RunProgress {
    const { maxPackets } = this.#options;
    const { written } = this.#output;
    return {
      frames: written,
      bytes: this.#before.bytes + (this.#reading?.bytes ?? 0),
      share: furthest(this.#reading?.share, maxPackets > 0 ? written / maxPackets : undefined),
    };
  }

  async #run(): Promise<ConsumeSummary> {
    const { kafka, linkType, headerNow } = this.#options;
    const transport = createTransport(kafka, this.#logger);
    this.#transport = transport;
    // A reader that goes away also ends a run that waits for frames.
    if ("on" in this.#target) this.#target.on("error", () => this.stop());
    try {
      await this.#openJournal();
      if (linkType !== undefined || headerNow) this.#output.begin(linkType ?? LINKTYPE_ETHERNET);
      await this.#streamOut(transport).catch((error: unknown) => {
        if (!this.#isStop(error)) throw error;
      });
      await this.#output.end();
      this.#warnOfLate();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EPIPE") {
        this.#output.settle();
        throw asUnreachable(asOutputError(error));
      }
    } finally {
      clearTimeout(this.#silenceTimer);
      clearTimeout(this.#rangeTimer);
      clearTimeout(this.#patienceTimer);
      await this.#journal?.close();
      await transport.close();
    }
    return this.summary();
  }

  async #openJournal(): Promise<void> {
    const journal = this.#journal;
    if (journal === undefined) return;
    const { linkType } = this.#options;
    await journal.open(isOneFile((this.#target as RingOptions).limits), linkType, this.#logger);
    if (journal.linkType !== undefined) this.#output.begin(journal.linkType);
  }

  #isStop(error: unknown): boolean {
    const { signal } = this.#stopping;
    return signal.aborted && error instanceof Error && error.name === "AbortError";
  }

  async #streamOut(transport: Transport): Promise<void> {
    const { kafka, topic, group, fetcher, start, exitAtEnd } = this.#options;
    const { signal } = this.#stopping;
    this.#logger.debug(`Connecting to Kafka; ${describeClient(kafka)}`);
    await transport.connect(signal);
    const { leaders, isNew } = await this.#waitForTopic(transport);
    this.#isTopicKnown = true;
    this.#output.beginAnyLinkType();
    const allPartitions = [...leaders.keys()];
    const [begin, end, endOfRange] = await Promise.all([
      this.#listOffsets(transport, leaders, allPartitions, "begin"),
      this.#listOffsets(transport, leaders, allPartitions, "end"),
      this.#isRangeOver
        ? this.#listOffsets(transport, leaders, allPartitions, { timestampMs: this.#rangeEndMs })
        : undefined,
    ]);
    // The end of a topic that was not there when the run began is its beginning.
    const extent: Extent = { leaders, begin, end: isNew ? begin : end, endOfRange };
    if (this.#output.needsLinkType) {
      const linkType = await persistently(
        `look at the last frame of topic "${topic}"`,
        kafka,
        signal,
        () => findLastLinkType(transport, { ...extent, topic, fetcher }),
      );
      if (linkType !== undefined) this.#output.begin(linkType);
    }
    if (group !== undefined) {
      this.#watchRange(transport, extent);
      await this.#readInGroup(transport, group, extent);
      return;
    }
    this.#watchRange(transport, extent);
    if (!exitAtEnd) this.#silenceTimer = setTimeout(() => this.#breakSilence(extent), SILENCE_MS);
    const from = await this.#startOf(transport, extent, allPartitions, start);
    signal.throwIfAborted();
    await this.#readAlone(this.#createReading(transport, extent, from));
  }

  async #waitForTopic(
    transport: Transport,
  ): Promise<{ leaders: readonly number[]; isNew: boolean }> {
    const { topic, kafka, exitAtEnd, topicMustExist = exitAtEnd } = this.#options;
    const { signal } = this.#stopping;
    for (let told = false; ; told = true) {
      const leaders = await findTopic(transport, topic, kafka, signal);
      if (leaders !== undefined) return { leaders, isNew: told };
      if (topicMustExist) {
        throw new PcaptsError(
          "TOPIC_MISSING",
          `Cannot read topic "${topic}": it does not exist (-t)`,
        );
      }
      if (!told) this.#logger.warn(`Topic "${topic}" does not exist; waiting for it`);
      await sleep(TOPIC_POLL_MS, undefined, { signal });
    }
  }

  async #listOffsets(
    transport: Transport,
    leaders: readonly number[],
    partitions: readonly number[],
    at: OffsetQuery["at"],
  ): Promise<Map<number, bigint>> {
    const { kafka, topic, fetcher } = this.#options;
    const readCommitted = fetcher.isolation === "read_committed";
    let isStale = false;
    const { signal } = this.#stopping;
    return persistently(`ask for offsets of topic "${topic}"`, kafka, signal, async () => {
      // A failed try may mean that somebody else leads a partition by now.
      const now = isStale ? await findTopic(transport, topic, kafka, signal) : leaders;
      isStale = true;
      const query = {
        topic,
        leaders: now ?? leaders,
        partitions,
        readCommitted,
        at,
        onNoTimes: () => this.#warnOfNoTimes(),
      };
      return listOffsets(transport, query);
    });
  }

  #warnOfNoTimes(): void {
    if (this.#saidNoTimes) return;
    this.#saidNoTimes = true;
    this.#logger.warn(
      `Topic "${this.#options.topic}": records have no timestamps (message format 0), ` +
        "so it is read from its beginning; --from and --to go by capture times all the same",
    );
  }

  async #startOf(
    transport: Transport,
    { leaders, begin, end }: Extent,
    partitions: readonly number[],
    start: StartPosition,
  ): Promise<ReadonlyMap<number, bigint>> {
    if (start.kind === "time") {
      return this.#listOffsets(transport, leaders, partitions, start);
    }
    const offsets = start.kind === "begin" ? begin : end;
    return new Map(partitions.map((partition) => [partition, offsets.get(partition)!]));
  }

  /** True when frames that are asked for cannot come any more behind what is there now. */
  get #isRangeOver(): boolean {
    return Date.now() > this.#rangeEndMs;
  }

  /** By then every frame that was captured within the range is in the topic; Infinity without an end. */
  get #rangeEndMs(): number {
    const { toMicros } = this.#options.range ?? {};
    return toMicros === undefined ? Infinity : Math.ceil(toMicros / 1000) + RANGE_SLACK_MS;
  }

  /** When the end of the range is past, what is there then is all there is of it. */
  #watchRange(transport: Transport, extent: Extent): void {
    if (this.#rangeEndMs === Infinity || this.#options.exitAtEnd || this.#isRangeOver) return;
    const waitMs = this.#rangeEndMs - Date.now() + 1;
    this.#rangeTimer = setTimeout(
      () => {
        if (!this.#isRangeOver) return this.#watchRange(transport, extent);
        const { leaders } = extent;
        void this.#listOffsets(transport, leaders, [...leaders.keys()], "end").then(
          (end) => {
            this.#rangeEnd = end;
            this.#fetcher?.endAt(end);
          },
          () => this.stop(),
        );
      },
      Math.min(waitMs, LONGEST_TIMER_MS),
    );
  }

  #createReading(
    transport: Transport,
    { leaders, end, endOfRange }: Extent,
    start: ReadonlyMap<number, bigint>,
    done?: ReadonlyMap<number, readonly OffsetSpan[]>,
  ): TopicReading {
    const { topic, fetcher, kafka, group, exitAtEnd, fileType, maxPackets, prettyPrint, range } =
      this.#options;
    this.#before.late += this.#reading?.late ?? 0;
    this.#before.outOfRange += this.#reading?.outOfRange ?? 0;
    this.#before.bytes += this.#reading?.bytes ?? 0;
    this.#before.missed += this.#fetcher?.missed ?? 0;
    const until = exitAtEnd || this.#isRangeOver ? (this.#rangeEnd ?? end) : undefined;
    this.#fetcher = new Fetcher({
      transport,
      topic,
      leaders,
      start,
      until,
      options: fetcher,
      client: kafka,
      observer: this.#options.observer,
      done,
      range,
      onPublishTimes: () => {
        this.#logger.info(
          `Topic "${topic}": records carry the time of publishing, or the broker's, not that of capture; ` +
            "it is read to its end for what was captured before --to",
        );
      },
      nanosecond: fileType !== "pcap",
      // What -m cuts a chunk at is what a group commits; and what of it went out of its order.
      withOffsets:
        prettyPrint !== undefined ||
        (group !== undefined && maxPackets > 0) ||
        (this.#journal !== undefined && this.#options.order !== undefined),
      logger: this.#logger,
      onForeignRecord: (partition, offset, reason) => this.#countForeign(partition, offset, reason),
      ...(prettyPrint && {
        onEndOfPartition: (partition: number, offset: bigint) => reading.noteEnd(partition, offset),
      }),
    });
    const reading = new TopicReading({
      fetcher: this.#fetcher,
      start,
      filter: this.#filter,
      order: this.#options.order,
      isFinite: until !== undefined,
      isShared: group !== undefined,
      stopMs: this.#options.flushTimeoutMs * SHARE_OF_ORDER,
      goneUntil: this.#reading?.goneUntil,
      onEndOfPartition: (partition, offset) =>
        prettyPrint?.print(formatEndOfPartition(prettyPrint.format, topic, partition, offset)),
      expectedEnd: endOfRange,
    });
    this.#reading = reading;
    return reading;
  }

  async #readAlone(reading: TopicReading): Promise<void> {
    try {
      for await (const chunk of reading.chunks()) {
        if (chunk.frameCount > 0) clearTimeout(this.#silenceTimer);
        await this.#output.take(chunk);
        if (this.#output.isFull) return;
      }
    } finally {
      reading.stop();
    }
  }

  async #readInGroup(transport: Transport, group: GroupOptions, atStart: Extent): Promise<void> {
    const { topic, kafka, start } = this.#options;
    const logger = this.#logger;
    let extent = atStart;
    await readAsMember({
      member: new GroupMember({ transport, topic, group, client: kafka, logger }),
      group,
      output: this.#output,
      journal: this.#journal,
      signal: this.#stopping.signal,
      logger,
      leftMs: () => this.#leftMs(),
      explicitStart: start.kind === "stored" ? undefined : start.kind,
      knownPartitions: async (assigned) => {
        if (assigned.some((partition) => extent.leaders[partition] === undefined)) {
          extent = await this.#addPartitions(transport, extent);
        }
        return [...extent.leaders.keys()];
      },
      startOf: (partitions, groupIsEmpty) => {
        const explicit = start.kind !== "stored" && groupIsEmpty;
        const position = explicit ? start : { kind: group.withoutOffset };
        return this.#startOf(transport, extent, partitions, position);
      },
      createReading: (from, done) => this.#createReading(transport, extent, from, done),
    });
  }

  /** Partitions that came during the run were empty when it began: their beginning was their end. */
  async #addPartitions(transport: Transport, extent: Extent): Promise<Extent> {
    const { leaders, begin, end } = extent;
    const { kafka, topic } = this.#options;
    const now = (await findTopic(transport, topic, kafka, this.#stopping.signal)) ?? leaders;
    const added = [...now.keys()].slice(leaders.length);
    const first = await this.#listOffsets(transport, now, added, "begin");
    return {
      ...extent,
      leaders: now,
      begin: new Map([...begin, ...first]),
      end: new Map([...end, ...first]),
    };
  }

  /** A pipe's window follows the disorder, so the first frames of it are late; the counts say how many. */
  #warnOfLate(): void {
    const { order, exitAtEnd, group } = this.#options;
    const { late } = this.summary();
    if (late === 0 || order === undefined || (order.isPrompt === true && !exitAtEnd)) return;
    this.#logger.warn(
      `${late} frame(s) came too late to be put in order: ` +
        (exitAtEnd && group === undefined
          ? "they are in the topic behind more frames of later times than are kept in memory; " +
            "--from and --to read times that are far apart one by one"
          : `more than ${order.windowMs} ms behind; --ordered=MS waits longer`) +
        ", reordercap sorts a file",
    );
  }

  #countForeign(partition: number, offset: bigint, reason: string): void {
    this.#foreign++;
    if (this.#foreign > 1) return;
    this.#logger.warn(
      `Record at topic "${this.#options.topic}", partition ${partition}, offset ${offset} is not a frame: ` +
        `${reason}; it is skipped, and so are others, which the summary counts`,
    );
  }

  #breakSilence({ begin, end }: Extent): void {
    let stored = 0n;
    for (const [partition, offset] of end) stored += offset - (begin.get(partition) ?? offset);
    const { topic } = this.#options;
    const isAtEnd = this.#options.start.kind !== "begin";
    this.#logger.info(
      stored === 0n
        ? `No frame yet; topic "${topic}" is empty`
        : `No frame yet; about ${stored} record(s) are stored in topic "${topic}"` +
            (isAtEnd ? ", -o begin reads them" : ""),
    );
  }
}
