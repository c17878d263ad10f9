import Broker from "kafkajs/src/broker/index.js";
import { createLogger, LEVELS } from "kafkajs/src/loggers/index.js";
import ConnectionPool from "kafkajs/src/network/connectionPool.js";
import type { Connection } from "kafkajs/src/network/connectionPool.js";
import createSocketFactory from "kafkajs/src/network/socketFactory.js";
import { ByteReader } from "../bytes/byte-reader.ts";
import { PcaptsError } from "../errors.ts";
import { API } from "../kafka-wire/api.ts";
import type { ApiName, EncodedRequest } from "../kafka-wire/api.ts";
import { kafkaErrorInfo } from "../kafka-wire/error-codes.ts";
import type { Logger } from "../logger.ts";
import { AnswerMemory, createAnswerSocketFactory } from "./answer-reader.ts";
import { encodeRequestHeader, formatAddress } from "./broker-connection.ts";
import type { BrokerConnection } from "./broker-connection.ts";
import { addressOnTheWire } from "./broker-path.ts";
import type { BrokerPath } from "./broker-path.ts";
import type { BrokerAddress, KafkaClientOptions } from "./client-options.ts";
import { ConnectionError, connectionFailureReason } from "./connection-error.ts";

/**
 * What a connection is for. Each purpose has its own: a fetch that waits for
 * data must not hold up the rest.
 */
export type ConnectionPurpose = "requests" | "fetch";

/** Versions of each request that a broker knows, by API key. */
export type OfferedVersions = Readonly<
  Record<number, { minVersion: number; maxVersion: number } | undefined>
>;

/** Makes brokers with the settings of one run. */
export class BrokerFactory {
  readonly #options: KafkaClientOptions;
  readonly #logger: unknown;
  readonly #onConnected: () => void;

