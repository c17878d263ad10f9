import type { Socket } from "node:net";
import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { consumePackets } from "./consume-packets.ts";
import type { ConsumeOptions, ConsumeSummary, RunProgress } from "./pipeline-options.ts";
import type { ConsumerRun, ConsumerStatus } from "./run-status.ts";

/** A reader that is silent for so long is asked whether it is still there. */
const KEEP_ALIVE_MS = 30_000;

/** The same for one that has closed its direction, and may have closed both. */
const HALF_OPEN_KEEP_ALIVE_MS = 5000;

/** How often it is looked at then: Node does not watch a connection any more whose other side has ended. */
const HALF_OPEN_LOOK_MS = 2000;

const NOTHING = Buffer.alloc(0);

/** How long a reader that has everything may take to close its end. */
const FAREWELL_MS = 1000;

/** How a reader ended. */
export interface ReaderEnd {
  /**
   * `complete`: it has a whole file; `gone`: it closed the connection before; `stalled`: it took nothing any
   * more when the server was stopped; `failed`: the topic could not be read.
   */
  readonly how: "complete" | "gone" | "stalled" | "failed";
  /** Why reading the topic failed. */
  readonly error?: unknown;
}

/**
 * One that is connected: a reading of the topic of its own, which goes as fast as it takes the frames. A
 * slow one holds two answers of a broker in memory, and is behind; nobody else waits for it.
 */
export class PacketReader {
  /** `127.0.0.1:50000` */
  readonly address: string;
  /** Resolves when its connection is closed. */
  readonly done: Promise<ReaderEnd>;
  readonly #socket: Socket;
  readonly #run: ConsumerRun;

  /** @param socket a connection, which may be of TLS; closed when the reading ends */
  constructor(socket: Socket, address: string, options: ConsumeOptions, logger: Logger) {
    this.address = address;
    this.#socket = socket;
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.setNoDelay(true);
    // Nothing is expected of a reader; what it sends would fill the connection, and turn its end into a reset.
    socket.resume();
    this.#run = consumePackets(socket, options, nameReader(logger, address));
    this.done = this.#serve();
  }

  /** What it got so far. */
  summary(): ConsumeSummary {
    return this.#run.summary();
  }

  /** How far it has come. */
  progress(): RunProgress {
    return this.#run.progress();
  }

  /** How its reading stands. */
  status(): ConsumerStatus {
    return this.#run.status();
  }

  /** Completes its file and closes the connection. Safe repeatedly. */
  stop(): void {
    this.#run.stop();
  }

  async #serve(): Promise<ReaderEnd> {
    let isGone = false;
    const onGone = (): void => {
      isGone = true;
      // While no frame comes, nothing is written that could fail.
      this.#run.stop();
    };
    this.#socket.on("error", onGone).on("close", onGone);
    let timer: NodeJS.Timeout | undefined;
    this.#socket.once("end", () => {
      if (!this.#socket.allowHalfOpen) return;
      this.#socket.setKeepAlive(true, HALF_OPEN_KEEP_ALIVE_MS);
      timer = setInterval(() => this.#look(), HALF_OPEN_LOOK_MS);
    });
    try {
      await this.#run.done;
      if (isGone) return { how: "gone" };
      await this.#sayFarewell();
      return { how: "complete" };
    } catch (error) {
      if (isGone) return { how: "gone" };
      const isStalled = error instanceof PcaptsError && error.code === "OUTPUT_NOT_WRITABLE";
      return isStalled ? { how: "stalled" } : { how: "failed", error };
    } finally {
      clearInterval(timer);
      this.#socket.destroy();
    }
  }

  /** The system refuses even to send nothing where nobody is any more. */
  #look(): void {
    const { writable, writableLength } = this.#socket;
    if (writable && writableLength === 0) this.#socket.write(NOTHING);
  }

  /** Everything is written; a reader that closes its end, too, has it all. */
  async #sayFarewell(): Promise<void> {
    if (this.#socket.closed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, FAREWELL_MS);
      this.#socket.once("close", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

function nameReader(logger: Logger, address: string): Logger {
  const name = (message: string): string => `Reader ${address}: ${message}`;
  return {
    debug: (message, context) => logger.debug(name(message), context),
    info: (message) => logger.info(name(message)),
    warn: (message) => logger.warn(name(message)),
    error: (message) => logger.error(name(message)),
    isDebugEnabled: () => logger.isDebugEnabled(),
  };
}
