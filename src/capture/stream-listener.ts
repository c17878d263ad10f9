import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";

/** A TLS handshake that takes longer is given up. */
const HANDSHAKE_MS = 10_000;

/** Where a {@link StreamListener} listens. */
export interface ListenAddress {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** PEM texts; with `ca` peers need a certificate that one of these authorities has signed. */
  readonly tls?:
    | {
        readonly cert: Buffer;
        readonly key: Buffer;
        readonly ca?: readonly string[] | undefined;
      }
    | undefined;
}

/** For whom. */
export interface StreamListenerOptions {
  readonly address: ListenAddress;
  /** Of the flag that gave the address, for messages: `--listen`. */
  readonly flag: string;
  /** What connects, for messages: `Reader`. */
  readonly peer: string;
  /** Peers at a time; more are turned away. */
  readonly maxPeers: number;
  /** A peer may close its direction and go on with the other. */
  readonly allowHalfOpen: boolean;
  /** A peer is there, after its TLS handshake. */
  readonly onPeer: (socket: Socket, address: string) => void;
  /** One is turned away, because there are as many as may be. */
  readonly onRefused: () => void;
}

/** Takes connections, over TLS or not, so many at a time. */
export class StreamListener {
  readonly #options: StreamListenerOptions;
  readonly #logger: Logger;
  readonly #server: Server;

  /** @param logger told of those that do not come so far as to be peers */
  constructor(options: StreamListenerOptions, logger: Logger) {
    this.#options = options;
    this.#logger = logger;
    this.#server = this.#createServer();
    this.#server.maxConnections = options.maxPeers;
    this.#server.on("drop", () => options.onRefused());
  }

  /** Where it listens. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null
      ? address.port
      : this.#options.address.port;
  }

  /** @throws PcaptsError LISTEN_FAILED */
  async listen(): Promise<void> {
    const { flag, peer } = this.#options;
    const { host, port } = this.#options.address;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", (cause: NodeJS.ErrnoException) => {
        const reason = REASONS[cause.code ?? ""] ?? cause.message;
        const message = `Cannot listen at "${host}:${port}": ${reason}; choose another ${flag} HOST:PORT`;
        reject(new PcaptsError("LISTEN_FAILED", message, { cause }));
      });
      this.#server.listen({ host, port }, resolve);
    });
    // A connection that could not be accepted, for want of descriptors perhaps; others may be.
    this.#server.on("error", (error) =>
      this.#logger.warn(`Cannot take a ${peer.toLowerCase()}: ${error.message}`),
    );
  }

  /** Takes no more; those that are there stay. Safe repeatedly. */
  close(): void {
    this.#server.close();
  }

  #createServer(): Server {
    const { address, allowHalfOpen, peer } = this.#options;
    const { tls } = address;
    if (tls === undefined) {
      return createServer({ allowHalfOpen }, (socket) => this.#take(socket));
    }
    const { cert, key, ca } = tls;
    const server = createTlsServer(
      {
        cert,
        key,
        ...(ca !== undefined && { ca: [...ca], requestCert: true, rejectUnauthorized: true }),
        handshakeTimeout: HANDSHAKE_MS,
      },
      (socket) => this.#take(socket),
    );
    server.on("tlsClientError", (error, socket) => {
      const from = formatPeer(socket);
      this.#logger.warn(`${peer} ${from} is turned away: no TLS handshake: ${error.message}`);
    });
    return server;
  }

  #take(socket: Socket): void {
    // It may have gone while it waited to be accepted.
    if (socket.destroyed) return;
    this.#options.onPeer(socket, formatPeer(socket));
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program listens there",
  EADDRNOTAVAIL: "it is no address of this machine",
  EACCES: "this user may not listen there",
};

function formatPeer({ remoteAddress, remotePort = 0 }: Socket): string {
  if (remoteAddress === undefined) return "that is gone";
  return remoteAddress.includes(":")
    ? `[${remoteAddress}]:${remotePort}`
    : `${remoteAddress}:${remotePort}`;
}
