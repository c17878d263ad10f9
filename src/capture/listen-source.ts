import type { Socket } from "node:net";
import { streamBytes } from "../capture-file/byte-source.ts";
import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { CaptureInterface, FrameChunk } from "../packet/frame-chunk.ts";
import { CaptureStream, countStreamed } from "./capture-stream.ts";
import type { CaptureCounters, FrameSource } from "./frame-source.ts";
import { describeLoss } from "./read-error.ts";
import { ReadyChunks } from "./ready-chunks.ts";
import { type ListenAddress, StreamListener } from "./stream-listener.ts";

/** A sender that is silent is asked so often whether it is still there. */
const KEEP_ALIVE_MS = 15_000;

/** What {@link openListenSource} listens with. */
export interface ListenSourceOptions {
  readonly address: ListenAddress;
  /** Senders at a time; more are turned away. */
  readonly maxSenders: number;
  /** Host or probe that the frames are said to come from. */
  readonly sensor: string;
  /** Told of senders that come, go, and send what is no capture. */
  readonly logger: Logger;
}

/** A source that listens. */
export interface ListenSource extends FrameSource {
  readonly kind: "live";
  /** Where it listens. */
  readonly port: number;
}

/**
 * Takes captures that others send over TCP: `tcpdump -w - | nc HOST PORT`. Each sender is an interface of
 * its own, named by its address. One that is not read from waits, as any writer into a connection does;
 * what one sends wrongly costs its own connection.
 *
 * @returns a source of kind "live"; it ends by `stop()`
 * @throws PcaptsError LISTEN_FAILED
 */
export async function openListenSource(options: ListenSourceOptions): Promise<ListenSource> {
  const source = new SenderSource(options);
  await source.listen();
  return source;
}

/** One that is connected. */
interface Sender {
  readonly address: string;
  readonly stream: CaptureStream;
}

class SenderSource implements ListenSource {
  readonly kind = "live";
  readonly hasSeveralInterfaces = true;
  readonly #options: ListenSourceOptions;
  readonly #logger: Logger;
  readonly #listener: StreamListener;
  readonly #ready = new ReadyChunks<Sender>();
  readonly #senders = new Set<Sender>();
  #received = 0;
  #torn = 0;
  #isFull = false;
  #isStopped = false;

  constructor(options: ListenSourceOptions) {
    this.#options = options;
    this.#logger = options.logger;
    this.#listener = new StreamListener(
      {
        address: options.address,
        flag: "--read-listen",
        peer: "Sender",
        maxPeers: options.maxSenders,
        allowHalfOpen: false,
        onPeer: (socket, address) => this.#take(socket, address),
        onRefused: () => this.#refuse(),
      },
      options.logger,
    );
  }

  get name(): string {
    const { host } = this.#options.address;
    return `${host.includes(":") ? `[${host}]` : host}:${this.port}`;
  }

  get sensor(): string {
    return this.#options.sensor;
  }

  get port(): number {
    return this.#listener.port;
  }

  /** Of those that are connected. */
  get interfaces(): readonly CaptureInterface[] {
    return [...this.#senders].flatMap(({ stream }) => stream.interfaces);
  }

  listen(): Promise<void> {
    return this.#listener.listen();
  }

  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    const ready = this.#ready;
    try {
      while (!this.#isStopped || ready.running > 0) {
        const answer = ready.take();
        if (answer === undefined) {
          await ready.changed();
        } else if (answer.chunk !== undefined) {
          this.#received += answer.chunk.frameCount;
          yield answer.chunk;
          ready.goOn(answer);
        } else if (answer.failure !== undefined) {
          throw answer.failure;
        }
      }
    } finally {
      await this.stop();
    }
  }

  counters(): CaptureCounters {
    return countStreamed(this.#received, this.#torn);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#listener.close();
    this.#ready.wake();
    await Promise.all([...this.#senders].map(({ stream }) => stream.close()));
  }

  #take(socket: Socket, address: string): void {
    if (this.#isStopped) {
      socket.destroy();
      return;
    }
    this.#isFull = false;
    // Whoever reads meets the error; until then nobody may be reading.
    socket.on("error", () => {});
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    const stream = new CaptureStream(streamBytes(socket), {
      name: address,
      sensor: this.#options.sensor,
      nameInterface: (own) => (own === "" ? `TCP@${address}` : `${own}@${address}`),
    });
    const sender = { address, stream };
    this.#senders.add(sender);
    const { maxSenders } = this.#options;
    this.#logger.info(
      `Sender ${address} is connected, ${this.#senders.size} of at most ${maxSenders}`,
    );
    this.#ready.add(sender, this.#read(sender));
  }

  async *#read(sender: Sender): AsyncGenerator<FrameChunk, void, void> {
    const { address, stream } = sender;
    let frames = 0;
    try {
      while (await stream.next()) {
        for await (const chunk of stream.chunks()) {
          frames += chunk.frameCount;
          yield chunk;
        }
      }
      if (!this.#isStopped)
        this.#logger.info(`Sender ${address} has ended after ${frames} frame(s)`);
    } catch (error) {
      if (!(error instanceof PcaptsError)) throw error;
      if (this.#isStopped) return;
      if (stream.isTorn) this.#torn++;
      const reason = error.code === "FILE_NOT_READABLE" ? describeLoss(error) : error.message;
      this.#logger.warn(`Sender ${address} is given up after ${frames} frame(s): ${reason}`);
    } finally {
      this.#senders.delete(sender);
      await stream.close();
    }
  }

  #refuse(): void {
    if (this.#isFull) return;
    this.#isFull = true;
    this.#logger.warn(
      `A sender is turned away: ${this.#options.maxSenders} are connected (--max-senders); ` +
        "so are others until one of them is gone",
    );
  }
}
