import { unlink } from "node:fs/promises";
import { PcaptsError } from "../errors.ts";
import { dropFrames, takeFrames } from "../packet/chunk-stages.ts";
import { FRAME_HEADER_BYTES, readHeaderWord, type FrameChunk } from "../packet/frame-chunk.ts";
import { sizeOfFrame, type CaptureFormat } from "./capture-writer.ts";
import type { OutputCompression } from "./compressed-output.ts";
import {
  lookAtPlace,
  RingFile,
  type RingFileFinding,
  type RingFileFormat,
  type RingFilePlace,
} from "./ring-file.ts";
import { RingNames, type RingNamesState } from "./ring-names.ts";

/** When a file is full and the next begins; what is left out fills none. */
export interface RingLimits {
  /** Size, before compression. */
  readonly fileBytes?: number;
  /** Capture time since the file's first frame. */
  readonly durationSeconds?: number;
  /** The next begins where capture time is a multiple of this. */
  readonly intervalSeconds?: number;
  readonly packets?: number;
  /** As many of the newest files are kept. */
  readonly files?: number;
  /** After so many files the run ends. */
  readonly lastFile?: number;
}

/** Where a ring's files go. */
export interface RingOptions {
  /** Parts of the time in it (`%H`), or a number and the time are put into the name. */
  readonly path: string;
  /** Without one that fills a file there is one file, of the very name that `path` is. */
  readonly limits: RingLimits;
}

/** How a ring is kept so that it can be gone on with after a crash. */
export interface RingKeeper {
  /** Called with the name of a file before it is begun, which waits for it. */
  onOpening(path: string): Promise<void>;
}

/** A place in a ring, between two frames, where it can be gone on with. */
export interface RingMark {
  readonly names: RingNamesState;
  /** The file in hand. */
  readonly current: RingFilePlace | undefined;
  /** Files that are there, oldest first, where only so many are to be. */
  readonly kept: readonly string[];
  /** Files that have made room, and are to be deleted. */
  readonly doomed: readonly string[];
  /** The last file that was asked for is full. */
  readonly isFull: boolean;
}

/**
 * Writes one capture file after the other. Files are named and changed by the frames' capture times,
 * so that a topic makes the same files whenever it is read.
 */
export class RingWriter {
  readonly #limits: RingLimits;
  readonly #format: RingFileFormat;
  readonly #keeper: RingKeeper | undefined;
  readonly #names: RingNames;
  #current: RingFile | undefined;
  #kept: string[] = [];
  #doomed: string[] = [];
  #isFull = false;
  #taken = 0;

  /**
   * @param compression around each file
   * @param keeper files are on the disk before they are closed, and those that make room are there
   *   until `deleteDoomed()`; without one neither is so
   */
  constructor(
    { path, limits }: RingOptions,
    format: CaptureFormat,
    compression: OutputCompression | undefined,
    keeper?: RingKeeper,
  ) {
    this.#limits = limits;
    this.#format = { ...format, compression, isDurable: keeper !== undefined };
    this.#keeper = keeper;
    this.#names = new RingNames(path, compression, isOneFile(limits));
  }

  /** True when the last file that was asked for is full. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Frames that files have taken. */
  get taken(): number {
    return this.#taken;
  }

  /** After a failure: how many more frames are in the file in hand than it took, or fewer. */
  settle(): number {
    return this.#current?.settle() ?? 0;
  }

  /** True when there are files that could be deleted if all behind them were safe. */
  get hasDoomed(): boolean {
    return this.#doomed.length > 0;
  }

  /**
   * Writes the frames of a chunk, into as many files as they fill.
   *
   * @returns how many were written: all, unless the last file got full
   * @throws PcaptsError OUTPUT_NOT_WRITABLE; a stream's error
   */
  async writeFrames(chunk: FrameChunk): Promise<number> {
    let rest = chunk;
    while (rest.frameCount > 0) {
      const [seconds, fraction] = timeOfFirst(rest);
      if (this.#current === undefined) {
        this.#current = await this.#openNext(new Date(seconds * 1000), seconds, fraction);
      }
      const count = this.#countThatFit(rest, this.#current);
      if (count > 0) await this.#current.writeChunk(takeFrames(rest, count));
      this.#taken += count;
      rest = dropFrames(rest, count);
      if (rest.frameCount === 0) break;
      await this.#current.end();
      this.#current = undefined;
      if (this.#names.state.count === this.#limits.lastFile) {
        this.#isFull = true;
        break;
      }
    }
    return chunk.frameCount - rest.frameCount;
  }

