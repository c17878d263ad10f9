import { setTimeout as sleep } from "node:timers/promises";
import { PcaptsError } from "../errors.ts";
import { API } from "../kafka-wire/api.ts";
import { KAFKA_ERROR_CODE } from "../kafka-wire/error-codes.ts";
import { encodeMetadata } from "../kafka-wire/metadata.ts";
import type { BrokerNode } from "../kafka-wire/metadata.ts";
import type { Logger } from "../logger.ts";
import { BackOff } from "../back-off.ts";
import { formatAddress } from "./broker-connection.ts";
import type { BrokerConnection } from "./broker-connection.ts";
import type { BrokerPath } from "./broker-path.ts";
import { ChangeSignal } from "./change-signal.ts";
import type { Principal } from "./client-identity.ts";
import type { BrokerAddress, KafkaClientOptions } from "./client-options.ts";
import { ConnectionError, connectionFailureReason, isClosedByBroker } from "./connection-error.ts";
import { CredentialsError } from "./credentials-error.ts";
import { BrokerFactory } from "./kafkajs-broker.ts";
import type { ConnectionPurpose, KafkajsBroker } from "./kafkajs-broker.ts";
import { findMismatch } from "./listener-probe.ts";

/** Result of asking for a topic: who leads each partition (-1 nobody), or Kafka's error code. */
export type TopicLookup = { readonly leaders: readonly number[] } | { readonly errorCode: number };

/** A broker, and whether it is connected to. */
export interface BrokerState {
  /** host:port */
  readonly address: string;
  readonly isConnected: boolean;
}

/**
 * The way to the brokers: which there are, who leads, open connections.
 */
export interface Transport {
  /** The cluster's name for itself; "" before a broker is reached, or where there is none. */
  readonly clusterId: string;
  /** Who this client is to the brokers, for messages; exact once it is connected. */
  readonly principal: Principal;
  /**
   * Reaches a first broker, trying again until `connectTimeoutMs`. A login, a certificate or a
   * protocol that is refused ends it at once.
   *
   * @throws BROKER_UNREACHABLE, BROKER_TOO_OLD, AUTHENTICATION_FAILED, TLS_FAILED,
   *   LISTENER_MISMATCH, KERBEROS_UNAVAILABLE; the signal's reason when it is aborted
   */
  connect(signal?: AbortSignal): Promise<void>;
  /**
   * Asks a broker anew for a topic and for the brokers.
   *
   * @param exceptNode not this one, unless no other is known
   * @throws ConnectionError
   */
  lookUpTopic(topic: string, exceptNode?: number): Promise<TopicLookup>;
  /** Names of all topics but those that the cluster keeps for itself. @throws ConnectionError */
  listTopics(): Promise<readonly string[]>;
  /** The open connection to a broker, or a new one. @throws ConnectionError */
  connectionTo(nodeId: number, purpose: ConnectionPurpose): Promise<BrokerConnection>;
  /** The broker that creates topics, or any one. @throws ConnectionError */
  connectionToController(): Promise<BrokerConnection>;
  /** Settings of a topic by name, or the name of the broker's error. @throws ConnectionError */
  topicSettings(
    topic: string,
    names: readonly string[],
  ): Promise<ReadonlyMap<string, string> | string>;
  /** The broker's `default.replication.factor`, 1 when it may not be read. @throws ConnectionError */
  defaultReplicationFactor(): Promise<number>;
  /** Where brokers are reached: those of the metadata, and the bootstrap server in use. */
  brokers(): readonly BrokerAddress[];
  /** The same brokers, and whether a connection to each is open. */
  connections(): readonly BrokerState[];
  /** Addresses of both ends of each open connection. */
  paths(): readonly BrokerPath[];
  /** Resolves at the next change of `brokers()`, or new connection. */
  changed(): Promise<void>;
  /** Closes every connection. */
  close(): Promise<void>;
}

/** Resource types of DescribeConfigs. */
const TOPIC_RESOURCE = 2;
const BROKER_RESOURCE = 4;

/** Nothing came of a try before `connectTimeoutMs` was over. */
const TIMED_OUT = new ConnectionError("no answer");

/** A WARN says that nothing answers before the operator asks himself. */
const SILENCE_MS = 900;

/** Who has no Kafka yet meets this first. */
function adviceFor(brokers: readonly BrokerAddress[], reason: string): string {
  const isDefault = brokers.every(({ host, port }) => {
    return port === 9092 && /^(localhost|127\.0\.0\.1)$/.test(host);
  });
  return isDefault && reason === "connection refused"
    ? "; nothing listens there: start a broker with pcapts broker, or Kafka with docker-compose.yml"
    : "";
}

/** Makes a transport; nothing is connected yet. */
export function createTransport(options: KafkaClientOptions, logger: Logger): Transport {
  return new ClusterTransport(options, logger);
}

