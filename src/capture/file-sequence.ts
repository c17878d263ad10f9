import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { CaptureInterface, FrameChunk } from "../packet/frame-chunk.ts";
import { openFileSource, sizeOfFile, type FileSourceOptions } from "./file-source.ts";
import { readFirstTime } from "./first-time.ts";
import type { CaptureCounters, FrameSource, ReadExtent } from "./frame-source.ts";
import { openLoopedSource } from "./looped-source.ts";
import { isNamedPipe } from "./pipe-bytes.ts";
import { openPipeSource } from "./pipe-source.ts";

/** What {@link openFileSources} needs beside the paths. */
export interface FileSequenceOptions extends FileSourceOptions {
  /** Told what is passed over, and what is read when there are several. */
  readonly logger: Logger;
  /** How many times all of them are read; Infinity is until `stop()`. Default 1. */
  readonly loops?: number;
  /** Called before the first frame of each file but the very first, the same file again among them. */
  readonly onNextFile?: (() => void) | undefined;
}

/**
 * Opens capture files as one source: one after the other in the order given, those of a directory in
 * the order of their first frames. The first is opened at once, so that a wrong one is refused before
 * anything else is contacted; of a directory all are looked into.
 *
 * A file that is cut or damaged does not keep the others from being read; its error comes at the end.
 * A named pipe that is the last of them goes on when its writer ends, with the next writer.
 *
 * @param paths files, named pipes, directories, or `-` for `options.stdin`; at least one
 * @throws PcaptsError FILE_NOT_READABLE, FILE_NOT_A_CAPTURE, FILE_CUT; USAGE for a pipe that is to be
 *   read several times
 */
export async function openFileSources(
  paths: readonly string[],
  options: FileSequenceOptions,
): Promise<FrameSource> {
  const files: string[] = [];
  for (const given of paths) {
    if (given !== "-" && (await isDirectory(given))) {
      files.push(...(await listByTime(given, options)));
    } else {
      files.push(given);
    }
  }
  const { loops = 1, onNextFile, logger } = options;
  if (loops > 1) for (const file of files) await refusePipe(file);
  const open = (onNext: (() => void) | undefined): Promise<FrameSource> =>
    openSequence(files, { ...options, onNextFile: onNext });
  const source =
    loops === 1
      ? await open(onNextFile)
      : await openLoopedSource(open, { loops, onNextFile, logger });
  if (files.length > 1) {
    logger.info(`Reading ${files.length} files, from "${files[0]}" to "${files.at(-1)}"`);
  }
  return source;
}

async function openSequence(
  files: readonly string[],
  options: FileSequenceOptions,
): Promise<FrameSource> {
  const [first = "", ...others] = files;
  if (others.length === 0) return openLast(first, options);
  const source = await openFileSource(first, options);
  const sizes = await Promise.all(files.map(sizeOfFile));
  return new FileSequence(source, others, sizes, options);
}

class FileSequence implements FrameSource {
  readonly kind = "file";
  readonly name: string;
  readonly interfaces: readonly CaptureInterface[];
  readonly #others: readonly string[];
  /** Of all files, in bytes; undefined for what is no file. */
  readonly #sizes: readonly (number | undefined)[];
  readonly #options: FileSequenceOptions;
  #current: FrameSource;
  /** Of those before the current one. */
  #bytesBefore = 0;
  #isStopped = false;
  #failure: unknown;

  constructor(
    first: FrameSource,
    others: readonly string[],
    sizes: readonly (number | undefined)[],
    options: FileSequenceOptions,
  ) {
    this.#current = first;
    this.#others = others;
    this.#sizes = sizes;
    this.#options = options;
    this.name = `${first.name} and ${others.length} more`;
    this.interfaces = first.interfaces;
  }

  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    yield* this.#readCurrent();
    for (const [index, file] of this.#others.entries()) {
      if (this.#isStopped) break;
      this.#bytesBefore += this.#sizes[index] ?? 0;
      try {
        const isLast = index === this.#others.length - 1;
        this.#current = await (isLast ? openLast : openFileSource)(file, this.#options);
      } catch (error) {
        this.#note(error);
        continue;
      }
      // It may have been stopped while that file was being opened.
      if (this.#isStopped) {
        await this.#current.stop();
        break;
      }
      this.#options.onNextFile?.();
      yield* this.#readCurrent();
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  counters(): CaptureCounters {
    return this.#current.counters();
  }

  extent(): ReadExtent {
    return {
      readBytes: this.#bytesBefore + (this.#current.extent?.()?.readBytes ?? 0),
      totalBytes: this.#sizes.reduce(
        (sum, size) => (sum === undefined || size === undefined ? undefined : sum + size),
        0,
      ),
    };
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#current.stop();
  }

  async *#readCurrent(): AsyncGenerator<FrameChunk, void, void> {
    try {
      yield* this.#current.chunks();
    } catch (error) {
      this.#note(error);
    }
  }

  /** The first error is the run's; of the others only a line tells. */
  #note(error: unknown): void {
    if (!(error instanceof PcaptsError)) throw error;
    if (this.#failure === undefined) this.#failure = error;
    else this.#options.logger.error(error.message);
  }
}

/** What came from a pipe is gone once it is read. */
async function refusePipe(file: string): Promise<void> {
  const isFile =
    file !== "-" &&
    (await stat(file).then(
      (found) => found.isFile(),
      () => true,
    ));
  if (isFile) return;
  throw new PcaptsError(
    "USAGE",
    `--loop needs files, which can be read again: "${file}" is none (-r, --read)`,
  );
}

async function openLast(file: string, options: FileSequenceOptions): Promise<FrameSource> {
  const isPipe = file !== "-" && (await isNamedPipe(file));
  return isPipe ? openPipeSource(file, options) : openFileSource(file, options);
}

async function isDirectory(given: string): Promise<boolean> {
  try {
    return (await stat(given)).isDirectory();
  } catch {
    return false; // Opening it says what is wrong.
  }
}

/** Of a capture without frames. */
const NO_TIME = { seconds: -1, nanoseconds: 0 };

/** The captures right in a directory, by the time of their first frame, those without one first. */
async function listByTime(directory: string, options: FileSequenceOptions): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  const found: { file: string; seconds: number; nanoseconds: number }[] = [];
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const file = path.join(directory, entry.name);
    // Waiting for a pipe's writer here would keep all others waiting.
    if (!entry.isFile() && !(entry.isSymbolicLink() && (await isRegularFile(file)))) continue;
    try {
      found.push({ file, ...((await readFirstTime(file, options)) ?? NO_TIME) });
    } catch (error) {
      if (!(error instanceof PcaptsError)) throw error;
      if (error.code === "FILE_NOT_A_CAPTURE") {
        options.logger.warn(`${error.message}; it is passed over`);
      } else {
        // Behind all others it says so when its turn comes.
        found.push({ file, seconds: Infinity, nanoseconds: 0 });
      }
    }
  }
  if (found.length === 0) {
    throw new PcaptsError(
      "FILE_NOT_READABLE",
      `Cannot read "${directory}": there is no capture in this directory`,
    );
  }
  return found
    .toSorted((a, b) => a.seconds - b.seconds || a.nanoseconds - b.nanoseconds)
    .map(({ file }) => file);
}

async function isRegularFile(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}
