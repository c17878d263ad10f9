import { open, stat } from "node:fs/promises";
import type { Readable } from "node:stream";
import {
  CountedBytes,
  fileBytes,
  streamBytes,
  type ByteSource,
} from "../capture-file/byte-source.ts";
import {
  openCaptureReader,
  type CaptureReader,
  type OpenCapture,
} from "../capture-file/capture-reader.ts";
import { PcaptsError } from "../errors.ts";
import type { CaptureInterface, FrameChunk } from "../packet/frame-chunk.ts";
import type { CaptureCounters, FrameSource, ReadExtent } from "./frame-source.ts";
import { openPipe } from "./pipe-bytes.ts";
import { describeReadError } from "./read-error.ts";

/** What {@link openFileSource} needs beside the path. */
export interface FileSourceOptions {
  /** What the path `-` stands for. */
  readonly stdin?: Readable;
  /** Name of the host or probe that the frames are said to come from; "" by default. */
  readonly sensor?: string;
}

/**
 * Opens a capture file as a source of frames. Its header is read at once, so that a wrong file is
 * refused before anything else is contacted; a pipe's header is waited for.
 *
 * @param path a file, a named pipe, or `-` for `options.stdin`
 * @returns a source of kind "file", named by its path or "standard input"; its `counters()` are
 *   unknown, because a file does not tell what its writer missed
 * @throws PcaptsError FILE_NOT_READABLE, FILE_NOT_A_CAPTURE, FILE_CUT
 */
export async function openFileSource(
  path: string,
  options: FileSourceOptions = {},
): Promise<FrameSource> {
  const name = path === "-" ? "standard input" : path;
  const bytes = new CountedBytes(path === "-" ? stdinBytes(options.stdin) : await openBytes(path));
  try {
    const capture = await openCaptureReader(bytes, name, options.sensor);
    return new FileSource(name, capture, bytes, await sizeOfFile(path));
  } catch (error) {
    await bytes.close();
    throw error;
  }
}

/**
 * The size of a file.
 *
 * @param path a file, or `-` for standard input
 * @returns bytes; undefined for what has no size, and where that cannot be known
 */
export async function sizeOfFile(path: string): Promise<number | undefined> {
  if (path === "-") return undefined;
  try {
    const found = await stat(path);
    return found.isFile() ? found.size : undefined;
  } catch {
    return undefined;
  }
}

class FileSource implements FrameSource {
  readonly kind = "file";
  readonly name: string;
  readonly #bytes: ByteSource;
  readonly #reader: CaptureReader;
  readonly #counted: CountedBytes;
  readonly #totalBytes: number | undefined;
  #isStopped = false;

  constructor(
    name: string,
    { bytes, reader }: OpenCapture,
    counted: CountedBytes,
    totalBytes: number | undefined,
  ) {
    this.name = name;
    this.#bytes = bytes;
    this.#reader = reader;
    this.#counted = counted;
    this.#totalBytes = totalBytes;
  }

  get interfaces(): readonly CaptureInterface[] {
    return this.#reader.interfaces;
  }

  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    try {
      for await (const chunk of this.#reader.chunks()) {
        if (this.#isStopped) return;
        yield chunk;
      }
    } catch (error) {
      // A read that stop() broke off, or a frame that it left half read, is not a fault of the file.
      if (!this.#isStopped) throw error;
    } finally {
      await this.#bytes.close();
    }
  }

  counters(): CaptureCounters {
    return {
      received: undefined,
      droppedByKernel: undefined,
      droppedByInterface: undefined,
      filtered: 0,
    };
  }

  extent(): ReadExtent {
    return { readBytes: this.#counted.readBytes, totalBytes: this.#totalBytes };
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#bytes.close();
  }
}

function stdinBytes(stdin: Readable | undefined): ByteSource {
  if (stdin === undefined) {
    throw new PcaptsError("FILE_NOT_READABLE", "Cannot read standard input: it is not connected");
  }
  return streamBytes(stdin);
}

async function openBytes(path: string): Promise<ByteSource> {
  try {
    const kind = await stat(path);
    if (kind.isDirectory()) throw Object.assign(new Error("EISDIR"), { code: "EISDIR" });
    return kind.isFIFO() ? await openPipe(path) : fileBytes(await open(path, "r"));
  } catch (cause) {
    const reason = describeReadError(cause);
    throw new PcaptsError("FILE_NOT_READABLE", `Cannot read "${path}": ${reason}`, { cause });
  }
}
