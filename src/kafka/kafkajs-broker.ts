import Broker from "kafkajs/src/broker/index.js";
import providePlain from "kafkajs/src/broker/saslAuthenticator/plain.js";
import provideScram256 from "kafkajs/src/broker/saslAuthenticator/scram256.js";
import provideScram512 from "kafkajs/src/broker/saslAuthenticator/scram512.js";
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
import { ClientIdentity } from "./client-identity.ts";
import type { BrokerAddress, KafkaClientOptions } from "./client-options.ts";
import { ConnectionError, connectionFailureReason } from "./connection-error.ts";
import { CredentialsError } from "./credentials-error.ts";
import { Login } from "./login.ts";
import { SessionRenewal } from "./session-renewal.ts";
import { createTlsSettings } from "./tls-settings.ts";
import type { TlsSettings } from "./tls-settings.ts";

/**
 * What a connection is for. Each purpose has its own: a fetch that waits for
 * data must not hold up the rest.
 */
export type ConnectionPurpose = "requests" | "fetch";

/** Versions of each request that a broker knows, by API key. */
export type OfferedVersions = Readonly<
  Record<number, { minVersion: number; maxVersion: number } | undefined>
>;

/** kafkajs's debug messages carry these beside their text; no other, which may be secret. */
const LOGGED_FIELDS = ["broker", "size"] as const;

/** Makes brokers with the settings of one run. */
export class BrokerFactory {
  /** Who the brokers see. */
  readonly identity: ClientIdentity;
  readonly #options: KafkaClientOptions;
  readonly #logger: Logger;
  readonly #kafkajsLogger: unknown;
  readonly #tls: TlsSettings | null;

  constructor(options: KafkaClientOptions, logger: Logger) {
    this.#options = options;
    this.#logger = logger;
    this.identity = new ClientIdentity(options.security, {
      PLAIN: providePlain,
      "SCRAM-SHA-256": provideScram256,
      "SCRAM-SHA-512": provideScram512,
    });
    const { tls } = this.identity.security;
    this.#tls = tls === undefined ? null : createTlsSettings(tls);
    this.#kafkajsLogger = createLogger({
      level: logger.isDebugEnabled() ? LEVELS.DEBUG : LEVELS.NOTHING,
      logCreator:
        () =>
        ({ namespace, log }) => {
          const fields = LOGGED_FIELDS.filter((name) => log[name] !== undefined);
          const beside = fields.map((name) => `, ${name} ${String(log[name])}`).join("");
          logger.debug(`kafkajs ${namespace}: ${log.message}${beside}`);
        },
    });
  }

  /** @param nodeId -1 for a bootstrap server whose id is not known yet */
  create(address: BrokerAddress, nodeId: number): KafkajsBroker {
    return new KafkajsBroker(address, nodeId, {
      identity: this.identity,
      logger: this.#logger,
      createBroker: (purpose) => this.#createBroker(address, purpose),
    });
  }

  #createBroker(address: BrokerAddress, purpose: ConnectionPurpose): CreatedBroker {
    const memory = new AnswerMemory();
    const { clientId, connectionSetupTimeoutMs, requestTimeoutMs } = this.#options;
    const login = this.#createLogin();
    const connectionPool = new ConnectionPool({
      ...address,
      clientId,
      connectionTimeout: connectionSetupTimeoutMs,
      requestTimeout: requestTimeoutMs,
      enforceRequestTimeout: true,
      // With TLS kafkajs's own; `giveBack` then does nothing.
      socketFactory:
        purpose === "fetch" && this.#tls === null
          ? createAnswerSocketFactory(memory)
          : createSocketFactory(),
      logger: this.#kafkajsLogger,
      ssl: this.#tls,
      sasl: login?.sasl ?? null,
    });
    for (const connection of connectionPool.pool) {
      const { requestQueue } = connection;
      const send = connection.send.bind(connection);
      connection.send = async (question) => send(login?.observe(question) ?? question);
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
    const broker = new Broker({ connectionPool, logger: this.#kafkajsLogger });
    return { broker, memory, requestTimeoutMs, login };
  }

  #createLogin(): Login | undefined {
    const { mechanism } = this.identity;
    return mechanism === undefined ? undefined : new Login(mechanism);
  }
}

interface CreatedBroker {
  readonly broker: Broker;
  readonly memory: AnswerMemory;
  readonly requestTimeoutMs: number;
  readonly login: Login | undefined;
}

/** What all connections to a broker have in common. */
interface BrokerSetup {
  readonly identity: ClientIdentity;
  readonly logger: Logger;
  readonly createBroker: (purpose: ConnectionPurpose) => CreatedBroker;
}

/** One broker, reached through kafkajs: it connects, asks for versions and authenticates. */
export class KafkajsBroker {
  nodeId: number;
  /** host:port, for messages and to tell brokers apart. */
  readonly address: string;
  readonly #setup: BrokerSetup;
  readonly #open = new Map<ConnectionPurpose, KafkajsConnection>();
  readonly #connecting = new Map<ConnectionPurpose, Promise<KafkajsConnection>>();
  readonly #brokers = new Set<Broker>();
  #versions: OfferedVersions = {};
  #isClosed = false;

