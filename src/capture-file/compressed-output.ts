import { Writable } from "node:stream";
import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { loadZstdPackage } from "../bytes/zstd-package.ts";
import { PcaptsError } from "../errors.ts";

/** How an output is compressed. */
export type OutputCompression = "gzip" | "zstd";

/** Collected before it is compressed. */
const MEMBER_BYTES = 1024 * 1024;

/** What is collected goes out after this time, so that a reader need not wait for the rest. */
const LONGEST_WAIT_MS = 1000;

/** What Node has from 22.15 on, which the types of Node 20 do not know. */
interface ZstdOfNode {
  readonly zstdCompress: (
    bytes: Uint8Array,
    done: (error: Error | null, result: Buffer) => void,
  ) => void;
}

type Compressor = (bytes: Buffer) => Promise<Uint8Array>;

/**
 * A stream that compresses what is written to it. What comes out is a row of gzip members or zstd
 * frames, each whole by itself: every program that reads the format reads a row of them, and a file
 * can be read up to the last one whenever its writer ends.
 */
export class CompressedOutput extends Writable {
  readonly #target: Writable;
  readonly #compress: Promise<Compressor>;
  #pieces: Buffer[] = [];
  #length = 0;
  /** Before compression: bytes that were written, and those of them that are out. */
  #takenBytes = 0;
  #outBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #emitting: Promise<void> = Promise.resolve();

  /** @param target receives the compressed bytes; ended with this stream */
  constructor(target: Writable, compression: OutputCompression) {
    super();
    this.#target = target;
    this.#compress = compression === "gzip" ? Promise.resolve(promisify(zlib.gzip)) : loadZstd();
    // What it throws is met by the first that is to be compressed.
    this.#compress.catch(() => {});
    target.on("error", (error) => this.destroy(error));
  }

  /** Bytes that were written, before compression. */
  get takenBytes(): number {
    return this.#takenBytes;
  }

  /** Those of them that have gone out, compressed. */
  get outBytes(): number {
    return this.#outBytes;
  }

  /** Resolves when all that was written so far has gone out, compressed. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const bytes = Buffer.concat(this.#pieces, this.#length);
    this.#pieces = [];
    this.#length = 0;
    if (bytes.length > 0) {
      this.#emitting = this.#emitting.then(() => this.#emit(bytes));
    }
    await this.#emitting;
  }

  override _write(bytes: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    // Whoever wrote it uses its memory again.
    this.#pieces.push(Buffer.from(bytes));
    this.#length += bytes.length;
    this.#takenBytes += bytes.length;
    if (this.#length >= MEMBER_BYTES) {
      void this.#flushThen(done);
      return;
    }
    this.#timer ??= setTimeout(() => {
      this.flush().catch((error: unknown) => this.destroy(error as Error));
    }, LONGEST_WAIT_MS);
    done();
  }

  override _final(done: (error?: Error | null) => void): void {
    void this.#flushThen((failure) => {
      if (failure) done(failure);
      else this.#target.end(done);
    });
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#timer);
    done(error);
  }

  async #flushThen(done: (error?: Error | null) => void): Promise<void> {
    let failure: Error | undefined;
    try {
      await this.flush();
    } catch (error) {
      failure = error as Error;
    }
    done(failure);
  }

  async #emit(bytes: Buffer): Promise<void> {
    const compress = await this.#compress;
    const compressed = await compress(bytes);
    await new Promise<void>((resolve, reject) => {
      this.#target.write(compressed, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
    this.#outBytes += bytes.length;
  }
}

async function loadZstd(): Promise<Compressor> {
  if (hasZstd(zlib)) return promisify(zlib.zstdCompress);
  try {
    const zstd = await loadZstdPackage();
    return (bytes) => Promise.resolve(zstd.compress(bytes, 3));
  } catch (cause) {
    throw new PcaptsError(
      "OUTPUT_NOT_WRITABLE",
      "Cannot compress the output with zstd: this Node has no zstd, and the package " +
        "@bokuweb/zstd-wasm cannot be loaded; use Node 22.15 or newer, or --compress-output gzip",
      { cause },
    );
  }
}

function hasZstd(module: object): module is ZstdOfNode {
  return "zstdCompress" in module;
}
