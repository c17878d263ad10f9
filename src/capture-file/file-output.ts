import * as fs from "node:fs";
import { Writable } from "node:stream";
import { promisify } from "node:util";

const openFile = promisify(fs.open) as (path: string, flags: number) => Promise<number>;
const cutFile = promisify(fs.ftruncate) as (fd: number, bytes: number) => Promise<void>;
const syncData = promisify(fs.fdatasync);

const { O_APPEND, O_CREAT, O_TRUNC, O_WRONLY } = fs.constants;

/** What a file that cannot be brought to a disk says, such as one of a file system in memory. */
const CANNOT_SYNC = new Set(["EINVAL", "ENOTSUP", "ENOSYS"]);

/** By so many bytes a file is known again. */
const TAIL_BYTES = 32;

/** How a {@link FileOutput} treats its file. */
export interface FileOutputOptions {
  /** At the end the file is brought to the disk. */
  readonly syncsAtEnd?: boolean;
  /** At the end the file is left open: it belongs to somebody else. */
  readonly staysOpen?: boolean;
  /**
   * How many bytes are to stay of what a write got into the file before it failed; the rest is cut off.
   * Default all.
   */
  readonly keepOfTorn?: ((bytes: Buffer) => number) | undefined;
}

/** A file that is written, and brought to the disk when that is asked for. */
export class FileOutput extends Writable {
  /** What an operator calls the file. */
  readonly path: string;
  readonly #fd: number;
  readonly #options: FileOutputOptions;
  #length: number;
  /** The last bytes of the file. */
  #tail: Buffer;
  #torn = Buffer.alloc(0);
  #syncedLength = -1;
  #syncFailure: Error | undefined;

  /**
   * @param fd open for writing
   * @param path for messages
   * @param length bytes in the file
   * @param tail the last of them, in hexadecimal
   */
  constructor(
    fd: number,
    path: string,
    length: number,
    tail: string,
    options: FileOutputOptions = {},
  ) {
    super();
    this.#fd = fd;
    this.path = path;
    this.#length = length;
    this.#tail = Buffer.from(tail, "hex");
    this.#options = options;
  }

  /** Begins a file, in place of what has its name. @throws the operating system's error */
  static async create(path: string, options?: FileOutputOptions): Promise<FileOutput> {
    const fd = await openFile(path, O_WRONLY | O_CREAT | O_TRUNC);
    return new FileOutput(fd, path, 0, "", options);
  }

  /**
   * Goes on with a file behind its first bytes; what follows them is cut off.
   *
   * @param tail the last of these bytes
   * @throws the operating system's error
   */
  static async goOn(
    path: string,
    length: number,
    tail: string,
    options?: FileOutputOptions,
  ): Promise<FileOutput> {
    const fd = await openFile(path, O_WRONLY | O_APPEND);
    try {
      await cutFile(fd, length);
    } catch (error) {
      fs.closeSync(fd);
      throw named(error, path);
    }
    return new FileOutput(fd, path, length, tail, options);
  }

  /** Bytes in the file. */
  get length(): number {
    return this.#length;
  }

  /** What a write got into the file behind its header before it failed, a copy; nothing when none did. */
  get torn(): Buffer {
    return this.#torn;
  }

  /** The last of them, in hexadecimal. */
  get tail(): string {
    return this.#tail.toString("hex");
  }

  /**
   * Brings what was written to the disk.
   *
   * @throws the operating system's error, from then on always: after a failure the kernel may take
   *   for written what it could not write, so that asking again would bring a wrong answer
   */
  async sync(): Promise<void> {
    if (this.#syncFailure !== undefined) throw this.#syncFailure;
    // It is closed by then.
    if (this.errored !== null && this.#options.staysOpen !== true) throw this.errored;
    const length = this.#length;
    if (length === this.#syncedLength) return;
    try {
      await syncData(this.#fd);
    } catch (error) {
      if (!CANNOT_SYNC.has((error as NodeJS.ErrnoException).code ?? "")) {
        this.#syncFailure = named(error, this.path);
        throw this.#syncFailure;
      }
    }
    this.#syncedLength = length;
  }

  override _write(bytes: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    const write = (rest: Buffer): void => {
      fs.write(this.#fd, rest, (error, count) => {
        this.#length += count;
        this.#tail = tailOf(this.#tail, rest.subarray(0, count));
        if (error !== null) {
          const torn = bytes.subarray(0, bytes.length - rest.length);
          this.#leaveTorn(torn, () => done(named(error, this.path)));
        } else if (count < rest.length) write(rest.subarray(count));
        else done();
      });
    };
    write(bytes);
  }

  /** A file that ends in order is worth more than a part of a frame; where it cannot be cut it stays. */
  #leaveTorn(bytes: Buffer, done: () => void): void {
    const { keepOfTorn, staysOpen } = this.#options;
    const before = this.#length - bytes.length;
    // Not of the file's header.
    if (before > 0) this.#torn = Buffer.from(bytes);
    if (keepOfTorn === undefined || staysOpen === true) done();
    else fs.ftruncate(this.#fd, before + keepOfTorn(this.#torn), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#options.syncsAtEnd === true) void this.#syncThen(done);
    else done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (this.#options.staysOpen === true) done(error);
    else fs.close(this.#fd, (failure) => done(error ?? failure));
  }

  async #syncThen(done: (error?: Error | null) => void): Promise<void> {
    let failure: Error | undefined;
    try {
      await this.sync();
    } catch (error) {
      failure = error as Error;
    }
    done(failure);
  }
}

function tailOf(tail: Buffer, added: Buffer): Buffer {
  return Buffer.concat([tail, added.subarray(-TAIL_BYTES)]).subarray(-TAIL_BYTES);
}

/** Errors of open files do not say of which. */
function named(error: unknown, path: string): Error {
  const failure = error as NodeJS.ErrnoException;
  failure.path ??= path;
  return failure;
}