  constructor(address: BrokerAddress, nodeId: number, setup: BrokerSetup) {
    this.nodeId = nodeId;
    this.address = formatAddress(address);
    this.#setup = setup;
  }

  /** What the broker said at the last connection; empty before the first. */
  get versions(): OfferedVersions {
    return this.#versions;
  }

  /** True when a connection for requests is open. */
  get isOpen(): boolean {
    return this.#open.get("requests")?.isOpen() === true;
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
    const created = this.#setup.createBroker(purpose);
    const { broker, login } = created;
    this.#brokers.add(broker);
    const failed = (error: unknown): Error =>
      asConnectionError(this.address, error, this.#setup.identity, login);
    try {
      await broker.connect();
      if (this.#isClosed) throw new ConnectionError("closed");
      const opened = new KafkajsConnection(this, created, {
        logger: this.#setup.logger,
        failed,
        closed: () => this.#brokers.delete(broker),
      });
      this.#sayLogin(opened.sessionLifetimeMs);
      this.#versions = broker.versions ?? {};
      this.#open.set(purpose, opened);
      return opened;
    } catch (error) {
      this.#brokers.delete(broker);
      abandon(broker, "the connection failed");
      throw failed(error);
    }
  }

  #sayLogin(sessionMs: number): void {
    const { identity, logger } = this.#setup;
    if (identity.mechanism === undefined || !logger.isDebugEnabled()) return;
    logger.debug(
      `${this.address}: logged in as ${identity.principal.shown} with ${identity.mechanism.name}` +
        (sessionMs === 0 ? "" : `, again before ${sessionMs} ms are over`),
      "security",
    );
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

/** What a connection tells its broker. */
interface ConnectionHost {
  readonly logger: Logger;
  /** What a failure is to the caller. */
  failed(error: unknown): Error;
  closed(): void;
}

class KafkajsConnection implements BrokerConnection {
  readonly #owner: KafkajsBroker;
  readonly #broker: Broker;
  readonly #connection: Connection;
  readonly #memory: AnswerMemory;
  readonly #requestTimeoutMs: number;
  readonly #host: ConnectionHost;
  readonly #renewal: SessionRenewal;

  constructor(
    owner: KafkajsBroker,
    { broker, memory, requestTimeoutMs }: CreatedBroker,
    host: ConnectionHost,
  ) {
    this.#owner = owner;
    this.#broker = broker;
    this.#connection = connectionOf(broker);
    this.#memory = memory;
    this.#requestTimeoutMs = requestTimeoutMs;
    this.#host = host;
    this.#renewal = new SessionRenewal(this.#connection, () =>
      host.logger.debug(`${this.address}: logged in again`, "security"),
    );
  }

  /** How long until the broker wants another login; 0: never. */
  get sessionLifetimeMs(): number {
    return this.#renewal.lifetimeMs;
  }

  get nodeId(): number {
    return this.#owner.nodeId;
  }

  get address(): string {
    return this.#owner.address;
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
    const startMs = performance.now();
    let payload: Buffer;
    try {
      ({ payload } = await new Promise<{ payload: Buffer }>((resolve, reject) => {
        const push = (): void =>
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
        this.#renewal.run(push, reject);
      }));
    } catch (error) {
      // After a time-out the answer could still come; and what is buffered must not be sent once
      // the memory of the request is used for something else.
      this.close(connectionFailureReason(error));
      throw this.#host.failed(error);
    }
    if (this.#host.logger.isDebugEnabled()) this.#sayAnswer(request, header, payload, startMs);
    return request.decode(new ByteReader(payload));
  }

  #sayAnswer(
    { api, version }: EncodedRequest<unknown>,
    header: Buffer,
    payload: Buffer,
    startMs: number,
  ): void {
    const tookMs = (performance.now() - startMs).toFixed(1);
    this.#host.logger.debug(
      `${this.address}: ${api} version ${version}, ${header.readInt32BE() + 4} bytes, ` +
        `answered with ${payload.length + 8} bytes in ${tookMs} ms`,
      "protocol",
    );
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
      // kafkajs would log in by itself, beside requests that it knows nothing of.
      await this.#renewal.fresh();
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
      throw this.#host.failed(error);
    }
  }

  close(reason: string): void {
    abandon(this.#broker, reason);
    this.#renewal.rejectHeld(reason);
    this.#host.closed();
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

function asConnectionError(
  address: string,
  error: unknown,
  identity: ClientIdentity,
  login: Login | undefined,
): Error {
  const cause = login?.failure ?? error;
  if (cause instanceof PcaptsError || cause instanceof CredentialsError) return cause;
  const refusal = identity.refusal(address, cause, login?.offered);
  if (refusal !== undefined) return refusal;
  const reason = connectionFailureReason(cause);
  const message = reason.startsWith(address) ? reason : `${address}: ${reason}`;
  return new ConnectionError(message, { cause });
}
