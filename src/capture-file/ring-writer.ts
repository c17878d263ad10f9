import { unlink } from "node:fs/promises";
import path from "node:path";
import { PcaptsError } from "../errors.ts";
import { dropFrames, takeFrames } from "../packet/chunk-stages.ts";
import { FRAME_HEADER_BYTES, readHeaderWord, type FrameChunk } from "../packet/frame-chunk.ts";
import {
  createCaptureWriter,
  sizeOfFrame,
  type CaptureFormat,
  type CaptureWriter,
} from "./capture-writer.ts";
import { CompressedOutput, type OutputCompression } from "./compressed-output.ts";
import { FileOutput } from "./file-output.ts";
import { formatTimeName } from "./strftime.ts";

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
  readonly limits: RingLimits;
  /** `flush()`, and the end of each file, bring what was written to the disk. Default: they do not. */
  readonly isDurable?: boolean;
}

const HEADER_BYTES = 24;

/** The file in hand. */
interface RingFile {
  readonly writer: CaptureWriter;
  readonly file: FileOutput;
  readonly compressed: CompressedOutput | undefined;
  readonly firstSecond: number;
  readonly firstFraction: number;
  bytes: number;
  packets: number;
}

/**
 * Writes one capture file after the other. Files are named and changed by the frames' capture times,
 * so that a topic makes the same files whenever it is read.
 */
export class RingWriter {
  readonly #options: RingOptions;
  readonly #format: CaptureFormat;
  readonly #compression: OutputCompression | undefined;
  #current: RingFile | undefined;
  #count = 0;
  readonly #kept: string[] = [];
  #lastName = "";
  #sameNames = 0;
  #isFull = false;

  /** @param compression around each file */
  constructor(
    options: RingOptions,
    format: CaptureFormat,
    compression: OutputCompression | undefined,
  ) {
    this.#options = options;
    this.#format = format;
    this.#compression = compression;
  }

  /** True when the last file that was asked for is full. */
  get isFull(): boolean {
    return this.#isFull;
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
      if (count > 0) await this.#current.writer.writeChunk(takeFrames(rest, count));
      rest = dropFrames(rest, count);
      if (rest.frameCount === 0) break;
      await this.#close(this.#current);
      this.#current = undefined;
      if (this.#count === this.#options.limits.lastFile) {
        this.#isFull = true;
        break;
      }
    }
    return chunk.frameCount - rest.frameCount;
  }

  /** Resolves when all that was written is on the disk, if that is asked for, else in its file. */
  async flush(): Promise<void> {
    const current = this.#current;
    await current?.compressed?.flush();
    if (this.#options.isDurable === true) await current?.file.sync();
  }

  /** Completes the file in hand; without any frame there is one file all the same. */
  async end(): Promise<void> {
    if (this.#count === 0) this.#current = await this.#openNext(new Date(), 0, 0);
    if (this.#current !== undefined) await this.#close(this.#current);
    this.#current = undefined;
  }

  #countThatFit(chunk: FrameChunk, file: RingFile): number {
    const { fileBytes, durationSeconds, intervalSeconds, packets } = this.#options.limits;
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
    const file = this.#nameNext(date);
    const { limits } = this.#options;
    const compression = this.#compression;
    let target: FileOutput;
    try {
      target = await FileOutput.create(file, { syncsAtEnd: this.#options.isDurable === true });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new PcaptsError("OUTPUT_NOT_WRITABLE", `Cannot write "${file}": ${reason}`, { cause });
    }
    const compressed =
      compression === undefined ? undefined : new CompressedOutput(target, compression);
    const writer = createCaptureWriter(compressed ?? target, this.#format);
    this.#count++;
    this.#kept.push(file);
    if (limits.files !== undefined && this.#kept.length > limits.files) {
      await unlink(this.#kept.shift()!).catch(() => {});
    }
    return {
      writer,
      file: target,
      compressed,
      firstSecond,
      firstFraction,
      bytes: HEADER_BYTES,
      packets: 0,
    };
  }

  async #close({ writer }: RingFile): Promise<void> {
    await writer.end();
  }

  /** tcpdump's names where there are parts of the time in it, dumpcap's otherwise. */
  #nameNext(date: Date): string {
    const { path: given } = this.#options;
    const compression = this.#compression;
    const ending = compression === undefined ? "" : compression === "gzip" ? ".gz" : ".zst";
    const bare = ending !== "" && given.endsWith(ending) ? given.slice(0, -ending.length) : given;
    if (!bare.includes("%")) {
      const { dir, name, ext } = path.parse(bare);
      const number = String(this.#count + 1).padStart(5, "0");
      const time = formatTimeName("%Y%m%d%H%M%S", date);
      return path.join(dir, `${name}_${number}_${time}${ext}${ending}`);
    }
    const name = formatTimeName(bare, date);
    this.#sameNames = name === this.#lastName ? this.#sameNames + 1 : 0;
    this.#lastName = name;
    return `${name}${this.#sameNames === 0 ? "" : this.#sameNames}${ending}`;
  }
}

function timeOfFirst({ bytes, bigEndian, nanosecond }: FrameChunk): [number, number] {
  const fraction = readHeaderWord(bytes, 4, bigEndian);
  return [readHeaderWord(bytes, 0, bigEndian), fraction / (nanosecond ? 1e9 : 1e6)];
}