  /** Hands over all that was written. @returns the place behind it */
  async mark(): Promise<RingMark> {
    const current = await this.#current?.flush();
    return {
      names: this.#names.state,
      current,
      kept: [...this.#kept],
      doomed: [...this.#doomed],
      isFull: this.#isFull,
    };
  }

  /** Brings all that was handed over to the disk. @throws the operating system's error */
  async sync(): Promise<void> {
    await this.#current?.sync();
  }

  /** Deletes the files that had made room at a mark: nothing goes back before it any more. */
  async deleteDoomed({ doomed }: RingMark): Promise<void> {
    this.#doomed = this.#doomed.filter((file) => !doomed.includes(file));
    await deleteFiles(doomed.filter((file) => !this.#kept.includes(file)));
  }

  /**
   * Goes on from a mark. What was written behind it in its file is cut off.
   *
   * @param later files that were begun behind the mark, which are deleted
   * @returns what became of the file in hand, if there was one; where it is not the same the next is
   *   begun
   * @throws the operating system's error
   */
  async goOn(
    { names, current, kept, doomed, isFull }: RingMark,
    later: readonly string[],
  ): Promise<RingFileFinding | undefined> {
    await this.#current?.abandon();
    this.#current = undefined;
    await deleteFiles(later.filter((file) => file !== current?.path));
    this.#names.state = names;
    this.#kept = kept.filter((file) => file === current?.path || !later.includes(file));
    this.#doomed = [...doomed];
    this.#isFull = isFull;
    if (current === undefined) return undefined;
    const found = await lookAtPlace(current);
    if (found.state === "same") this.#current = await RingFile.goOn(current, this.#format);
    return found;
  }

  /** Begins the file now if there is only one, so that its header is there before the first frame. */
  async begin(): Promise<void> {
    if (!isOneFile(this.#limits) || this.#current !== undefined) return;
    this.#current = await this.#openNext(new Date(), 0, 0);
  }

  /** Completes the file in hand; without any frame there is one file all the same. */
  async end(): Promise<void> {
    if (this.#names.state.count === 0) this.#current = await this.#openNext(new Date(), 0, 0);
    await this.#current?.end();
    this.#current = undefined;
  }

  #countThatFit(chunk: FrameChunk, file: RingFile): number {
    const { fileBytes, durationSeconds, intervalSeconds, packets } = this.#limits;
    const perSecond = chunk.nanosecond ? 1e9 : 1e6;
    const { bytes, frameCount, bigEndian } = chunk;
    let at = 0;
    for (let fitting = 0; fitting < frameCount; fitting++) {
      const seconds = readHeaderWord(bytes, at, bigEndian);
      const fraction = readHeaderWord(bytes, at + 4, bigEndian) / perSecond;
      const capturedLength = readHeaderWord(bytes, at + 8, bigEndian);
      const age = seconds - file.firstSecond + fraction - file.firstFraction;
      const isBehind =
        (fileBytes !== undefined && file.packets > 0 && file.bytes >= fileBytes) ||
        (packets !== undefined && file.packets >= packets) ||
        (durationSeconds !== undefined && age >= durationSeconds) ||
        (intervalSeconds !== undefined &&
          Math.floor(seconds / intervalSeconds) > Math.floor(file.firstSecond / intervalSeconds));
      if (isBehind) return fitting;
      file.bytes += sizeOfFrame(this.#format.fileType, capturedLength);
      file.packets++;
      at += FRAME_HEADER_BYTES + capturedLength;
    }
    return frameCount;
  }

  async #openNext(date: Date, firstSecond: number, firstFraction: number): Promise<RingFile> {
    const path = this.#names.next(date);
    await this.#keeper?.onOpening(path);
    let file: RingFile;
    try {
      file = await RingFile.begin(path, this.#format, { firstSecond, firstFraction });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new PcaptsError("OUTPUT_NOT_WRITABLE", `Cannot write "${path}": ${reason}`, { cause });
    }
    await this.#makeRoom(path);
    return file;
  }

  async #makeRoom(path: string): Promise<void> {
    const { files } = this.#limits;
    if (files === undefined) return;
    // A name may come again, such as that of the same hour of another day.
    this.#kept = [...this.#kept.filter((kept) => kept !== path), path];
    if (this.#kept.length <= files) return;
    const oldest = this.#kept.shift()!;
    if (this.#keeper === undefined) await deleteFiles([oldest]);
    else this.#doomed.push(oldest);
  }
}

/** True when nothing fills a file. */
export function isOneFile({
  fileBytes,
  durationSeconds,
  intervalSeconds,
  packets,
}: RingLimits): boolean {
  return [fileBytes, durationSeconds, intervalSeconds, packets].every(
    (limit) => limit === undefined,
  );
}

/** A file that somebody else has moved away need not be deleted. */
async function deleteFiles(paths: readonly string[]): Promise<void> {
  for (const path of paths) await unlink(path).catch(() => {});
}

function timeOfFirst({ bytes, bigEndian, nanosecond }: FrameChunk): [number, number] {
  const fraction = readHeaderWord(bytes, 4, bigEndian);
  return [readHeaderWord(bytes, 0, bigEndian), fraction / (nanosecond ? 1e9 : 1e6)];
}
