import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
}

/**
 * A way to a broker that goes wrong: connections that are reset, answers that
 * end in the middle, bytes that come late, packets that nobody takes and
 * nobody refuses. A broker behind it has to advertise the proxy's port.
 */
export class TcpProxy {
  readonly port: number;
  /** Port of the broker. */
  targetPort = 0;
  /** How long bytes of either direction are held up. */
  delayMs = 0;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #isBlackHole = false;
  #isRefusing = false;
  #halfAnswers = 0;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
    server.on("connection", (client) => this.#accept(client));
  }

  /** Listens on a port of 127.0.0.1; 0 is any free one. */
  static async start(port = 0): Promise<TcpProxy> {
    const server = createServer({ allowHalfOpen: false });
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return new TcpProxy(server, (server.address() as { port: number }).port);
  }

  /** Bytes are taken by nobody, both ways, until `pass`; connections stand. */
  blackHole(): void {
    this.#isBlackHole = true;
    for (const { client, server } of this.#pairs) {
      client.pause();
      server.pause();
    }
  }

  /** Everything passes again, also what was held up. */
  pass(): void {
    this.#isBlackHole = false;
    this.#isRefusing = false;
    for (const { client, server } of this.#pairs) {
      client.resume();
      server.resume();
    }
  }

  /** New connections are reset as soon as they are made. */
  refuse(): void {
    this.#isRefusing = true;
  }

  /** Resets all connections. */
  reset(): void {
    for (const { client, server } of this.#pairs) {
      client.resetAndDestroy();
      server.destroy();
    }
  }

  /** Of the next answers so many are cut in the middle, and their connections reset. */
  halveAnswers(count: number): void {
    this.#halfAnswers = count;
  }

  async close(): Promise<void> {
    this.reset();
    this.#server.close();
    await once(this.#server, "close");
  }

  #accept(client: Socket): void {
    client.on("error", () => {});
    if (this.#isRefusing) {
      client.resetAndDestroy();
      return;
    }
    const server = connect(this.targetPort, "127.0.0.1");
    const pair = { client, server };
    this.#pairs.add(pair);
    if (this.#isBlackHole) client.pause();
    const end = (): void => {
      this.#pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    server.on("error", () => {});
    client.on("close", end);
    server.on("close", end);
    client.on("data", (bytes: Buffer) => this.#forward(bytes, server));
    server.on("data", (bytes: Buffer) => {
      if (this.#halfAnswers > 0 && bytes.length > 1) {
        this.#halfAnswers--;
        client.write(bytes.subarray(0, bytes.length >> 1), () => client.resetAndDestroy());
        return;
      }
      this.#forward(bytes, client);
    });
  }

  #forward(bytes: Buffer, to: Socket): void {
    // The order stays: each timer is as long as the one before, or the delay was changed between.
    if (this.delayMs === 0) to.write(bytes);
    else setTimeout(() => to.write(bytes), this.delayMs);
  }
}
