import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { isLoopbackHost } from "../packet/loopback-host.ts";
import { BufferPool } from "./buffer-pool.ts";
import type { BrokerState } from "./broker-api.ts";
import { ClientConnection } from "./client-connection.ts";
import { DataDirectory, readBootId } from "./data-directory.ts";
import { type BrokerFaults, NO_FAULTS } from "./faults.ts";
import { GroupCoordinator } from "./group-coordinator.ts";
import { GroupOffsets } from "./group-offsets.ts";
import type { FsyncPolicy } from "./partition-settings.ts";
import type { TopicConfig } from "./topic-settings.ts";
import { TopicStore } from "./topic-store.ts";

/** How a broker is to be. */
export interface BrokerOptions {
  /** Where it listens; port 0 takes a free one. */
  readonly host: string;
  readonly port: number;
  /** Where it keeps everything; made when missing. */
  readonly dataDirectory: string;
  /** Listen elsewhere than on loopback, although nothing is protected. */
  readonly insecureListen: boolean;
  /** Partitions of a topic that is created without saying how many. */
  readonly partitions: number;
  /** `retention.ms`, `retention.bytes`, `segment.bytes` of topics that do not set them. */
  readonly topicDefaults: TopicConfig;
  readonly fsync: FsyncPolicy;
  readonly logger: Logger;
  /** How long a client may stop in the middle of a request or an answer; 30 seconds. */
  readonly stalledMs?: number;
  /** For tests of clients. */
  readonly faults?: BrokerFaults;
  /** Wall clock in milliseconds. */
  readonly now?: () => number;
}

const MEBIBYTE = 1024 * 1024;
/** Requests and answers that are on their way, of all clients together. */
const REQUEST_MEMORY_BYTES = 32 * MEBIBYTE;
const FETCH_MEMORY_BYTES = 32 * MEBIBYTE;
const MOST_CONNECTIONS = 1000;

const CHECKPOINT_MS = 1000;
const RETENTION_MS = 30_000;
/** Clients get so long to take their last answers. */
const CLOSE_MS = 1000;

/**
 * A Kafka broker of one node: topics on disk, groups, idempotent producers. It
 * has no replication, no transactions and no security.
 *
 * @example
 * const broker = await Broker.open({ host: "127.0.0.1", port: 0, dataDirectory, … });
 * connect(`127.0.0.1:${broker.port}`);
 * await broker.close();
 */
export class Broker {
  readonly #server: Server;
  readonly #state: BrokerState;
  readonly #connections: Set<ClientConnection>;
  readonly #timers: NodeJS.Timeout[];
  readonly port: number;
  #closing: Promise<void> | undefined;

  private constructor(
    server: Server,
    state: BrokerState,
    connections: Set<ClientConnection>,
    timers: NodeJS.Timeout[],
  ) {
    this.#server = server;
    this.#state = state;
    this.#connections = connections;
    this.#timers = timers;
    const address = server.address();
    this.port = typeof address === "object" && address !== null ? address.port : 0;
  }

  /**
   * Opens the data directory, brings its logs in order, and listens.
   *
   * @throws PcaptsError USAGE, BROKER_DATA_DIRECTORY, BROKER_LISTEN
   */
  static async open(options: BrokerOptions): Promise<Broker> {
    const { host, logger, fsync } = options;
    if (!options.insecureListen && !isLoopbackHost(host)) {
      throw new PcaptsError(
        "USAGE",
        `The broker does not listen on "${host}": whoever reaches it may read, write and delete everything; ` +
          "--insecure-listen allows it all the same",
      );
    }
    const began = performance.now();
    const data = await DataDirectory.open(options.dataDirectory);
    let topics: TopicStore | undefined;
    let offsets: GroupOffsets | undefined;
    try {
      const environment = {
        fsync,
        bootId: await readBootId(),
        logger,
        now: options.now ?? Date.now,
      };
      offsets = await GroupOffsets.open(join(data.path, "group-offsets.log"), fsync === "every");
      topics = await TopicStore.open(data.path, environment, options.topicDefaults);
      await forgetLostTopics(offsets, topics, logger);
      const state: BrokerState = {
        topics,
        groups: new GroupCoordinator(offsets, logger),
        data,
        topicDefaults: options.topicDefaults,
        partitions: options.partitions,
        fetchMemory: new BufferPool(FETCH_MEMORY_BYTES),
        faults: options.faults ?? NO_FAULTS,
        logger,
      };
      const connections = new Set<ClientConnection>();
      const server = await listen(options, state, connections);
      const broker = new Broker(server, state, connections, startTimers(topics, fsync));
      const ended = data.wasClean ? "" : ", after an end that was not in order";
      logger.debug(
        `Opened ${topics.logs().length} partition(s) in ${Math.round(performance.now() - began)} ms${ended}`,
      );
      return broker;
    } catch (error) {
      await topics?.close();
      await offsets?.close();
      await data.close(topics !== undefined);
      throw error;
    }
  }

