import type { X509Certificate } from "node:crypto";
import { TLSSocket } from "node:tls";
import { PcaptsError } from "../errors.ts";
import { ByteReader } from "../bytes/byte-reader.ts";
import { API } from "../kafka-wire/api.ts";
import type { ApiName, EncodedRequest } from "../kafka-wire/api.ts";
import { kafkaErrorInfo } from "../kafka-wire/error-codes.ts";
import type { Logger } from "../logger.ts";
import type { AnswerMemory } from "./answer-reader.ts";
import { encodeRequestHeader } from "./broker-connection.ts";
import type { BrokerConnection } from "./broker-connection.ts";
import { addressOnTheWire } from "./broker-path.ts";
import type { BrokerPath } from "./broker-path.ts";
import { ConnectionError, connectionFailureReason } from "./connection-error.ts";
import type { CreatedBroker } from "./kafkajs-broker.ts";
import { SessionRenewal } from "./session-renewal.ts";

type Broker = CreatedBroker["broker"];
type Connection = Broker["connectionPool"]["pool"][number];

/** Whose connection it is. */
export type ConnectionOwner = Pick<BrokerConnection, "nodeId" | "address">;

/** What a connection tells its owner. */
export interface ConnectionHost {
  readonly logger: Logger;
  /** What a failure is to the caller. */
  failed(error: unknown): Error;
  closed(): void;
}

/** An open connection, authenticated if that was asked for. */
export class KafkajsConnection implements BrokerConnection {
  readonly #owner: ConnectionOwner;
  readonly #broker: Broker;
  readonly #connection: Connection;
  readonly #memory: AnswerMemory;
  readonly #requestTimeoutMs: number;
  readonly #host: ConnectionHost;
  readonly #renewal: SessionRenewal;
  #isClosed = false;

  constructor(
    owner: ConnectionOwner,
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
      host.logger.debug(`security: ${this.address}: logged in again`),
    );
  }

  /** "TLSv1.3, TLS_AES_256_GCM_SHA384"; undefined without TLS. */
  get protection(): string | undefined {
    const { socket } = this.#connection;
    if (!(socket instanceof TLSSocket)) return undefined;
    return `${socket.getProtocol() ?? "TLS"}, ${socket.getCipher().name}`;
  }

  /** The one that this client has for the broker; undefined without one. */
  get certificate(): X509Certificate | undefined {
    const { socket } = this.#connection;
    return socket instanceof TLSSocket ? socket.getX509Certificate() : undefined;
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
    const startMs = performance.now();
    let payload: Buffer;
    try {
      ({ payload } = await new Promise<{ payload: Buffer }>((resolve, reject) => {
        const push = (): void => {
          // It may have been lost while a login held this back.
          if (!this.isOpen()) {
            reject(new ConnectionError("connection closed"));
            return;
          }
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
        };
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
      `protocol: ${this.address}: ${api} version ${version}, ${header.readInt32BE() + 4} bytes, ` +
        `answered with ${payload.length + 8} bytes in ${tookMs} ms`,
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
    // Each request that was under way ends here; kafkajs's socket would have one more listener each time.
    if (this.#isClosed) return;
    this.#isClosed = true;
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
export function abandon(broker: Broker, reason: string): void {
  const connection = connectionOf(broker);
  connection.socket?.destroy(new ConnectionError(reason));
  connection.rejectRequests(new ConnectionError(reason));
  void connection.disconnect();
}
