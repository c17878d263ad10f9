import { setTimeout as sleep } from "node:timers/promises";
import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { CaptureInterface, FrameChunk } from "../packet/frame-chunk.ts";
import { CaptureStream } from "./capture-stream.ts";
import type { CaptureCounters, FrameSource } from "./frame-source.ts";
import { identifyPipe, openPipe, type PipeBytes } from "./pipe-bytes.ts";
import { describeReadError } from "./read-error.ts";

/** What {@link openPipeSource} needs beside the path. */
export interface PipeSourceOptions {
  /** Name of the host or probe that the frames are said to come from; "" by default. */
  readonly sensor?: string;
  /** Told when writers come and go, and what they left unfinished. */
  readonly logger: Logger;
  /** Called before the first frame of each capture but the very first. */
  readonly onNextFile?: (() => void) | undefined;
}

/** How often it is looked after a pipe where nothing comes. */
const LOOK_MS = 1000;

/**
 * Opens a named pipe as a source of frames that goes on when its writer ends: the next writer's
 * capture follows, with a header of its own. The first header is waited for.
 *
 * A writer that was killed in the middle of a frame costs that frame: it is counted as torn, and a
 * warning names the byte.
 *
 * @returns a source of kind "feed", named by the path; it ends by `stop()`
 * @throws PcaptsError FILE_NOT_READABLE, FILE_NOT_A_CAPTURE, FILE_CUT for what the first writer sends
 */
export async function openPipeSource(
  path: string,
  options: PipeSourceOptions,
): Promise<FrameSource> {
  const source = new PipeSource(path, options);
  try {
    await source.begin();
    return source;
  } catch (error) {
    await source.stop();
    throw error;
  }
}

class PipeSource implements FrameSource {
  readonly kind = "feed";
  readonly name: string;
  readonly #sensor: string;
  readonly #logger: Logger;
  readonly #stopping = new AbortController();
  #pipe: PipeBytes | undefined;
  #stream: CaptureStream | undefined;
  /** Another pipe has the path's name now, so that nobody comes to the one that is open. */
  #isReplaced = false;
  #bytesBefore = 0;
  #looking: NodeJS.Timeout | undefined;
  #torn = 0;
  readonly #onNextFile: (() => void) | undefined;

  constructor(path: string, { sensor = "", logger, onNextFile }: PipeSourceOptions) {
    this.name = path;
    this.#sensor = sensor;
    this.#logger = logger;
    this.#onNextFile = onNextFile;
  }

  get interfaces(): readonly CaptureInterface[] {
    return this.#stream?.interfaces ?? [];
  }

  /** Waits for the first header. */
  async begin(): Promise<void> {
    await this.#open();
    this.#looking = setInterval(() => void this.#look(), LOOK_MS);
    while (!(await this.#nextCapture())) await this.#reopen();
  }

  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    try {
      while (!this.#isStopped) {
        yield* this.#readCapture();
        await this.#findCapture();
        this.#onNextFile?.();
      }
    } finally {
      await this.stop();
    }
  }

  counters(): CaptureCounters {
    return {
      received: undefined,
      droppedByKernel: undefined,
      droppedByInterface: undefined,
      filtered: 0,
      torn: this.#torn,
    };
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    clearInterval(this.#looking);
    await this.#stream?.close();
  }

  get #isStopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  async *#readCapture(): AsyncGenerator<FrameChunk, void, void> {
    const stream = this.#stream!;
    try {
      yield* stream.chunks();
      if (this.#isStopped) return;
      const frames = stream.frames === 1 ? "1 frame" : `${stream.frames} frames`;
      this.#logger.info(`A writer of "${this.name}" has ended after ${frames}`);
    } catch (error) {
      await this.#passOver(error);
    }
  }

  /** Waits for the next header, of whichever writer. */
  async #findCapture(): Promise<void> {
    while (!this.#isStopped) {
      try {
        if (await this.#nextCapture()) return;
        await this.#reopen();
      } catch (error) {
        await this.#passOver(error);
      }
    }
  }

  /** @returns false when the writers have gone, or when none will come */
  async #nextCapture(): Promise<boolean> {
    try {
      return await this.#stream!.next();
    } catch (error) {
      if (this.#isReplaced) return false;
      throw error;
    }
  }

  /** Says what was wrong with a capture, and passes it over. */
  async #passOver(error: unknown): Promise<void> {
    if (this.#isStopped) return;
    if (!(error instanceof PcaptsError)) throw error;
    if (this.#stream!.isTorn) this.#torn++;
    this.#logger.warn(`${error.message}; waiting for the next writer`);
    await this.#stream!.skip();
    // Should the pipe itself fail, then not as fast as it can.
    if (error.code === "FILE_NOT_READABLE") await this.#pause();
  }

  async #pause(): Promise<void> {
    await sleep(LOOK_MS, undefined, { signal: this.#stopping.signal }).catch(() => {});
  }

  async #open(): Promise<void> {
    try {
      this.#pipe = await openPipe(this.name);
    } catch (cause) {
      const reason = describeReadError(cause);
      throw new PcaptsError("FILE_NOT_READABLE", `Cannot read "${this.name}": ${reason}`, {
        cause,
      });
    }
    this.#isReplaced = false;
    this.#stream = new CaptureStream(this.#pipe, { name: this.name, sensor: this.#sensor });
    if (this.#isStopped) await this.#stream.close();
  }

  /** Opens the pipe again before the old descriptor is closed: a writer never finds nobody there. */
  async #reopen(): Promise<void> {
    const before = this.#stream;
    let isTold = false;
    while (!this.#isStopped) {
      if ((await identifyPipe(this.name)) !== undefined) {
        try {
          await this.#open();
          break;
        } catch (error) {
          this.#logger.debug((error as Error).message);
        }
      }
      if (!isTold) {
        this.#logger.warn(`There is no pipe "${this.name}" to read from; waiting until there is`);
      }
      isTold = true;
      await this.#pause();
    }
    await before?.close();
  }

  /** Looks after a pipe where nothing comes: has its writer gone, or another pipe taken its name? */
  async #look(): Promise<void> {
    const pipe = this.#pipe!;
    const stream = this.#stream!;
    const isSilent = stream.bytes === this.#bytesBefore;
    this.#bytesBefore = stream.bytes;
    try {
      if (stream.bytes > 0) {
        if (isSilent) await pipe.ring();
      } else if ((await identifyPipe(this.name)) !== pipe.identity && stream.bytes === 0) {
        this.#isReplaced = true;
        await stream.close();
      }
    } catch (error) {
      this.#logger.debug(`looking after "${this.name}": ${describeReadError(error)}`);
    }
  }
}
