import { setImmediate as nextTurn } from "node:timers/promises";
import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { CaptureInterface, FrameChunk } from "../packet/frame-chunk.ts";
import type { CaptureCounters, FrameSource, ReadExtent } from "./frame-source.ts";

/** Files of so many bytes of frames together are kept in memory, so that they need not be opened again. */
const KEPT_BYTES = 8 * 1024 * 1024;

/** After so many bytes that nobody had to wait for, sockets, timers and signals have a turn. */
const TURN_BYTES = 256 * 1024;

/** How files are read again. */
export interface LoopOptions {
  /** How many times, the first one among them; Infinity is until `stop()`. */
  readonly loops: number;
  /** Called before the first frame of each file but the very first. */
  readonly onNextFile: (() => void) | undefined;
  readonly logger: Logger;
}

/**
 * Reads files again and again. Small ones are read once and kept: opening a file for ten frames takes
 * longer than publishing them. What is wrong with a file is told once, and thrown at the end.
 *
 * @param open opens all of them from their beginning; calls what it is given when another file begins
 * @throws PcaptsError what `open` throws; `chunks()` throws it when they cannot be opened again
 */
export async function openLoopedSource(
  open: (onNextFile: () => void) => Promise<FrameSource>,
  options: LoopOptions,
): Promise<FrameSource> {
  const memory = new ChunkMemory();
  const source = await open(() => {
    memory.beginFile();
    options.onNextFile?.();
  });
  return new LoopedSource(source, memory, () => open(() => options.onNextFile?.()), options);
}

class LoopedSource implements FrameSource {
  readonly kind: FrameSource["kind"];
  readonly name: string;
  readonly interfaces: readonly CaptureInterface[];
  readonly #memory: ChunkMemory;
  readonly #open: () => Promise<FrameSource>;
  readonly #options: LoopOptions;
  #current: FrameSource;
  #isStopped = false;
  #failure: PcaptsError | undefined;
  /** Loops that are over. */
  #loopsDone = 0;
  /** Bytes of frames that came out of memory in this loop, and since others had a turn. */
  #recalled = { inLoop: 0, sinceTurn: 0 };

  constructor(
    first: FrameSource,
    memory: ChunkMemory,
    open: () => Promise<FrameSource>,
    options: LoopOptions,
  ) {
    this.kind = first.kind;
    this.name = first.name;
    this.interfaces = first.interfaces;
    this.#current = first;
    this.#memory = memory;
    this.#open = open;
    this.#options = options;
  }

  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    const { loops, logger } = this.#options;
    let frames = 0;
    for await (const chunk of this.#readCurrent()) {
      frames += chunk.frameCount;
      this.#memory.keep(chunk);
      yield chunk;
    }
    // Nothing again and again would keep the machine busy.
    if (frames === 0) logger.warn(`There is no frame in "${this.name}": it is not read again`);
    const wanted = frames === 0 ? 1 : loops;
    for (let loop = 2; loop <= wanted && !this.#isStopped; loop++) {
      this.#loopsDone = loop - 1;
      this.#recalled.inLoop = 0;
      this.#options.onNextFile?.();
      yield* this.#memory.isWhole ? this.#recall() : this.#readAgain();
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  counters(): CaptureCounters {
    return this.#current.counters();
  }

  extent(): ReadExtent | undefined {
    const { readBytes = 0, totalBytes } = this.#current.extent?.() ?? {};
    if (totalBytes === undefined) return undefined;
    const { loops } = this.#options;
    const { isWhole, bytes } = this.#memory;
    const inLoop =
      isWhole && this.#loopsDone > 0 ? (totalBytes * this.#recalled.inLoop) / bytes : readBytes;
    return {
      readBytes: this.#loopsDone * totalBytes + inLoop,
      totalBytes: loops === Infinity ? undefined : loops * totalBytes,
    };
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#current.stop();
  }

  async *#readAgain(): AsyncGenerator<FrameChunk, void, void> {
    this.#current = await this.#open();
    // It may have been stopped while it was being opened.
    if (this.#isStopped) await this.#current.stop();
    else yield* this.#readCurrent();
  }

  async *#readCurrent(): AsyncGenerator<FrameChunk, void, void> {
    try {
      yield* this.#current.chunks();
    } catch (error) {
      if (!(error instanceof PcaptsError)) throw error;
      if (this.#failure === undefined) {
        // The end, where it is thrown, may be far away.
        this.#options.logger.warn(`${error.message}; it is read again all the same`);
      }
      this.#failure ??= error;
    }
  }

  async *#recall(): AsyncGenerator<FrameChunk, void, void> {
    for (const [index, chunks] of this.#memory.files.entries()) {
      if (index > 0) this.#options.onNextFile?.();
      for (const chunk of chunks) {
        this.#recalled.sinceTurn += chunk.bytes.length;
        if (this.#recalled.sinceTurn > TURN_BYTES) {
          this.#recalled.sinceTurn = 0;
          await nextTurn();
        }
        if (this.#isStopped) return;
        this.#recalled.inLoop += chunk.bytes.length;
        yield chunk;
      }
    }
  }
}

/** The chunks of small files, file by file. */
class ChunkMemory {
  files: FrameChunk[][] = [[]];
  isWhole = true;
  bytes = 0;

  beginFile(): void {
    this.files.push([]);
  }

  keep(chunk: FrameChunk): void {
    if (!this.isWhole) return;
    this.bytes += chunk.bytes.length;
    if (this.bytes > KEPT_BYTES) {
      this.isWhole = false;
      this.files = [];
      return;
    }
    const { bytes, interfaceOf } = chunk;
    this.files.at(-1)!.push({
      ...chunk,
      bytes: Buffer.from(bytes),
      ...(interfaceOf && { interfaceOf: interfaceOf.slice() }),
    });
  }
}
