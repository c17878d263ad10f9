import type { Readable } from "node:stream";
import type { ProcessUser } from "./process-user.ts";

/*
 * What the capture process tells its parent, over a pipe:
 *
 *   kind u32 | payload length u32 | frame count u32 | payload        (little-endian)
 *
 *   OPENED   JSON, CapOpened: once, first
 *   FRAMES   records as in a pcap file, little-endian, microseconds
 *   STARTED  frames are captured by the filter that was asked for
 *   KEPT     JSON, CapKept: a filter could not be changed, the one before stays
 *   ALIVE    nothing happened for a second
 *   FAILED   JSON, CapFailure: instead of OPENED, or the last
 *
 * and what the parent says, over another: lines of JSON, CapCommand.
 */

/** Length of the header of a message. */
export const MESSAGE_HEADER_BYTES = 12;

/** The interface is open: payload is its link type. */
export const MESSAGE_OPENED = 1;

/** Frames, each with its pcap record header. */
export const MESSAGE_FRAMES = 2;

/** The child cannot go on: payload is the error as JSON. */
export const MESSAGE_FAILED = 3;

/** Frames are captured by the filter that was asked for last; no payload. */
export const MESSAGE_STARTED = 5;

/** The child goes on with the filter that it had: payload says why. */
export const MESSAGE_KEPT = 4;

/** The child is there, although it has no frames; no payload. */
export const MESSAGE_ALIVE = 6;

/** What the capture process is asked to do; JSON, its only argument. */
export interface CapRequest {
  readonly interfaceName: string;
  readonly filter: string;
  readonly snapLengthBytes: number;
  readonly bufferBytes: number;
  /** Who the process changes to from root once the interface is open. */
  readonly user?: ProcessUser;
}

/** Capture from now on with this filter: the first one starts the capture. */
export interface CapCommand {
  readonly filter: string;
}

/** A filter was not changed. */
export interface CapKept {
  readonly reason: string;
}

/** The interface is open. */
export interface CapOpened {
  /** The link type in `cap`'s words. */
  readonly linkType: string;
}

/** The interface could not be opened. */
export interface CapFailure {
  /** libpcap's words, or the reason why the engine does not load. */
  readonly reason: string;
  readonly isEngineMissing: boolean;
  /** The interface was open, but the process could not change to the user it was given. */
  readonly isUserRefused?: boolean;
  /** Names of what could be opened. */
  readonly interfaceNames: readonly string[];
}

/** One message; `payload` is valid until the next one is read. */
export interface CapMessage {
  readonly kind: number;
  readonly frameCount: number;
  readonly payload: Buffer;
}

/** Writes the header of a message. */
export function writeMessageHeader(
  target: Buffer,
  kind: number,
  payloadBytes: number,
  frameCount: number,
): void {
  target.writeUInt32LE(kind, 0);
  target.writeUInt32LE(payloadBytes, 4);
  target.writeUInt32LE(frameCount, 8);
}

/** More than the longest message, so that one can always be completed. */
const QUEUE_LIMIT_BYTES = 1024 * 1024;

/** Puts messages together from a pipe's pieces; not asking for the next one is back-pressure. */
export class CapMessageReader {
  readonly #stream: Readable;
  readonly #queue: Buffer[] = [];
  #queuedBytes = 0;
  #isUnbounded = false;
  #hasEnded = false;
  #wake = (): void => {};
  #scratch = Buffer.alloc(0);

  constructor(stream: Readable) {
    this.#stream = stream;
    const end = (): void => {
      this.#hasEnded = true;
      this.#wake();
    };
    stream.on("data", (piece: Buffer) => {
      this.#queue.push(piece);
      this.#queuedBytes += piece.length;
      if (this.#queuedBytes >= QUEUE_LIMIT_BYTES && !this.#isUnbounded) stream.pause();
      this.#wake();
    });
    stream.on("end", end);
    stream.on("close", end);
    stream.on("error", end);
  }

  /** Waits for a message; undefined when the pipe has ended. */
  async next(): Promise<CapMessage | undefined> {
    if (!(await this.#has(MESSAGE_HEADER_BYTES))) return undefined;
    const header = this.#take(MESSAGE_HEADER_BYTES);
    const kind = header.readUInt32LE(0);
    const payloadBytes = header.readUInt32LE(4);
    const frameCount = header.readUInt32LE(8);
    if (!(await this.#has(payloadBytes))) return undefined;
    return { kind, frameCount, payload: this.#take(payloadBytes) };
  }

  /** From now on takes in whatever comes, so that a writer that is about to end is never blocked. */
  takeRest(): void {
    this.#isUnbounded = true;
    this.#stream.resume();
  }

  async #has(bytes: number): Promise<boolean> {
    while (this.#queuedBytes < bytes && !this.#hasEnded) {
      this.#stream.resume();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#queuedBytes >= bytes;
  }

  /** The next bytes: a view where one piece has them all, else put together in reused memory. */
  #take(bytes: number): Buffer {
    this.#queuedBytes -= bytes;
    const first = this.#queue[0];
    if (first !== undefined && first.length >= bytes) {
      this.#dropFromFirst(first, bytes);
      return first.subarray(0, bytes);
    }
    if (this.#scratch.length < bytes) this.#scratch = Buffer.allocUnsafeSlow(bytes);
    let at = 0;
    while (at < bytes) {
      const piece = this.#queue[0]!;
      const taken = piece.copy(this.#scratch, at, 0, bytes - at);
      this.#dropFromFirst(piece, taken);
      at += taken;
    }
    return this.#scratch.subarray(0, bytes);
  }

  #dropFromFirst(first: Buffer, bytes: number): void {
    if (bytes === first.length) this.#queue.shift();
    else this.#queue[0] = first.subarray(bytes);
  }
}
