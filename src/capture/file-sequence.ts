import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { readHeaderWord, type CaptureInterface, type FrameChunk } from "../packet/frame-chunk.ts";
import { openFileSource, type FileSourceOptions } from "./file-source.ts";
import type { CaptureCounters, FrameSource } from "./frame-source.ts";

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
 *
 * @param paths files, named pipes, directories, or `-` for `options.stdin`; at least one. What is read
 *   several times is regular files
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
  const { loops = 1, logger } = options;
  if (loops > 1) for (const file of files) await refusePipe(file);
  const [first = ""] = files;
  const source = await openFileSource(first, options);
  if (files.length > 1) {
    logger.info(`Reading ${files.length} files, from "${first}" to "${files.at(-1)}"`);
  }
  return files.length === 1 && loops === 1 ? source : new FileSequence(source, files, options);
}

class FileSequence implements FrameSource {
  readonly kind = "file";
  readonly name: string;
  readonly interfaces: readonly CaptureInterface[];
  readonly #files: readonly string[];
  readonly #options: FileSequenceOptions;
  #current: FrameSource;
  #isStopped = false;
  #failure: PcaptsError | undefined;
  readonly #told = new Set<string>();

  constructor(first: FrameSource, files: readonly string[], options: FileSequenceOptions) {
    this.#current = first;
    this.#files = files;
    this.#options = options;
    this.name = files.length === 1 ? first.name : `${first.name} and ${files.length - 1} more`;
    this.interfaces = first.interfaces;
  }

  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    const { loops = 1, logger } = this.#options;
    for (let loop = 1; loop <= loops && !this.#isStopped; loop++) {
      let isEmpty = true;
      for await (const chunk of this.#readAll(loop === 1)) {
        isEmpty &&= chunk.frameCount === 0;
        yield chunk;
      }
      if (!isEmpty || loops === 1 || this.#isStopped) continue;
      // Without an end to it this would keep the machine busy with nothing.
      if (this.#failure === undefined) {
        logger.warn(`There is no frame in "${this.name}": it is not read again`);
      }
      break;
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  counters(): CaptureCounters {
    return this.#current.counters();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#current.stop();
  }

  /** All files once. The very first is open. */
  async *#readAll(isFirstLoop: boolean): AsyncGenerator<FrameChunk, void, void> {
    for (const [index, file] of this.#files.entries()) {
      if (this.#isStopped) return;
      try {
        if (!isFirstLoop || index > 0) {
          this.#current = await openFileSource(file, this.#options);
          this.#options.onNextFile?.();
        }
        // It may have been stopped while it was being opened.
        if (this.#isStopped) await this.#current.stop();
        yield* this.#current.chunks();
      } catch (error) {
        this.#note(error);
      }
    }
  }

  /** The first error is the run's; of the others only a line tells, and once in all loops. */
  #note(error: unknown): void {
    if (!(error instanceof PcaptsError)) throw error;
    const isNew = !this.#told.has(error.message);
    this.#told.add(error.message);
    if (this.#failure === undefined) this.#failure = error;
    // Where there are more loops the end may be far away.
    if (isNew && (this.#failure !== error || this.#options.loops === Infinity)) {
      this.#options.logger.error(error.message);
    }
  }
}

async function refusePipe(file: string): Promise<void> {
  const isPipe =
    file === "-" ||
    (await stat(file).then(
      (each) => !each.isFile(),
      () => false,
    ));
  if (!isPipe) return;
  throw new PcaptsError(
    "USAGE",
    `--loop needs files, which can be read again: "${file}" is none (-r, --read)`,
  );
}

async function isDirectory(given: string): Promise<boolean> {
  try {
    return (await stat(given)).isDirectory();
  } catch {
    return false; // Opening it says what is wrong.
  }
}

/** The captures right in a directory, by the time of their first frame, those without one first. */
async function listByTime(directory: string, options: FileSequenceOptions): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  const found: { file: string; seconds: number; nanoseconds: number }[] = [];
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const file = path.join(directory, entry.name);
    // Waiting for a pipe's writer here would keep all others waiting.
    if (!entry.isFile() && !(entry.isSymbolicLink() && (await isRegularFile(file)))) continue;
    try {
      found.push({ file, ...(await readFirstTime(file, options)) });
    } catch (error) {
      if (!(error instanceof PcaptsError) || error.code !== "FILE_NOT_A_CAPTURE") throw error;
      options.logger.warn(`${error.message}; it is passed over`);
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

async function readFirstTime(
  file: string,
  options: FileSequenceOptions,
): Promise<{ seconds: number; nanoseconds: number }> {
  const source = await openFileSource(file, options);
  try {
    for await (const { bytes, frameCount, bigEndian, nanosecond } of source.chunks()) {
      if (frameCount === 0) continue;
      const fraction = readHeaderWord(bytes, 4, bigEndian);
      return {
        seconds: readHeaderWord(bytes, 0, bigEndian),
        nanoseconds: nanosecond ? fraction : fraction * 1000,
      };
    }
  } catch (error) {
    // What is damaged says so when its turn comes.
    if (!(error instanceof PcaptsError)) throw error;
  } finally {
    await source.stop();
  }
  return { seconds: -1, nanoseconds: 0 };
}
