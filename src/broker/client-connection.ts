import type { Socket } from "node:net";
import { ByteRangeError } from "../bytes/byte-reader.ts";
import { UnansweredError } from "./apis/produce.ts";
import type { BrokerState } from "./broker-api.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { answerRequest, type ConnectionContext } from "./request-answer.ts";
import { type ReceivedRequest, RequestFormatError, RequestReader } from "./request-reader.ts";

/** Kafka's `connections.max.idle.ms`. */
const IDLE_MS = 600_000;
/** Who stops in the middle of a request, or of an answer, holds memory that others wait for. */
const STALLED_MS = 30_000;

/**
 * One client. Its requests are dealt with one after another, so answers are in
 * order; while one is dealt with, the next may be read, and no more. An answer
 * has to be taken before the next request is looked at, so what a client does
 * not read costs the memory of one answer.
 */
export class ClientConnection {
  readonly #socket: Socket;
  readonly #state: BrokerState;
  readonly #reader: RequestReader;
  readonly #stalledMs: number;
  readonly #queue: ReceivedRequest[] = [];
  readonly #goneListeners = new Set<() => void>();
  #stopSending: () => void = () => {};
  #isWithin = false;
  #isSending = false;
  #isBusy = false;
  #isWaitingForMemory = false;
  #isClosing = false;
  #isClosed = false;
  readonly #context: Omit<ConnectionContext, "afterAnswer">;

  /** @param stalledMs how long a client may stop in the middle of a request or an answer */
  constructor(
    socket: Socket,
    state: BrokerState,
    memory: BufferPool,
    stalledMs: number = STALLED_MS,
  ) {
    this.#socket = socket;
    this.#stalledMs = stalledMs;
    this.#state = state;
    this.#reader = new RequestReader(memory);
    this.#context = {
      broker: state,
      clientHost: `/${plainAddress(socket.remoteAddress ?? "")}`,
      advertised: {
        host: plainAddress(socket.localAddress ?? ""),
        port: socket.localPort ?? 0,
      },
      onGone: (gone) => {
        this.#goneListeners.add(gone);
        if (this.#isClosed) gone();
        return () => this.#goneListeners.delete(gone);
      },
    };
    socket.on("data", (chunk: Buffer) => {
      this.#reader.feed(chunk);
      this.#take();
    });
    socket.on("error", (error) => this.#say(error.message));
    socket.on("close", () => this.#closed());
    socket.on("timeout", () => {
      if (this.#isSending) this.#giveUp("its answer is not taken");
      else if (!this.#isBusy && !this.#isWaitingForMemory)
        this.#giveUp("nothing came for too long");
    });
    socket.setTimeout(IDLE_MS);
  }

  /** Takes requests out of what came. */
  #take(): void {
    try {
      for (;;) {
        const next = this.#reader.next();
        if (next === undefined) break;
        if (next instanceof Promise) {
          this.#waitForMemory(next);
          return;
        }
        this.#queue.push(next);
      }
    } catch (error) {
      this.#giveUp(reasonOf(error));
      return;
    }
    if (this.#isWithin !== this.#reader.isWithin) {
      this.#isWithin = this.#reader.isWithin;
      this.#limitPauses();
    }
    if (this.#queue.length > 0) {
      if (this.#isBusy) this.#socket.pause();
      else void this.#work();
    }
  }

  #waitForMemory(granted: Promise<void>): void {
    this.#socket.pause();
    this.#isWaitingForMemory = true;
    void granted.then(() => {
      this.#isWaitingForMemory = false;
      if (this.#isClosed) {
        this.#reader.close();
        return;
      }
      this.#socket.resume();
      this.#take();
    });
    if (this.#queue.length > 0 && !this.#isBusy) void this.#work();
  }

  async #work(): Promise<void> {
    this.#isBusy = true;
    for (let request = this.#queue.shift(); request !== undefined; request = this.#queue.shift()) {
      try {
        if (!this.#isClosed) await this.#answer(request);
      } catch (error) {
        this.#giveUp(reasonOf(error));
      } finally {
        request.release();
      }
      if (this.#queue.length === 0 && !this.#isWaitingForMemory) this.#socket.resume();
    }
    this.#isBusy = false;
    if (this.#isClosing) this.#socket.destroy();
  }

  async #answer({ bytes }: ReceivedRequest): Promise<void> {
    const endings: (() => void)[] = [];
    try {
      const { pieces, fault } = await answerRequest(bytes, {
        ...this.#context,
        afterAnswer: (done) => endings.push(done),
      });
      if (fault?.drop === "half-answered" && pieces !== undefined) {
        const whole = Buffer.concat(pieces);
        await this.#send([whole.subarray(0, Math.floor(whole.length / 2))]);
      }
      if (fault?.drop !== undefined) this.#giveUp("a fault that was asked for");
      else if (pieces !== undefined) await this.#send(pieces);
    } finally {
      for (const end of endings) end();
    }
  }

  /** Says how long nothing may come or leave. */
  #limitPauses(): void {
    this.#socket.setTimeout(this.#isWithin || this.#isSending ? this.#stalledMs : IDLE_MS);
  }

  /** Resolves when the pieces are with the system, or the connection is lost. */
  async #send(pieces: readonly Buffer[]): Promise<void> {
    if (this.#isClosed) return;
    const sent = this.#write(pieces);
    if (this.#socket.writableLength === 0) return sent;
    this.#isSending = true;
    this.#limitPauses();
    await sent;
    this.#isSending = false;
    this.#limitPauses();
  }

  #write(pieces: readonly Buffer[]): Promise<void> {
    const socket = this.#socket;
    return new Promise((resolve) => {
      this.#stopSending = resolve;
      const last = pieces.length - 1;
      socket.cork();
      for (const [index, piece] of pieces.entries()) {
        if (index < last) socket.write(piece);
        else {
          socket.write(piece, () => resolve());
        }
      }
      socket.uncork();
    });
  }

  /** Ends the connection once what is being dealt with is answered. */
  close(): void {
    this.#isClosing = true;
    if (this.#isBusy) this.#wakeWaiting();
    else this.#socket.destroy();
  }

  /** Ends the connection at once. */
  destroy(): void {
    this.#socket.destroy();
  }

  #giveUp(reason: string): void {
    this.#say(reason);
    this.#socket.destroy();
  }

  #closed(): void {
    this.#isClosed = true;
    if (!this.#isWaitingForMemory) this.#reader.close();
    // What came whole in front of something that is no request: nobody deals with it any more.
    if (!this.#isBusy) for (const request of this.#queue.splice(0)) request.release();
    this.#wakeWaiting();
    this.#stopSending();
  }

  /** Requests that wait for something need not any more. */
  #wakeWaiting(): void {
    for (const gone of this.#goneListeners) gone();
    this.#goneListeners.clear();
  }

  #say(reason: string): void {
    if (!this.#isClosed) {
      this.#state.logger.debug(`Connection of ${this.#context.clientHost} is closed: ${reason}`);
    }
  }
}

/** An IPv4 address that came over an IPv6 socket, as IPv4. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:/, "");
}

function reasonOf(error: unknown): string {
  if (error instanceof ByteRangeError) return `a request cannot be read: ${error.message}`;
  if (error instanceof RequestFormatError || error instanceof UnansweredError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