class ClusterTransport implements Transport {
  readonly #options: KafkaClientOptions;
  readonly #logger: Logger;
  readonly #factory: BrokerFactory;
  readonly #changes = new ChangeSignal();
  readonly #nodes = new Map<number, KafkajsBroker>();
  /** The bootstrap server that was reached, until it turns out to be a node. */
  #seed: KafkajsBroker | undefined;
  #nextSeed = 0;
  #controllerId = -1;
  clusterId = "";

  constructor(options: KafkaClientOptions, logger: Logger) {
    this.#options = options;
    this.#logger = logger;
    this.#factory = new BrokerFactory(options, logger, () => this.#changes.notify());
  }

  get principal(): Principal {
    return this.#factory.identity.principal;
  }

  async connect(signal?: AbortSignal): Promise<void> {
    this.#factory.identity.mechanism?.prepare();
    const { brokers, connectTimeoutMs, retryBackoffMs, retryBackoffMaxMs } = this.#options;
    const deadline = performance.now() + connectTimeoutMs;
    const backOff = new BackOff(retryBackoffMs, retryBackoffMaxMs);
    const timeout = `${connectTimeoutMs / 1000} s`;
    let warned = false;
    let reason: string | undefined;
    const warn = (address: BrokerAddress, why: string): void => {
      if (warned) return;
      warned = true;
      this.#logger.warn(
        `Cannot reach Kafka at ${formatAddress(address)}: ${why}; trying again for ${timeout}${adviceFor(brokers, why)}`,
      );
    };
    for (let attempt = 0; ; attempt++) {
      const address = this.#takeSeed();
      const silence = setTimeout(() => warn(address, "no answer yet"), SILENCE_MS);
      const failure = await this.#reach(address, deadline - performance.now(), signal);
      clearTimeout(silence);
      if (failure instanceof CredentialsError) throw failure.asRefusal();
      if (failure === undefined) {
        if (warned) this.#logger.info(`Reached Kafka at ${formatAddress(address)}`);
        return;
      }
      if (failure instanceof PcaptsError) throw failure;
      // The last try may be cut short by the time-out; the one before knows more.
      if (failure !== TIMED_OUT || reason === undefined) reason = connectionFailureReason(failure);
      warn(address, reason);
      // Every bootstrap server is tried before the first pause.
      const delay = (attempt + 1) % brokers.length === 0 ? backOff.nextDelayMs() : 0;
      const left = deadline - performance.now();
      if (left <= 0) {
        throw new PcaptsError(
          "BROKER_UNREACHABLE",
          `Cannot reach Kafka at "${brokers.map(formatAddress).join(",")}": ${reason}; ` +
            `gave up after ${timeout} (--connect-timeout)${adviceFor(brokers, reason)}`,
          { cause: failure },
        );
      }
      await sleep(Math.min(delay, left), undefined, signal === undefined ? {} : { signal });
    }
  }

  #takeSeed(): BrokerAddress {
    const { brokers } = this.#options;
    return brokers[this.#nextSeed++ % brokers.length]!;
  }

  /** @returns why it failed, or undefined */
  async #reach(address: BrokerAddress, timeoutMs: number, signal?: AbortSignal): Promise<unknown> {
    const broker = this.#factory.create(address, -1);
    const attempt = this.#useSeed(broker).then(
      () => undefined,
      (error: unknown) => error,
    );
    const finished = new AbortController();
    const outcome = await Promise.race([
      attempt,
      sleep(Math.max(timeoutMs, 1), TIMED_OUT, {
        signal: signal === undefined ? finished.signal : AbortSignal.any([signal, finished.signal]),
      }).catch((error: unknown) => error),
    ]);
    finished.abort();
    if (outcome !== undefined) broker.close();
    signal?.throwIfAborted();
    return (await this.#mismatch(address, outcome)) ?? outcome;
  }

  /** A listener that closes the connection may be spoken to with the wrong protocol. */
  async #mismatch(address: BrokerAddress, failure: unknown): Promise<PcaptsError | undefined> {
    if (!(failure instanceof ConnectionError) || !isClosedByBroker(failure)) return undefined;
    const found = await findMismatch(address, this.#factory.identity.security);
    if (found === undefined) return undefined;
    return new PcaptsError("LISTENER_MISMATCH", found, { cause: failure });
  }

  async #useSeed(broker: KafkajsBroker): Promise<void> {
    const connection = await broker.connection("requests");
    for (const name of ["Produce", "Fetch"] as const) {
      const offered = broker.versions[API[name].key];
      if (offered !== undefined && offered.maxVersion >= API[name].minVersion) continue;
      throw new PcaptsError(
        "BROKER_TOO_OLD",
        `Cannot use the broker at "${broker.address}": it offers ${name} versions ` +
          `${offered === undefined ? "none" : `${offered.minVersion} to ${offered.maxVersion}`}, ` +
          `version ${API[name].minVersion} is needed; Kafka 0.11 or newer has it`,
      );
    }
    const { brokers, clusterId, controllerId } = await connection.send(
      encodeMetadata(connection.versionOf("Metadata"), []),
    );
    this.clusterId = clusterId;
    this.#seed = broker;
    this.#learn(brokers, controllerId);
  }

  #learn(brokers: readonly BrokerNode[], controllerId: number): void {
    this.#controllerId = controllerId;
    for (const { nodeId, host, port } of brokers) {
      const known = this.#nodes.get(nodeId);
      if (known?.address === formatAddress({ host, port })) continue;
      known?.close();
      this.#nodes.set(nodeId, this.#adoptSeed({ host, port }, nodeId));
      this.#changes.notify();
    }
    for (const [nodeId, broker] of this.#nodes) {
      if (brokers.some((node) => node.nodeId === nodeId)) continue;
      broker.close();
      this.#nodes.delete(nodeId);
      this.#changes.notify();
    }
  }

  #adoptSeed(address: BrokerAddress, nodeId: number): KafkajsBroker {
    const seed = this.#seed;
    if (seed === undefined || seed.address !== formatAddress(address)) {
      return this.#factory.create(address, nodeId);
    }
    this.#seed = undefined;
    seed.nodeId = nodeId;
    return seed;
  }

  async lookUpTopic(topic: string, exceptNode?: number): Promise<TopicLookup> {
    const connection = await this.#anyConnection(exceptNode);
    const { brokers, controllerId, topics } = await connection.send(
      encodeMetadata(connection.versionOf("Metadata"), [topic]),
    );
    this.#learn(brokers, controllerId);
    const found = topics[0];
    if (found === undefined) return { errorCode: KAFKA_ERROR_CODE.UNKNOWN_TOPIC_OR_PARTITION };
    return found.errorCode === KAFKA_ERROR_CODE.NONE
      ? { leaders: found.leaders }
      : { errorCode: found.errorCode };
  }

  async listTopics(): Promise<readonly string[]> {
    const connection = await this.#anyConnection();
    const { topics } = await connection.send(
      encodeMetadata(connection.versionOf("Metadata"), "all"),
    );
    // Of old clusters, programs beside the brokers keep topics for themselves, too, by this name.
    return topics
      .filter(({ name, isInternal }) => !isInternal && !name.startsWith("__"))
      .map(({ name }) => name);
  }

  /** Brokers of the metadata, and the bootstrap server in use. */
  #known(): KafkajsBroker[] {
    const known = [...this.#nodes.values()];
    if (this.#seed !== undefined) known.push(this.#seed);
    return known;
  }

  /** An open connection if there is one, else a new one to a node or a bootstrap server. */
  async #anyConnection(exceptNode?: number): Promise<BrokerConnection> {
    const others = this.#known().filter(({ nodeId }) => nodeId !== exceptNode);
    const known = others.length > 0 ? others : this.#known();
    known.sort((a, b) => Number(b.isOpen) - Number(a.isOpen));
    let failure: unknown = new ConnectionError("no broker is known");
    for (const broker of known) {
      try {
        return await broker.connection("requests");
      } catch (error) {
        failure = error;
      }
    }
    const address = this.#takeSeed();
    if (known.some((broker) => broker.address === formatAddress(address))) throw failure;
    this.#seed?.close();
    this.#seed = this.#factory.create(address, -1);
    this.#changes.notify();
    return this.#seed.connection("requests");
  }

  async connectionTo(nodeId: number, purpose: ConnectionPurpose): Promise<BrokerConnection> {
    const broker = this.#nodes.get(nodeId);
    if (broker === undefined) throw new ConnectionError(`broker ${nodeId} is not known`);
    return broker.connection(purpose);
  }

  async connectionToController(): Promise<BrokerConnection> {
    const controller = this.#nodes.get(this.#controllerId);
    return controller === undefined ? this.#anyConnection() : controller.connection("requests");
  }

  async topicSettings(
    topic: string,
    names: readonly string[],
  ): Promise<ReadonlyMap<string, string> | string> {
    return this.#settings(TOPIC_RESOURCE, topic, names);
  }

  async defaultReplicationFactor(): Promise<number> {
    const name = "default.replication.factor";
    const { nodeId } = await this.connectionToController();
    const settings = await this.#settings(BROKER_RESOURCE, String(nodeId), [name]);
    return Number((typeof settings === "string" ? undefined : settings.get(name)) ?? 1);
  }

  async #settings(
    type: number,
    resource: string,
    names: readonly string[],
  ): Promise<ReadonlyMap<string, string> | string> {
    const { nodeId } = await this.connectionToController();
    const broker = this.#nodes.get(nodeId) ?? this.#seed;
    if (broker === undefined) throw new ConnectionError("no broker is known");
    return broker.describe(type, resource, names);
  }

  brokers(): readonly BrokerAddress[] {
    return this.#known().map(({ host, port }) => ({ host, port }));
  }

  connections(): readonly BrokerState[] {
    return this.#known().map(({ address, isConnected }) => ({ address, isConnected }));
  }

  paths(): readonly BrokerPath[] {
    return this.#known().flatMap((broker) => broker.paths);
  }

  changed(): Promise<void> {
    return this.#changes.next();
  }

  async close(): Promise<void> {
    for (const broker of this.#nodes.values()) broker.close();
    this.#seed?.close();
  }
}
