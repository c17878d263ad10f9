import { open } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { openCaptureReader } from "../capture-file/capture-reader.ts";
import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { dropFrames } from "../packet/chunk-stages.ts";
import type { CaptureInterface, FrameChunk } from "../packet/frame-chunk.ts";
import { CaptureFolder } from "./capture-folder.ts";
import type { FolderFile } from "./folder-file.ts";
import type { CaptureCounters, FrameSource } from "./frame-source.ts";
import { GrowingFile } from "./growing-file.ts";
import { describeReadError } from "./read-error.ts";
import { ReadyChunks } from "./ready-chunks.ts";
import { idOf, isGone } from "./seen-file.ts";

/** What {@link openFolderSource} needs beside the path. */
export interface FolderSourceOptions {
  /** Name of the host or probe that the frames are said to come from; "" by default. */
  readonly sensor?: string;
  /** Told what is missing, and what cannot be read. */
  readonly logger: Logger;
}

/** So many files that may still be written are open at a time. */
const MAX_OPEN = 8;

/**
 * Follows a folder into which files are rotated: those that are there, by their first frames, then those
 * that come; the newest as it is written. What stands at its end and is no whole frame yet is waited for
 * until a newer file is there.
 *
 * ```
 *   read ─┬─ open, at their ends: may grow ─┬─ open: being read ─┬─ waiting
 * ```
 *
 * @param directory its path
 * @returns a source of kind "feed", named by the path; it ends by `stop()`
 * @throws PcaptsError FILE_NOT_READABLE when it cannot be looked into, USAGE when it is no folder
 */
export async function openFolderSource(
  directory: string,
  options: FolderSourceOptions,
): Promise<FrameSource> {
  const source = new FolderSource(directory, options);
  await source.begin();
  return source;
}

/** A file that is open. */
interface OpenFile {
  readonly file: FolderFile;
  readonly bytes: GrowingFile;
}

class FolderSource implements FrameSource {
  readonly kind = "feed";
  readonly name: string;
  interfaces: readonly CaptureInterface[] = [];
  readonly sensor: string;
  readonly #logger: Logger;
  readonly #folder: CaptureFolder;
  readonly #ready = new ReadyChunks<OpenFile>();
  /** In the order in which they were opened. */
  readonly #open: OpenFile[] = [];
  #torn = 0;
  #isStopped = false;

  constructor(directory: string, { sensor = "", logger }: FolderSourceOptions) {
    this.name = directory;
    this.sensor = sensor;
    this.#logger = logger;
    this.#folder = new CaptureFolder(directory, logger, {
      onFile: () => {
        this.#ready.wake();
        // Those at their ends may be over now.
        for (const { bytes } of this.#open) bytes.wake();
      },
      onGrowth: (grown) => {
        for (const { file, bytes } of this.#open) if ((grown ?? file) === file) bytes.wake();
      },
    });
  }

  async begin(): Promise<void> {
    await this.#folder.begin();
    const { waiting } = this.#folder;
    this.#logger.info(`Following "${this.name}": ${waiting} file(s) are there`);
    await this.#openNext();
    const first = this.#ready;
    // So that what the frames come from is known, if there are any.
    while (this.#open.some(({ bytes }) => !bytes.isWaiting) && !first.isReady)
      await first.changed();
  }

  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    const ready = this.#ready;
    try {
      while (!this.#isStopped || ready.running > 0) {
        const answer = ready.take();
        if (answer === undefined) {
          await this.#findMore();
        } else if (answer.chunk !== undefined) {
          yield answer.chunk;
          ready.goOn(answer);
        } else {
          this.#end(answer.owner, answer.failure);
        }
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
    this.#isStopped = true;
    this.#ready.wake();
    await this.#folder.close();
    await Promise.all(this.#open.map(({ bytes }) => bytes.close()));
  }

  /** The next file is opened when those before it are at their ends. */
  async #findMore(): Promise<void> {
    // What was read ahead is handed over first.
    await nextTurn();
    if (this.#ready.isReady) return;
    const isRoom = this.#open.length < MAX_OPEN && !this.#isStopped;
    const areAtEnd = this.#open.every(({ bytes }) => bytes.isWaiting);
    if (isRoom && areAtEnd && this.#folder.waiting > 0) await this.#openNext();
    else await this.#ready.changed();
  }

  async #openNext(): Promise<void> {
    const file = this.#folder.next();
    if (file === undefined) return;
    try {
      const handle = await open(this.#folder.pathOf(file), "r");
      if (idOf(await handle.stat()) !== file.id) {
        await handle.close();
        await this.#folder.miss(file);
        return;
      }
      const bytes = new GrowingFile(handle, {
        seen: file,
        hasNewer: () => this.#folder.waiting > 0 || this.#open.at(-1)?.file !== file,
        onWait: () => this.#ready.wake(),
      });
      const opened = { file, bytes };
      this.#open.push(opened);
      this.#ready.add(opened, this.#read(opened));
      if (this.#isStopped) await bytes.close();
      if (this.#open.length === MAX_OPEN) this.#open[0]?.bytes.finish();
    } catch (error) {
      if (!isGone(error)) this.#logger.warn(this.#describe(file, error));
      file.isGivenUp = !isGone(error);
      await this.#folder.miss(file);
    }
  }

  async *#read({ file, bytes }: OpenFile): AsyncGenerator<FrameChunk, void, void> {
    let known = file.frames;
    if (known > 0) this.#goOn(file);
    const capture = await openCaptureReader(bytes, this.#folder.pathOf(file), this.sensor);
    try {
      if (this.interfaces.length === 0) this.interfaces = capture.reader.interfaces;
      for await (const chunk of capture.reader.chunks()) {
        const dropped = Math.min(known, chunk.frameCount);
        known -= dropped;
        if (dropped === chunk.frameCount) continue;
        file.frames += chunk.frameCount - dropped;
        yield dropFrames(chunk, dropped);
      }
    } finally {
      await capture.bytes.close();
    }
  }

  /** It has grown after all: what was torn may have come whole. */
  #goOn(file: FolderFile): void {
    if (file.isTorn) this.#torn--;
    file.isTorn = false;
    this.#logger.info(
      `"${this.#folder.pathOf(file)}" is written on: reading it behind frame ${file.frames}`,
    );
  }

  #end(ended: OpenFile, failure: unknown): void {
    const { file, bytes } = ended;
    const isNewest = this.#open.at(-1) === ended && this.#folder.waiting === 0;
    this.#open.splice(this.#open.indexOf(ended), 1);
    void bytes.close();
    if (this.#isStopped) return;
    if (failure !== undefined && !(failure instanceof PcaptsError)) throw failure;
    const isCut = failure?.code === "FILE_CUT";
    if (bytes.isRewritten) {
      if (isCut || isNewest || file.frames === 0) this.#warnRewritten(file);
    } else if (failure !== undefined && bytes.position > 0) {
      this.#logger.warn(`${failure.message}; going on with other files`);
    }
    if (isCut) this.#torn++;
    file.isTorn = isCut;
    file.isGivenUp = failure !== undefined && !(isCut && bytes.isOver) && bytes.position > 0;
    this.#folder.finish(file, bytes.position);
  }

  #warnRewritten(file: FolderFile): void {
    this.#logger.warn(
      `"${this.#folder.pathOf(file)}" was overwritten before it was read to its end: ` +
        "its last frames may be missing",
    );
  }

  #describe(file: FolderFile, error: unknown): string {
    return `Cannot read "${this.#folder.pathOf(file)}": ${describeReadError(error)}`;
  }
}
