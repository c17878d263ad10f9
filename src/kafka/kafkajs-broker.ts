import Broker from "kafkajs/src/broker/index.js";
import { createLogger, LEVELS } from "kafkajs/src/loggers/index.js";
import ConnectionPool from "kafkajs/src/network/connectionPool.js";
import type { Connection } from "kafkajs/src/network/connectionPool.js";
import createSocketFactory from "kafkajs/src/network/socketFactory.js";
import { ByteReader } from "../bytes/byte-reader.ts";
import { PcaptsError } from "../errors.ts";
import { API } from "../kafka-wire/api.ts";
import type { ApiName, EncodedRequest } from "../kafka-wire/api.ts";
import type { Logger } from "../logger.ts";
import { encodeRequestHeader, formatAddress } from "./broker-connection.ts";
import type { BrokerConnection } from "./broker-connection.ts";
import type { BrokerAddress, KafkaClientOptions } from "./client-options.ts";
import { ConnectionError, connectionFailureReason } from "./connection-error.ts";

/**
 * What a connection is for. kafkajs keeps two to a broker: a fetch that waits
 * for data must not hold up the rest.
 */
export type ConnectionPurpose = "requests" | "fetch";

const POOL_INDEX = { requests: 0, fetch: 1 } as const;

/** Makes brokers with the settings of one run. */
export class BrokerFactory {
  readonly #options: KafkaClientOptions;
  readonly #logger: unknown;

