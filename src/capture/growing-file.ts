import type { FileHandle } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { ByteSource } from "../capture-file/byte-source.ts";

/** A file that nobody has written to for so long is not written any more, where a newer one is there. */
const QUIET_MS = 10_000;

/** What a file is recognised by when its name or its size has changed: a header and the first frame. */
const HEAD_BYTES = 64;

/** Writers write often; what came within so long is read at once. */
const GATHERING_MS = 20;

/** What a {@link GrowingFile} needs to know of others. */
export interface GrowingFileOptions {
  /** `head` is what it began with when it was last seen, at most 64 bytes; kept up to date. */
  readonly seen: { head: Uint8Array };
  /** Another file has been begun since. */
  readonly hasNewer: () => boolean;
  /** Told when its end was reached, and more is waited for. */
  readonly onWait: () => void;
}

/**
 * Reads a file that may still be written. At its end more is waited for, until a newer file is there and
 * nobody has written to this one for 10 s, or it has been deleted.
 */
export class GrowingFile implements ByteSource {
  /** Its end was reached, and more is waited for. */
  isWaiting = false;
  /** It was written anew from its begin, by the same name; what was not read by then is lost. */
  isRewritten = false;
  /** Its end was reached, and no more was waited for. */
  isOver = false;
  /** So much was read. */
  position = 0;
  readonly #file: FileHandle;
  readonly #options: GrowingFileOptions;
  #grownMs = performance.now();
  #isClosing = false;
  #mustEnd = false;
  #reading: Promise<number> = Promise.resolve(0);
  #closing: Promise<void> | undefined;
  #isWoken = false;
  #goOn = (): void => {};

  /** @param file closed by `close()` */
  constructor(file: FileHandle, options: GrowingFileOptions) {
    this.#file = file;
    this.#options = options;
  }

  readInto(target: Uint8Array): Promise<number> {
    const read = this.#read(target);
    this.#reading = read.catch(() => 0);
    return read;
  }

  close(): Promise<void> {
    this.#isClosing = true;
    this.wake();
    this.#closing ??= this.#reading.then(() => this.#file.close());
    return this.#closing;
  }

  /** Looks again whether more has come. */
  wake(): void {
    this.#isWoken = true;
    this.#goOn();
  }

  /** Ends where the file ends now. */
  finish(): void {
    this.#mustEnd = true;
    this.wake();
  }

  async #read(target: Uint8Array): Promise<number> {
    while (!this.#isClosing) {
      // Looked at before the last read: what is written before a newer file is begun is in it.
      const isLast = await this.#isLast();
      const { bytesRead } = await this.#file.read(target, 0, target.length, this.position);
      // Afterwards: what was read is of the file that had been begun by then.
      if (!(await this.#isSame())) {
        this.isRewritten = true;
        return 0;
      }
      if (bytesRead > 0) {
        this.position += bytesRead;
        this.#grownMs = performance.now();
        return bytesRead;
      }
      if (isLast) {
        this.isOver = true;
        return 0;
      }
      await this.#wait();
    }
    return 0;
  }

  async #wait(): Promise<void> {
    const woken = new Promise<void>((resolve) => {
      this.#goOn = resolve;
    });
    this.isWaiting = true;
    this.#options.onWait();
    if (!this.#isWoken) await woken;
    this.#isWoken = false;
    if (!this.#isClosing && !this.#mustEnd) await sleep(GATHERING_MS);
    this.isWaiting = false;
  }

  async #isLast(): Promise<boolean> {
    if (this.#mustEnd) return true;
    if (!this.#options.hasNewer()) return false;
    const { mtimeMs, nlink } = await this.#file.stat();
    return (
      nlink === 0 ||
      Date.now() - mtimeMs >= QUIET_MS ||
      performance.now() - this.#grownMs >= QUIET_MS
    );
  }

  async #isSame(): Promise<boolean> {
    const { seen } = this.#options;
    const head = await readHead(this.#file);
    if (!beginsWith(head, seen.head)) return false;
    seen.head = head;
    return true;
  }
}

/**
 * What a file begins with.
 *
 * @returns up to 64 bytes
 */
export async function readHead(file: FileHandle): Promise<Uint8Array> {
  const head = new Uint8Array(HEAD_BYTES);
  const { bytesRead } = await file.read(head, 0, HEAD_BYTES, 0);
  return head.subarray(0, bytesRead);
}

/**
 * Whether a file is the one that was seen before, which may have grown.
 *
 * @param head what it begins with
 * @param before what that one began with
 */
export function beginsWith(head: Uint8Array, before: Uint8Array): boolean {
  return head.length >= before.length && before.every((byte, index) => byte === head[index]);
}
