import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { BackOff } from "../back-off.ts";
import { streamBytes } from "../capture-file/byte-source.ts";
import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { CaptureInterface, FrameChunk } from "../packet/frame-chunk.ts";
import { CaptureStream, countStreamed } from "./capture-stream.ts";
import type { CaptureCounters, FrameSource } from "./frame-source.ts";
import { describeLoss } from "./read-error.ts";

/** What {@link openTcpSource} connects to. */
export interface TcpSourceOptions {
  /** For messages and records: `TCP@192.0.2.7:57012`. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** Host or probe that the frames are said to come from. */
  readonly sensor: string;
  /** It is one of several: its interfaces are named so that they are told from those of others. */
  readonly isOneOfSeveral: boolean;
  /** How long the first connection is tried for. */
  readonly connectTimeoutMs: number;
  /** Told when the connection goes, and when it is back. */
  readonly logger: Logger;
}

/** One try to connect takes no longer. */
const CONNECT_MS = 10_000;

/** A peer that is silent is asked so often whether it is still there. */
const KEEP_ALIVE_MS = 15_000;

/** Servers mostly send the header at once; one that does not keeps nothing else waiting. */
const HEADER_WAIT_MS = 1000;

/**
 * A connection that brought frames for so long was a good one: the next one follows at once. Servers
 * that send a file and close would otherwise be read as fast as they can.
 */
const GOOD_MS = 1000;

/**
 * Connects to a server of pcap-over-IP: it sends captures, and is sent nothing. When the connection
 * ends, another one is made, with pauses that grow; a frame that is half there by then is torn.
 *
 * @returns a source of kind "live"; it ends by `stop()`
 * @throws PcaptsError FEED_UNREACHABLE when nothing answers in time, FILE_NOT_A_CAPTURE when what is
 *   sent first is none
 */
export async function openTcpSource(
  options: TcpSourceOptions,
): Promise<FrameSource & { readonly kind: "live" }> {
  const source = new TcpSource(options);
  try {
    await source.begin();
    return source;
  } catch (error) {
    await source.stop();
    throw error;
  }
}

class TcpSource implements FrameSource {
  readonly kind = "live";
  readonly name: string;
  readonly sensor: string;
  readonly #options: TcpSourceOptions;
  readonly #logger: Logger;
  readonly #stopping = new AbortController();
  readonly #backOff = new BackOff(100, 10_000);
  #stream: CaptureStream | undefined;
  /** The first header, which may be waited for already. */
  #header: Promise<boolean> | undefined;
  #connectedMs = 0;
  #lostMs: number | undefined;
  #received = 0;
  #torn = 0;

  constructor(options: TcpSourceOptions) {
    this.name = options.name;
    this.sensor = options.sensor;
    this.#options = options;
    this.#logger = options.logger;
  }

  get interfaces(): readonly CaptureInterface[] {
    return this.#stream?.interfaces ?? [];
  }

  /** Connects for the first time. */
  async begin(): Promise<void> {
    const { connectTimeoutMs } = this.#options;
    const endMs = performance.now() + connectTimeoutMs;
    for (let isTold = false; ; isTold = true) {
      let reason = "it closes the connection without a word";
      try {
        if (await this.#connectFirst(endMs - performance.now())) return;
      } catch (error) {
        if (error instanceof PcaptsError && error.code !== "FILE_NOT_READABLE") throw error;
        reason = describeLoss(error);
      }
      await this.#stream?.close();
      const delayMs = this.#backOff.nextDelayMs();
      if (performance.now() + delayMs >= endMs) {
        throw new PcaptsError(
          "FEED_UNREACHABLE",
          `Cannot connect to "${this.name}" within ${connectTimeoutMs / 1000} s: ${reason}; ` +
            "is the server running? (--connect-timeout)",
        );
      }
      if (!isTold) this.#logger.warn(`Cannot connect to "${this.name}": ${reason}; trying again`);
      await this.#pause(delayMs);
    }
  }

  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    try {
      while (!this.#isStopped) {
        yield* this.#readConnection();
        await this.#reconnect();
      }
    } finally {
      await this.stop();
    }
  }

