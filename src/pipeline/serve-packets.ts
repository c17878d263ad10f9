import type { Socket } from "node:net";
import { type ListenAddress, StreamListener } from "../capture/stream-listener.ts";
import { PcaptsError } from "../errors.ts";
import { findTopic } from "../kafka/topic.ts";
import { createTransport, type Transport } from "../kafka/transport.ts";
import type { Logger } from "../logger.ts";
import { PacketReader, type ReaderEnd } from "./packet-reader.ts";
import type { ConsumeOptions, ConsumeSummary, Run, RunProgress } from "./pipeline-options.ts";
import type { ConsumerStatus } from "./run-status.ts";
import { checkTopicFilter } from "./topic-filter.ts";

/** How often the brokers are asked for the topic, so that it is known how things stand. */
const LOOK_EVERY_MS = 10_000;

/** Where {@link servePackets} listens, for whom. */
export interface ServeOptions extends ListenAddress {
  /** Readers at a time; more are turned away. */
  readonly maxReaders: number;
  /** What a reader gets that connects now. */
  readonly consume: () => ConsumeOptions;
  /** Told of readers. */
  readonly onConnect?: (address: string, readers: number) => void;
  /** Told of their ends, with what each got. */
  readonly onEnd?: (address: string, end: ReaderEnd, summary: ConsumeSummary) => void;
  /** Told of the first that is turned away, and again once there was room. */
  readonly onFull?: () => void;
}

/** What all readers together got. */
export interface ServeSummary extends ConsumeSummary {
  /** Readers that were served, those that are connected included. */
  readers: number;
  /** Readers that are connected now. */
  connected: number;
  /** Readers that were turned away, because there were as many as may be. */
  refused: number;
  /** Readers whose reading failed. */
  failed: number;
}

/** A server at work. */
export interface PacketServer extends Run<ServeSummary> {
  /** Where it listens. */
  readonly port: number;
  /** How it stands: of each partition the reader that is furthest behind. */
  status(): ConsumerStatus;
}

/**
 * Serves a topic's frames as pcap-over-IP: whoever connects gets a capture file, from where `consume()` says
 * at that moment, for as long as it reads. Each has a reading of the topic of its own.
 *
 * ```ts
 * const server = await servePackets({ host: "127.0.0.1", port: 57012, maxReaders: 32, consume: () => options }, logger);
 * process.once("SIGTERM", () => server.stop());
 * await server.done;
 * ```
 *
 * `done` resolves after `stop()`, when every reader has a whole file or was given up.
 *
 * @throws PcaptsError what keeps a consumer of these options from starting; LISTEN_FAILED
 */
export async function servePackets(options: ServeOptions, logger: Logger): Promise<PacketServer> {
  const { kafka, topic, filter, exitAtEnd, topicMustExist = exitAtEnd } = options.consume();
  if (filter !== undefined) checkTopicFilter(filter);
  const transport = createTransport(kafka, logger);
  try {
    await transport.connect();
    const isKnown = (await findTopic(transport, topic, kafka)) !== undefined;
    if (!isKnown && topicMustExist) {
      throw new PcaptsError(
        "TOPIC_MISSING",
        `Cannot serve topic "${topic}": it does not exist (-t)`,
      );
    }
    if (!isKnown) logger.warn(`Topic "${topic}" does not exist; readers wait for it`);
    const server = new ReaderServer(options, topic, transport, logger);
    await server.listen();
    return server;
  } catch (error) {
    await transport.close();
    throw error;
  }
}

class ReaderServer implements PacketServer {
  readonly done: Promise<ServeSummary>;
  readonly #options: ServeOptions;
  readonly #topic: string;
  readonly #transport: Transport;
  readonly #logger: Logger;
  readonly #listener: StreamListener;
  readonly #readers = new Set<PacketReader>();
  /** Of readers that have ended. */
  readonly #ended: ServeSummary = {
    readers: 0,
    connected: 0,
    refused: 0,
    failed: 0,
    received: 0,
    written: 0,
    foreign: 0,
    otherLinkType: 0,
    filtered: 0,
    notFilterable: 0,
    outOfRange: 0,
    late: 0,
    missed: 0,
  };
  readonly #timer: NodeJS.Timeout;
  #endedBytes = 0;
  #isTopicKnown = true;
  #isFull = false;
  #isStopped = false;
  #finish = (): void => {};

  constructor(options: ServeOptions, topic: string, transport: Transport, logger: Logger) {
    this.#options = options;
    this.#topic = topic;
    this.#transport = transport;
    this.#logger = logger;
    this.#listener = new StreamListener(
      {
        address: options,
        flag: "--listen",
        peer: "Reader",
        maxPeers: options.maxReaders,
        // A reader may close its direction, as nc does at the end of its input, and read on.
        allowHalfOpen: true,
        onPeer: (socket, address) => this.#serve(socket, address),
        onRefused: () => this.#refuse(),
      },
      logger,
    );
    this.#timer = setInterval(() => void this.#look(), LOOK_EVERY_MS);
    this.done = new Promise<void>((resolve) => {
      this.#finish = resolve;
    }).then(() => this.#end());
  }

  get port(): number {
    return this.#listener.port;
  }

  /** @throws PcaptsError LISTEN_FAILED */
  listen(): Promise<void> {
    return this.#listener.listen();
  }

  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#listener.close();
    for (const reader of this.#readers) reader.stop();
    this.#finish();
  }

  summary(): ServeSummary {
    const all = { ...this.#ended, connected: this.#readers.size };
    for (const reader of this.#readers) addUp(all, reader.summary());
    return all;
  }

  progress(): RunProgress {
    let bytes = this.#endedBytes;
    for (const reader of this.#readers) bytes += reader.progress().bytes;
    return { frames: this.summary().written, bytes, share: undefined };
  }

  status(): ConsumerStatus {
    const lag = new Map<number, number | undefined>();
    for (const reader of this.#readers) {
      for (const [partition, records] of reader.status().lag) {
        lag.set(partition, Math.max(lag.get(partition) ?? 0, records ?? 0));
      }
    }
    return { brokers: this.#transport.connections(), isTopicKnown: this.#isTopicKnown, lag };
  }

  async #end(): Promise<ServeSummary> {
    await Promise.all([...this.#readers].map(({ done }) => done));
    clearInterval(this.#timer);
    await this.#transport.close();
    return this.summary();
  }

  #serve(socket: Socket, address: string): void {
    if (this.#isStopped) {
      socket.destroy();
      return;
    }
    this.#isFull = false;
    const reader = new PacketReader(socket, address, this.#options.consume(), this.#logger);
    this.#readers.add(reader);
    this.#ended.readers++;
    this.#options.onConnect?.(address, this.#readers.size);
    void reader.done.then((end) => {
      this.#readers.delete(reader);
      addUp(this.#ended, reader.summary());
      this.#endedBytes += reader.progress().bytes;
      if (end.how === "failed") this.#ended.failed++;
      this.#options.onEnd?.(address, end, reader.summary());
    });
  }

  #refuse(): void {
    this.#ended.refused++;
    if (!this.#isFull) this.#options.onFull?.();
    this.#isFull = true;
  }

  async #look(): Promise<void> {
    const found = await this.#transport.lookUpTopic(this.#topic).catch(() => undefined);
    if (found !== undefined) this.#isTopicKnown = "leaders" in found;
  }
}

function addUp(sum: ServeSummary, part: ConsumeSummary): void {
  for (const name of Object.keys(part) as (keyof ConsumeSummary)[]) sum[name] += part[name];
}