  constructor(options: KafkaClientOptions, logger: Logger) {
    this.#options = options;
    this.#logger = createLogger({
      level: logger.isDebugEnabled() ? LEVELS.DEBUG : LEVELS.NOTHING,
      logCreator:
        () =>
        ({ namespace, log }) =>
          logger.debug(`kafkajs ${namespace}: ${log.message}`),
    });
  }

  /** @param nodeId -1 for a bootstrap server whose id is not known yet */
  create(address: BrokerAddress, nodeId: number): KafkajsBroker {
    const { clientId, connectionSetupTimeoutMs, requestTimeoutMs } = this.#options;
    const connectionPool = new ConnectionPool({
      ...address,
      clientId,
      connectionTimeout: connectionSetupTimeoutMs,
      requestTimeout: requestTimeoutMs,
      enforceRequestTimeout: true,
      socketFactory: createSocketFactory(),
      logger: this.#logger,
      ssl: null,
      sasl: null,
    });
    for (const { requestQueue } of connectionPool.pool) {
      // kafkajs arms a timer with a negative delay for each answer, which costs and which Node 24 warns about.
      const schedule = requestQueue.scheduleCheckPendingRequests.bind(requestQueue);
      requestQueue.scheduleCheckPendingRequests = () => {
        if (requestQueue.pending.length > 0) schedule();
      };
    }
    const broker = new Broker({ connectionPool, logger: this.#logger });
    return new KafkajsBroker(broker, nodeId, requestTimeoutMs);
  }
}

/** One broker, reached through kafkajs: it connects, asks for versions and authenticates. */
export class KafkajsBroker {
  nodeId: number;
  /** host:port, for messages and to tell brokers apart. */
  readonly address: string;
  readonly #broker: Broker;
  readonly #requestTimeoutMs: number;
  readonly #open = new Map<ConnectionPurpose, KafkajsConnection>();
  readonly #connecting = new Map<ConnectionPurpose, Promise<BrokerConnection>>();
  #closed = false;

  constructor(broker: Broker, nodeId: number, requestTimeoutMs: number) {
    this.#broker = broker;
    this.nodeId = nodeId;
    this.address = formatAddress(broker.connectionPool);
    this.#requestTimeoutMs = requestTimeoutMs;
  }

  /** Versions of each request that the broker knows, by API key; empty before the first connection. */
  get versions(): Readonly<Record<number, { minVersion: number; maxVersion: number } | undefined>> {
    return this.#broker.versions ?? {};
  }

  /** True when a connection for requests is open. */
  get isOpen(): boolean {
    return this.#open.get("requests")?.isOpen() === true;
  }

  /** The open connection, or a new one. @throws ConnectionError */
  async connection(purpose: ConnectionPurpose): Promise<BrokerConnection> {
    const open = this.#open.get(purpose);
    if (open?.isOpen() === true) return open;
    // kafkajs would open a second socket for a second caller.
    let connecting = this.#connecting.get(purpose);
    if (connecting === undefined) {
      connecting = this.#connect(purpose).finally(() => this.#connecting.delete(purpose));
      this.#connecting.set(purpose, connecting);
    }
    return connecting;
  }

  async #connect(purpose: ConnectionPurpose): Promise<BrokerConnection> {
    const pool = this.#broker.connectionPool;
    const index = POOL_INDEX[purpose];
    try {
      const stale = pool.pool[index]!;
      if (stale.isConnected() && stale.socket?.writable !== true) {
        abandon(stale, "the connection is closed");
        await stale.disconnect();
      }
      // Asks for versions through connection 0 the first time.
      await this.#broker.connect();
      const connection = await pool.getConnection(index);
      await connection.authenticate();
      if (this.#closed) throw new ConnectionError("closed");
      const opened = new KafkajsConnection(this, connection, this.#requestTimeoutMs);
      this.#open.set(purpose, opened);
      return opened;
    } catch (error) {
      throw asConnectionError(this.address, error);
    }
  }

  /**
   * Settings of a topic or broker by name.
   *
   * @param type resource type of DescribeConfigs
   * @returns undefined when the broker answers with an error
   * @throws ConnectionError
   */
  async describe(
    type: number,
    resource: string,
    names: readonly string[],
  ): Promise<ReadonlyMap<string, string> | undefined> {
    await this.connection("requests");
    try {
      const { resources } = await this.#broker.describeConfigs({
        resources: [{ type, name: resource, configNames: [...names] }],
      });
      const settings = new Map<string, string>();
      for (const { configEntries } of resources) {
        for (const { configName, configValue } of configEntries) {
          if (configValue !== null) settings.set(configName, configValue);
        }
      }
      return settings;
    } catch (error) {
      if (typeof (error as { code?: unknown }).code === "number") return undefined;
      throw asConnectionError(this.address, error);
    }
  }

  /** Gives both connections up. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#broker.connectionPool.pool) abandon(connection, "closed");
  }
}

class KafkajsConnection implements BrokerConnection {
  readonly #broker: KafkajsBroker;
  readonly #connection: Connection;
  readonly #socket: Connection["socket"];
  readonly #requestTimeoutMs: number;

  constructor(broker: KafkajsBroker, connection: Connection, requestTimeoutMs: number) {
    this.#broker = broker;
    this.#connection = connection;
    this.#socket = connection.socket;
    this.#requestTimeoutMs = requestTimeoutMs;
  }

  get nodeId(): number {
    return this.#broker.nodeId;
  }

  get address(): string {
    return this.#broker.address;
  }

  isOpen(): boolean {
    return (
      this.#connection.isConnected() &&
      this.#connection.socket === this.#socket &&
      this.#socket?.writable === true
    );
  }

  versionOf(api: ApiName): number {
    const { key, minVersion, maxVersion } = API[api];
    const offered = this.#broker.versions[key];
    if (
      offered === undefined ||
      offered.maxVersion < minVersion ||
      offered.minVersion > maxVersion
    ) {
      throw new PcaptsError(
        "BROKER_PROTOCOL",
        `Cannot use the broker at "${this.address}": it offers ${api} versions ` +
          `${offered === undefined ? "none" : `${offered.minVersion} to ${offered.maxVersion}`}, ` +
          `${minVersion} to ${maxVersion} are spoken here`,
      );
    }
    return Math.min(maxVersion, offered.maxVersion);
  }

  async send<Response>(request: EncodedRequest<Response>): Promise<Response> {
    if (!this.isOpen()) throw new ConnectionError(`${this.address}: the connection is closed`);
    const connection = this.#connection;
    const correlationId = connection.nextCorrelationId();
    const header = encodeRequestHeader(request, correlationId, connection.clientId);
    let payload: Buffer;
    try {
      ({ payload } = await new Promise<{ payload: Buffer }>((resolve, reject) => {
        connection.requestQueue.push({
          entry: {
            apiKey: API[request.api].key,
            apiName: request.api,
            apiVersion: request.version,
            correlationId,
            resolve,
            reject,
          },
          expectResponse: true,
          requestTimeout: request.timeoutMs ?? this.#requestTimeoutMs,
          sendRequest: () => this.#write(header, request.body),
        });
      }));
    } catch (error) {
      // After a time-out the answer could still come; and what is buffered must not be sent once
      // the memory of the request is used for something else.
      this.close(connectionFailureReason(error));
      throw asConnectionError(this.address, error);
    }
    return request.decode(new ByteReader(payload));
  }

  #write(header: Buffer, body: readonly Buffer[]): void {
    const socket = this.#socket!;
    socket.cork();
    socket.write(header);
    for (const piece of body) socket.write(piece);
    socket.uncork();
  }

  close(reason: string): void {
    if (this.#connection.socket === this.#socket) abandon(this.#connection, reason);
  }
}

/**
 * kafkajs's `disconnect` alone would still send what is buffered, and wait for answers. It ends a
 * connection attempt, and its timer, only for an error.
 */
function abandon(connection: Connection, reason: string): void {
  connection.socket?.destroy(new ConnectionError(reason));
  connection.rejectRequests(new ConnectionError(reason));
  void connection.disconnect();
}

function asConnectionError(address: string, error: unknown): Error {
  if (error instanceof PcaptsError) return error;
  const reason = connectionFailureReason(error);
  const message = reason.startsWith(address) ? reason : `${address}: ${reason}`;
  return new ConnectionError(message, { cause: error });
}