  /** Answers what was asked, closes every connection and brings everything to the disk. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#state.groups.close();
    for (const connection of this.#connections) connection.close();
    const finished = new AbortController();
    await Promise.race([
      closed,
      sleep(CLOSE_MS, undefined, { signal: finished.signal }).catch(() => {}),
    ]);
    finished.abort();
    for (const connection of this.#connections) connection.destroy();
    await closed;
    await this.#state.topics.close();
    await this.#state.groups.offsets.close();
    await this.#state.data.close(true);
  }
}

/**
 * The end of a topic and that of its offsets are two writes: after a crash
 * between them, a topic of the same name would be read from where nothing is.
 */
async function forgetLostTopics(
  offsets: GroupOffsets,
  topics: TopicStore,
  logger: Logger,
): Promise<void> {
  for (const name of offsets.topics()) {
    if (topics.find(name) !== undefined) continue;
    await offsets.deleteTopic(name).catch((error: unknown) => {
      logger.warn(`Cannot forget the offsets of the lost topic "${name}": ${String(error)}`);
    });
  }
}

function listen(
  { host, port, stalledMs }: BrokerOptions,
  state: BrokerState,
  connections: Set<ClientConnection>,
): Promise<Server> {
  const memory = new BufferPool(REQUEST_MEMORY_BYTES);
  const server = createServer({ noDelay: true }, (socket) => {
    if (state.faults.refuseConnections?.() === true) {
      socket.destroy();
      return;
    }
    const connection = new ClientConnection(socket, state, memory, stalledMs);
    connections.add(connection);
    socket.once("close", () => connections.delete(connection));
  });
  server.maxConnections = MOST_CONNECTIONS;
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      reject(cannotListen(host, port, error));
    });
    server.listen(port, host, () => resolve(server));
  });
}

function cannotListen(host: string, port: number, error: NodeJS.ErrnoException): PcaptsError {
  const isTaken = error.code === "EADDRINUSE";
  const reason = isTaken ? "another program listens there" : error.message;
  return new PcaptsError(
    "BROKER_LISTEN",
    `Cannot listen at "${host}:${port}": ${reason}; choose another address with --listen HOST:PORT`,
    { cause: error },
  );
}

function startTimers(topics: TopicStore, fsync: FsyncPolicy): NodeJS.Timeout[] {
  const forEachLog = (
    ms: number,
    work: (log: ReturnType<TopicStore["logs"]>[number]) => Promise<void>,
  ): NodeJS.Timeout => {
    let isRunning = false;
    return setInterval(() => {
      if (isRunning) return;
      isRunning = true;
      // What cannot be done is said where it is tried, and tried again.
      void Promise.allSettled(topics.logs().map(work)).then(() => {
        isRunning = false;
      });
    }, ms);
  };
  const timers = [
    forEachLog(CHECKPOINT_MS, (log) => log.checkpoint("written")),
    forEachLog(RETENTION_MS, async (log) => {
      log.closeIdleFiles();
      await log.applyRetention();
    }),
  ];
  if (typeof fsync === "object") {
    timers.push(forEachLog(fsync.intervalMs, (log) => log.checkpoint("synced")));
  }
  return timers;
}

/** Whether only this machine reaches a host. */
