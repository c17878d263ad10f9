import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { AnswerMemory, createAnswerSocketFactory } from "./answer-reader.ts";
import { formatAddress } from "./broker-connection.ts";
import type { BrokerConnection } from "./broker-connection.ts";
import type { BrokerPath } from "./broker-path.ts";
import { ClientIdentity } from "./client-identity.ts";
import type { BrokerAddress, KafkaClientOptions } from "./client-options.ts";
import { ConnectionError, connectionFailureReason } from "./connection-error.ts";
import { CredentialsError } from "./credentials-error.ts";
import { abandon, KafkajsConnection } from "./kafkajs-connection.ts";
import { kafkajs } from "./kafkajs-modules.ts";
import { Login } from "./login.ts";
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

type Broker = InstanceType<typeof kafkajs.Broker>;

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
  readonly #onConnected: () => void;

  /** @param onConnected hears of each new connection */
  constructor(options: KafkaClientOptions, logger: Logger, onConnected: () => void = () => {}) {
    this.#options = options;
    this.#onConnected = onConnected;
    this.#logger = logger;
    this.identity = new ClientIdentity(options.security, kafkajs.passwordProviders);
    const { tls } = this.identity.security;
    this.#tls = tls === undefined ? null : createTlsSettings(tls);
    this.#kafkajsLogger = kafkajs.createLogger({
      level: logger.isDebugEnabled() ? kafkajs.LEVELS.DEBUG : kafkajs.LEVELS.NOTHING,
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
      onConnected: this.#onConnected,
      createBroker: (purpose) => this.#createBroker(address, purpose),
    });
  }

  #createBroker(address: BrokerAddress, purpose: ConnectionPurpose): CreatedBroker {
    const memory = new AnswerMemory();
    const { clientId, connectionSetupTimeoutMs, requestTimeoutMs } = this.#options;
    const login = this.#createLogin();
    const connectionPool = new kafkajs.ConnectionPool({
      ...address,
      clientId,
      connectionTimeout: connectionSetupTimeoutMs,
      requestTimeout: requestTimeoutMs,
      enforceRequestTimeout: true,
      socketFactory:
        purpose === "fetch" ? createAnswerSocketFactory(memory) : kafkajs.createSocketFactory(),
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
    const broker = new kafkajs.Broker({ connectionPool, logger: this.#kafkajsLogger });
    return { broker, memory, requestTimeoutMs, login };
  }

  #createLogin(): Login | undefined {
    const { mechanism } = this.identity;
    return mechanism === undefined ? undefined : new Login(mechanism);
  }
}

/** A broker of kafkajs's with what belongs to its one connection. */
export interface CreatedBroker {
  readonly broker: Broker;
  readonly memory: AnswerMemory;
  readonly requestTimeoutMs: number;
  readonly login: Login | undefined;
}

/** What all connections to a broker have in common. */
interface BrokerSetup {
  readonly identity: ClientIdentity;
  readonly logger: Logger;
  readonly onConnected: () => void;
  readonly createBroker: (purpose: ConnectionPurpose) => CreatedBroker;
}

/** One broker, reached through kafkajs: it connects, asks for versions and authenticates. */
export class KafkajsBroker {
  nodeId: number;
  readonly host: string;
  readonly port: number;
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
    this.host = address.host;
    this.port = address.port;
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

  /** True when a connection for whatever purpose is open. */
  get isConnected(): boolean {
    return [...this.#open.values()].some((connection) => connection.isOpen());
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
    const created = this.#setup.createBroker(purpose);
    const { broker, login } = created;
    this.#brokers.add(broker);
    const { identity } = this.#setup;
    try {
      await broker.connect();
      if (this.#isClosed) throw new ConnectionError("closed");
      const opened = new KafkajsConnection(this, created, {
        logger: this.#setup.logger,
        failed: (error) => asConnectionError(this.address, error, identity, login, true),
        closed: () => this.#brokers.delete(broker),
      });
      identity.learnCertificate(opened.certificate);
      this.#sayProtection(opened);
      this.#versions = broker.versions ?? {};
      this.#open.set(purpose, opened);
      this.#setup.onConnected();
      return opened;
    } catch (error) {
      this.#brokers.delete(broker);
      abandon(broker, "the connection failed");
      throw asConnectionError(this.address, error, identity, login, false);
    }
  }

  #sayProtection({ protection, sessionLifetimeMs }: KafkajsConnection): void {
    const { identity, logger } = this.#setup;
    if (!logger.isDebugEnabled()) return;
    if (protection !== undefined) logger.debug(`security: ${this.address}: ${protection}`);
    if (identity.mechanism === undefined) return;
    logger.debug(
      `security: ${this.address}: logged in as ${identity.principal.shown} with ${identity.mechanism.name}` +
        (sessionLifetimeMs === 0 ? "" : `, again before ${sessionLifetimeMs} ms are over`),
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

function asConnectionError(
  address: string,
  error: unknown,
  identity: ClientIdentity,
  login: Login | undefined,
  isOpen: boolean,
): Error {
  const cause = login?.failure ?? error;
  if (cause instanceof PcaptsError || cause instanceof CredentialsError) return cause;
  const refusal = identity.refusal(address, cause, login?.offered, isOpen);
  if (refusal !== undefined) return refusal;
  const reason = connectionFailureReason(cause);
  const message = reason.startsWith(address) ? reason : `${address}: ${reason}`;
  return new ConnectionError(message, { cause });
}
