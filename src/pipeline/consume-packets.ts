import type { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { PcapWriter } from "../capture-file/pcap-writer.ts";
import { PcaptsError } from "../errors.ts";
import { Fetcher } from "../kafka/fetcher.ts";
import type { FetchedChunk } from "../kafka/frame-decoder.ts";
import { listOffsets, offsetQueryOf } from "../kafka/offsets.ts";
import { findTopic } from "../kafka/topic.ts";
import { createTransport } from "../kafka/transport.ts";
import type { Transport } from "../kafka/transport.ts";
import type { Logger } from "../logger.ts";
import { keepLinkType, takeFrames } from "../packet/chunk-stages.ts";
import { formatLinkType } from "../packet/link-types.ts";
import { findLastLinkType } from "../kafka/last-link-type.ts";
import { formatEndOfPartition } from "./packet-text.ts";
import type { ConsumeOptions, ConsumeSummary, Run } from "./pipeline-options.ts";
import { printConsumed } from "./print-packets.ts";

/** How often a topic that is missing is looked for. */
const TOPIC_POLL_MS = 500;

/** After this long without a frame one line says where frames may be. */
const SILENCE_MS = 3000;

const ETHERNET = 1;

/**
 * Streams a topic's frames into `output` as a pcap file, or prints them.
 *
 * ```ts
 * const run = consumePackets(createWriteStream("out.pcap"), options, logger);
 * console.log((await run.done).written);
 * ```
 *
 * `done` resolves at the end that was asked for, after `stop()`, or when the reader of `output`
 * went away (EPIPE).
 *
 * @param output is ended when the run ends
 */
export function consumePackets(
  output: Writable,
  options: ConsumeOptions,
  logger: Logger,
): Run<ConsumeSummary> {
  return new ConsumeRun(output, options, logger);
}

/** What is known of a topic when reading begins. */
interface Extent {
  readonly leaders: readonly number[];
  readonly start: ReadonlyMap<number, bigint>;
  readonly begin: ReadonlyMap<number, bigint>;
  readonly end: ReadonlyMap<number, bigint>;
}

class ConsumeRun implements Run<ConsumeSummary> {
  readonly done: Promise<ConsumeSummary>;
  readonly #output: Writable;
  readonly #options: ConsumeOptions;
  readonly #logger: Logger;
  readonly #stopping = new AbortController();
  #fetcher: Fetcher | undefined;
  #writer: PcapWriter | undefined;
  #linkType: number | undefined;
  #written = 0;
  #foreign = 0;
  #otherLinkType = 0;
  readonly #leftOutTypes = new Set<number>();
  #foreignReported = false;

  constructor(output: Writable, options: ConsumeOptions, logger: Logger) {
    this.#output = output;
    this.#options = options;
    this.#logger = logger;
    this.#linkType = options.linkType ?? (options.headerNow ? ETHERNET : undefined);
    this.done = this.#run();
  }

  stop(): void {
    if (this.#stopping.signal.aborted) return;
    this.#logger.debug("Clean shutdown process started");
    this.#stopping.abort();
    this.#fetcher?.stop();
  }

  summary(): ConsumeSummary {
    return {
      received: this.#fetcher?.recordCount ?? 0,
      written: this.#written,
      foreign: this.#foreign,
      otherLinkType: this.#otherLinkType,
    };
  }

  async #run(): Promise<ConsumeSummary> {
    const transport = createTransport(this.#options.kafka, this.#logger);
    // A reader that goes away also ends a run that waits for frames.
    this.#output.on("error", () => this.stop());
    if (this.#linkType !== undefined) this.#beginOutput(this.#linkType);
    try {
      await this.#streamOut(transport);
      if (this.#options.prettyPrint === undefined) {
        this.#beginOutput(this.#linkType ?? ETHERNET);
        await this.#writer!.end();
      }
    } catch (error) {
      if (!this.#isExpectedEnd(error)) throw asOutputError(error);
    } finally {
      await transport.close();
    }
    return this.summary();
  }

  #isExpectedEnd(error: unknown): boolean {
    if (!(error instanceof Error)) return false;
    if ((error as NodeJS.ErrnoException).code === "EPIPE") return true;
    return this.#stopping.signal.aborted && error.name === "AbortError";
  }

  async #streamOut(transport: Transport): Promise<void> {
    const { kafka, exitAtEnd } = this.#options;
    const { signal } = this.#stopping;
    this.#logger.debug(
      `Connecting to Kafka; ${JSON.stringify({
        "bootstrap.servers": kafka.brokers.map(({ host, port }) => `${host}:${port}`).join(","),
        "client.id": kafka.clientId,
      })}`,
    );
    await transport.connect(signal);
    const leaders = await this.#waitForTopic(transport);
    const extent = await this.#findExtent(transport, leaders);
    if (this.#linkType === undefined && this.#options.prettyPrint === undefined) {
      const linkType = await findLastLinkType(transport, { ...extent, ...this.#options });
      if (linkType !== undefined) this.#beginOutput(linkType);
    }
    const fetcher = this.#createFetcher(transport, extent);
    this.#fetcher = fetcher;
    signal.throwIfAborted();
    const silence = exitAtEnd
      ? undefined
      : setTimeout(() => this.#breakSilence(extent), SILENCE_MS);
    try {
      for await (const chunk of fetcher.chunks()) {
        clearTimeout(silence);
        await this.#take(chunk);
        if (this.#isFull()) break;
      }
    } finally {
      clearTimeout(silence);
      fetcher.stop();
    }
  }

  async #waitForTopic(transport: Transport): Promise<readonly number[]> {
    const { topic, kafka, exitAtEnd } = this.#options;
    const { signal } = this.#stopping;
    for (let told = false; ; told = true) {
      const leaders = await findTopic(transport, topic, kafka, signal);
      if (leaders !== undefined) return leaders;
      if (exitAtEnd) {
        throw new PcaptsError(
          "TOPIC_MISSING",
          `Cannot read topic "${topic}": it does not exist (-t)`,
        );
      }
      if (!told) this.#logger.warn(`Topic "${topic}" does not exist; waiting for it`);
      await sleep(TOPIC_POLL_MS, undefined, { signal });
    }
  }

  async #findExtent(transport: Transport, leaders: readonly number[]): Promise<Extent> {
    const { topic, fetcher, start } = this.#options;
    const query = {
      topic,
      leaders,
      partitions: [...leaders.keys()],
      readCommitted: fetcher.isolation === "read_committed",
    };
    const [begin, end, from] = await Promise.all([
      listOffsets(transport, { ...query, at: "begin" }),
      listOffsets(transport, { ...query, at: "end" }),
      start.kind === "time" ? listOffsets(transport, { ...query, at: offsetQueryOf(start) }) : null,
    ]);
    return { leaders, begin, end, start: from ?? (start.kind === "begin" ? begin : end) };
  }

  #createFetcher(transport: Transport, { leaders, start, end }: Extent): Fetcher {
    const { topic, fetcher, kafka, exitAtEnd, fileType, prettyPrint } = this.#options;
    return new Fetcher({
      transport,
      topic,
      leaders,
      start,
      until: exitAtEnd ? end : undefined,
      options: fetcher,
      client: kafka,
      nanosecond: fileType === "nsecpcap",
      withOffsets: prettyPrint !== undefined,
      logger: this.#logger,
      onForeignRecord: (partition, offset, reason) => this.#countForeign(partition, offset, reason),
      ...(prettyPrint && {
        onEndOfPartition: (partition: number, offset: bigint) =>
          prettyPrint.print(formatEndOfPartition(prettyPrint.format, topic, partition, offset)),
      }),
    });
  }

  async #take(fetched: FetchedChunk): Promise<void> {
    const { topic, maxPackets, prettyPrint } = this.#options;
    const limit = maxPackets > 0 ? maxPackets - this.#written : Infinity;
    if (prettyPrint !== undefined) {
      const chunk = { ...fetched, ...takeFrames(fetched, limit) };
      printConsumed(prettyPrint, topic, chunk, this.#written);
      this.#written += chunk.frameCount;
      return;
    }
    if (this.#writer === undefined) {
      const first = fetched.interfaceOf?.[0] ?? 0;
      this.#beginOutput(fetched.interfaces[first]!.linkType);
    }
    const ofType = keepLinkType(fetched, this.#linkType!);
    if (ofType !== fetched) this.#countOtherLinkTypes(fetched, ofType.frameCount);
    const chunk = takeFrames(ofType, limit);
    if (chunk.frameCount === 0) return;
    await this.#writer!.writeChunk(chunk);
    this.#written += chunk.frameCount;
  }

  #isFull(): boolean {
    const { maxPackets } = this.#options;
    return maxPackets > 0 && this.#written >= maxPackets;
  }

  #beginOutput(linkType: number): void {
    if (this.#writer !== undefined || this.#options.prettyPrint !== undefined) return;
    const { fileType, snapLengthBytes } = this.#options;
    this.#linkType = linkType;
    this.#writer = new PcapWriter(this.#output, {
      linkType,
      snapLengthBytes,
      nanosecond: fileType === "nsecpcap",
    });
  }

  #countOtherLinkTypes({ frameCount, interfaces, interfaceOf }: FetchedChunk, kept: number): void {
    this.#otherLinkType += frameCount - kept;
    const used = interfaceOf === undefined ? [0] : new Set(interfaceOf.subarray(0, frameCount));
    for (const index of used) {
      const { linkType } = interfaces[index]!;
      if (linkType === this.#linkType || this.#leftOutTypes.has(linkType)) continue;
      this.#leftOutTypes.add(linkType);
      this.#logger.warn(
        `Frames of link type ${formatLinkType(linkType)} are left out: a pcap file has one link type, ` +
          `this one ${formatLinkType(this.#linkType!)}; -F pcapng carries them all, --linktype ${linkType} takes these`,
      );
    }
  }

  #countForeign(partition: number, offset: bigint, reason: string): void {
    this.#foreign++;
    if (this.#foreignReported) return;
    this.#foreignReported = true;
    this.#logger.warn(
      `Record at topic "${this.#options.topic}", partition ${partition}, offset ${offset} is not a frame: ` +
        `${reason}; it is skipped, and so are others, which the summary counts`,
    );
  }

  #breakSilence({ begin, end }: Extent): void {
    let stored = 0n;
    for (const [partition, offset] of end) stored += offset - (begin.get(partition) ?? offset);
    const { topic } = this.#options;
    this.#logger.info(
      stored > 0n
        ? `No frame yet; about ${stored} are stored in topic "${topic}", -o begin reads them`
        : `No frame yet; topic "${topic}" is empty`,
    );
  }
}

function asOutputError(error: unknown): unknown {
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  if (error instanceof PcaptsError || syscall !== "write") return error;
  const reason = code === "ENOSPC" ? "no space left on the device" : message;
  return new PcaptsError("OUTPUT_NOT_WRITABLE", `Cannot write the output: ${reason}`, {
    cause: error,
  });
}