  /** @param onConnected hears of each new connection */
  constructor(options: KafkaClientOptions, logger: Logger, onConnected: () => void = () => {}) {
    this.#options = options;
    this.#onConnected = onConnected;
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
    const createBroker = (purpose: ConnectionPurpose): CreatedBroker =>
      this.#createBroker(address, purpose);
    return new KafkajsBroker(address, nodeId, createBroker, this.#onConnected);
  }

  #createBroker(address: BrokerAddress, purpose: ConnectionPurpose): CreatedBroker {
    const memory = new AnswerMemory();
    const { clientId, connectionSetupTimeoutMs, requestTimeoutMs } = this.#options;
    const connectionPool = new ConnectionPool({
      ...address,
      clientId,
      connectionTimeout: connectionSetupTimeoutMs,
      requestTimeout: requestTimeoutMs,
      enforceRequestTimeout: true,
      // TLS would need kafkajs's own in any case; `giveBack` then does nothing.
      socketFactory:
        purpose === "fetch" ? createAnswerSocketFactory(memory) : createSocketFactory(),
      logger: this.#logger,
      ssl: null,
      sasl: null,
    });
    for (const connection of connectionPool.pool) {
      const { requestQueue } = connection;
      const processData = connection.processData.bind(connection);
      connection.processData = (data) => {
        // kafkajs would copy what arrives behind the nothing that the last answer left.
        if (connection.bytesBuffered === 0) connection.chunks = [];
        processData(data);
      };
      // kafkajs arms a timer with a negative delay for each answer, which costs and which Node 24 warns about.
      const schedule = requestQueue.scheduleCheckPendingRequests.bind(requestQueue);
      requestQueue.scheduleCheckPendingRequests = () => {
        if (requestQueue.pending.length > 0) schedule();
      };
    }
    const broker = new Broker({ connectionPool, logger: this.#logger });
    return { broker, memory, requestTimeoutMs };
  }
}

interface CreatedBroker {
  readonly broker: Broker;
  readonly memory: AnswerMemory;
  readonly requestTimeoutMs: number;
}

/** One broker, reached through kafkajs: it connects, asks for versions and authenticates. */
export class KafkajsBroker {
  nodeId: number;
  readonly host: string;
  readonly port: number;
  /** host:port, for messages and to tell brokers apart. */
  readonly address: string;
  readonly #createBroker: (purpose: ConnectionPurpose) => CreatedBroker;
  readonly #onConnected: () => void;
  readonly #open = new Map<ConnectionPurpose, KafkajsConnection>();
  readonly #connecting = new Map<ConnectionPurpose, Promise<KafkajsConnection>>();
  readonly #brokers = new Set<Broker>();
  #versions: OfferedVersions = {};
  #isClosed = false;

  constructor(
    address: BrokerAddress,
    nodeId: number,
    createBroker: (purpose: ConnectionPurpose) => CreatedBroker,
    onConnected: () => void,
  ) {
    this.nodeId = nodeId;
    this.host = address.host;
    this.port = address.port;
    this.address = formatAddress(address);
    this.#createBroker = createBroker;
    this.#onConnected = onConnected;
  }

  /** What the broker said at the last connection; empty before the first. */
  get versions(): OfferedVersions {
    return this.#versions;
  }

  /** True when a connection for requests is open. */
  get isOpen(): boolean {
    return this.#open.get("requests")?.isOpen() === true;
  }

  /** Addresses of both ends of each open connection. */
  get paths(): readonly BrokerPath[] {
    return [...this.#open.values()].flatMap((connection) => connection.path ?? []);
  }

  /** The open connection, or a new one. @throws ConnectionError */
  async connection(purpose: ConnectionPurpose): Promise<BrokerConnection> {
    return this.#connection(purpose);
  }

  async #connection(purpose: ConnectionPurpose): Promise<KafkajsConnection> {
    const open = this.#open.get(purpose);
    if (open?.isOpen() === true) return open;
    let connecting = this.#connecting.get(purpose);
    if (connecting === undefined) {
      connecting = this.#connect(purpose).finally(() => this.#connecting.delete(purpose));
      this.#connecting.set(purpose, connecting);
    }
    return connecting;
  }

  /**
   * A lost connection is never opened again: kafkajs's would take what it had
   * of an answer for the beginning of the next one.
   */
  async #connect(purpose: ConnectionPurpose): Promise<KafkajsConnection> {
    this.#open.get(purpose)?.close("replaced");
    const created = this.#createBroker(purpose);
    const { broker } = created;
    this.#brokers.add(broker);
    try {
      await broker.connect();
      if (this.#isClosed) throw new ConnectionError("closed");
      const opened = new KafkajsConnection(this, created, () => this.#brokers.delete(broker));
      this.#versions = broker.versions ?? {};
      this.#open.set(purpose, opened);
      this.#onConnected();
      return opened;
    } catch (error) {
      this.#brokers.delete(broker);
      abandon(broker, "the connection failed");
      throw asConnectionError(this.address, error);
    }
  }

  /**
   * Settings of a topic or broker by name.
   *
   * @param type resource type of DescribeConfigs
   * @returns the name of the broker's error when it answers with one
   * @throws ConnectionError
   */
  async describe(
    type: number,
    resource: string,
    names: readonly string[],
  ): Promise<ReadonlyMap<string, string> | string> {
    const connection = await this.#connection("requests");
    return connection.describe(type, resource, names);
  }

  /** Gives every connection up. */
  close(): void {
    this.#isClosed = true;
    for (const broker of this.#brokers) abandon(broker, "closed");
    this.#brokers.clear();
  }
}

class KafkajsConnection implements BrokerConnection {
  readonly #owner: KafkajsBroker;
  readonly #broker: Broker;
  readonly #connection: Connection;
  readonly #memory: AnswerMemory;
  readonly #requestTimeoutMs: number;
  readonly #onClose: () => void;

  constructor(
    owner: KafkajsBroker,
    { broker, memory, requestTimeoutMs }: CreatedBroker,
    onClose: () => void,
  ) {
    this.#owner = owner;
    this.#broker = broker;
    this.#connection = connectionOf(broker);
    this.#memory = memory;
    this.#requestTimeoutMs = requestTimeoutMs;
    this.#onClose = onClose;
  }

  get nodeId(): number {
    return this.#owner.nodeId;
  }

  get address(): string {
    return this.#owner.address;
  }

  /** Addresses of both ends; undefined once the connection is lost. */
  get path(): BrokerPath | undefined {
    if (!this.isOpen()) return undefined;
    const { localAddress, remoteAddress, remotePort } = this.#connection.socket!;
    if (localAddress === undefined || remoteAddress === undefined || remotePort === undefined) {
      return undefined;
    }
    return {
      localAddress: addressOnTheWire(localAddress),
      remoteAddress: addressOnTheWire(remoteAddress),
      remotePort,
    };
  }

  isOpen(): boolean {
    return this.#connection.isConnected() && this.#connection.socket?.writable === true;
  }

  versionOf(api: ApiName): number {
    const { key, minVersion, maxVersion } = API[api];
    const offered = this.#broker.versions?.[key];
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

  giveBack(bytes: Buffer): void {
    this.#memory.giveBack(bytes);
  }

  #write(header: Buffer, body: readonly Buffer[]): void {
    const socket = this.#connection.socket!;
    socket.cork();
    socket.write(header);
    for (const piece of body) socket.write(piece);
    socket.uncork();
  }

  async describe(
    type: number,
    resource: string,
    names: readonly string[],
  ): Promise<ReadonlyMap<string, string> | string> {
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
      const { code } = error as { code?: unknown };
      if (typeof code === "number") return kafkaErrorInfo(code).name;
      throw asConnectionError(this.address, error);
    }
  }

  close(reason: string): void {
    abandon(this.#broker, reason);
    this.#onClose();
  }
}

/** The one that kafkajs uses for all requests but its own fetches, which are not used here. */
function connectionOf(broker: Broker): Connection {
  return broker.connectionPool.pool[0]!;
}

/**
 * kafkajs's `disconnect` alone would still send what is buffered, and wait for answers. It ends a
 * connection attempt, and its timer, only for an error.
 */
function abandon(broker: Broker, reason: string): void {
  const connection = connectionOf(broker);
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