  counters(): CaptureCounters {
    return countStreamed(this.#received, this.#torn);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#stream?.close();
  }

  get #isStopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** @returns false when the server has closed the connection at once */
  async #connectFirst(timeoutMs: number): Promise<boolean> {
    this.#stream = await this.#connect(Math.min(CONNECT_MS, timeoutMs));
    const header = this.#stream.next();
    header.catch(() => {});
    this.#header = header;
    const waited = new AbortController();
    try {
      const silence = sleep(HEADER_WAIT_MS, true, { signal: waited.signal }).catch(() => true);
      return await Promise.race([header, silence]);
    } finally {
      waited.abort();
    }
  }

  async *#readConnection(): AsyncGenerator<FrameChunk, void, void> {
    const stream = this.#stream!;
    const header = this.#header ?? stream.next();
    this.#header = undefined;
    let frames = 0;
    try {
      for (let isThere = await header; isThere; isThere = await stream.next()) {
        this.#noteReturn();
        for await (const chunk of stream.chunks()) {
          frames += chunk.frameCount;
          this.#received += chunk.frameCount;
          yield chunk;
        }
      }
      this.#noteLoss(`"${this.name}" has closed the connection after ${countFrames(frames)}`);
    } catch (error) {
      if (!(error instanceof PcaptsError)) throw error;
      if (this.#isStopped) return;
      if (stream.isTorn) this.#torn++;
      this.#noteLoss(
        error.code === "FILE_NOT_READABLE"
          ? `The connection to "${this.name}" is lost after ${countFrames(frames)}: ${describeLoss(error)}`
          : error.message,
      );
    } finally {
      if (frames > 0 && performance.now() - this.#connectedMs > GOOD_MS) this.#backOff.reset();
      await stream.close();
    }
  }

  async #reconnect(): Promise<void> {
    while (!this.#isStopped) {
      await this.#pause(this.#backOff.nextDelayMs());
      if (this.#isStopped) return;
      try {
        this.#stream = await this.#connect(CONNECT_MS);
        return;
      } catch (error) {
        this.#logger.debug(`connecting to "${this.name}": ${describeLoss(error)}`);
      }
    }
  }

  async #connect(timeoutMs: number): Promise<CaptureStream> {
    const { host, port, name, sensor, isOneOfSeveral } = this.#options;
    const socket = connect({ host, port });
    const timeout = AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs)));
    try {
      await once(socket, "connect", { signal: AbortSignal.any([timeout, this.#stopping.signal]) });
    } catch (error) {
      socket.destroy();
      throw timeout.aborted ? new Error("no answer", { cause: error }) : error;
    }
    // Whoever reads meets the error; until then nobody may be reading.
    socket.on("error", () => {});
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#connectedMs = performance.now();
    const nameInterface = (own: string): string => {
      if (own === "") return name;
      return isOneOfSeveral ? `${own}@${name.slice("TCP@".length)}` : own;
    };
    return new CaptureStream(streamBytes(socket), { name, sensor, nameInterface });
  }

  /** Said once, until frames come again. */
  #noteLoss(text: string): void {
    if (this.#isStopped) return;
    if (this.#lostMs === undefined) this.#logger.warn(`${text}; connecting again`);
    else this.#logger.debug(text);
    this.#lostMs ??= performance.now();
  }

  #noteReturn(): void {
    if (this.#lostMs === undefined) return;
    const seconds = Math.round((performance.now() - this.#lostMs) / 1000);
    this.#lostMs = undefined;
    this.#logger.info(`Reading "${this.name}" again, after ${seconds} s`);
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stopping.signal }).catch(() => {});
  }
}

function countFrames(count: number): string {
  return count === 1 ? "1 frame" : `${count} frames`;
}
