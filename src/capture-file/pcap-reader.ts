import { PcaptsError } from "../errors.ts";
import {
  FRAME_HEADER_BYTES,
  MAX_FRAME_BYTES,
  readHeaderWord,
  writeHeaderWord,
  type CaptureInterface,
  type FrameChunk,
} from "../packet/frame-chunk.ts";
import type { ByteSource } from "./byte-source.ts";
import { describeForeignFile } from "./foreign-format.ts";
import { decodePcapHeader, PCAP_HEADER_BYTES, type PcapFileHeader } from "./pcap-format.ts";

/** One read, and the longest chunk; a frame of 262,144 bytes and its header fit in. */
const BLOCK_BYTES = 1024 * 1024;

/**
 * Reads a classic pcap file as chunks, in place: a chunk is a view of the block that was read.
 *
 * ```
 *  block  ┌───────────────┬──────────────────────────┬───────────────┬────────┐
 *         │ handed over   │ whole frames: the chunk  │ a frame begun │ free   │
 *         └───────────────┴──────────────────────────┴───────────────┴────────┘
 *                         0 ← moved to the front before the next read ─┘
 * ```
 *
 * Memory is one block whatever the file's length. A pipe's pieces are handed over as they arrive, as
 * soon as they make one whole frame.
 */
export class PcapReader {
  readonly header: PcapFileHeader;
  readonly #source: ByteSource;
  readonly #name: string;
  readonly #interfaces: readonly CaptureInterface[];
  readonly #fractionsPerSecond: number;
  readonly #block: Buffer;
  /** Bytes of the block that hold file contents not yet handed over. */
  #length = 0;
  /** Position in the file of the block's first byte. */
  #blockOffset = PCAP_HEADER_BYTES;
  #framesRead = 0;

  private constructor(
    source: ByteSource,
    name: string,
    sensor: string,
    header: PcapFileHeader,
    block: Buffer,
  ) {
    this.#source = source;
    this.#name = name;
    this.header = header;
    this.#block = block;
    this.#fractionsPerSecond = header.nanosecond ? 1_000_000_000 : 1_000_000;
    const { linkType, snapLengthBytes } = header;
    this.#interfaces = [{ sensor, name: "", linkType, snapLengthBytes }];
  }

  /**
   * Reads and checks the header of a file.
   *
   * @param source stands at the first byte of the file
   * @param name for messages, as in `Cannot read "name": …`
   * @param sensor of the interface that the frames are said to come from
   * @throws PcaptsError FILE_NOT_A_CAPTURE, FILE_NOT_READABLE
   */
  static async open(source: ByteSource, name: string, sensor = ""): Promise<PcapReader> {
    const block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
    let length = 0;
    while (length < PCAP_HEADER_BYTES) {
      const read = await readFrom(source, block.subarray(length, PCAP_HEADER_BYTES), name);
      if (read === 0) break;
      length += read;
    }
    const start = block.subarray(0, length);
    const header = decodePcapHeader(start);
    if (header === undefined) {
      throw new PcaptsError(
        "FILE_NOT_A_CAPTURE",
        `Cannot read "${name}": ${describeForeignFile(start)}`,
      );
    }
    // Before 2.4 the two lengths of a frame were swapped, or might be (libpcap, sf-pcap.c).
    const { versionMajor, versionMinor } = header;
    if (versionMajor !== 2 || versionMinor < 4) {
      throw new PcaptsError(
        "FILE_NOT_A_CAPTURE",
        `Cannot read "${name}": it is of version ${versionMajor}.${versionMinor} of the pcap ` +
          "format and 2.4 is read (editcap -F pcap converts it)",
      );
    }
    return new PcapReader(source, name, sensor, header, block);
  }

  /** The one interface that the frames of a classic file are of. */
  get interfaces(): readonly CaptureInterface[] {
    return this.#interfaces;
  }

  /**
   * Reads the frames. Ends at the end of the file, or when the source was closed.
   *
   * @throws PcaptsError FILE_CUT when the file ends within a frame or a frame's length is
   *   impossible, FILE_NOT_READABLE when reading fails; both after the last good frame was handed over
   */
  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    const block = this.#block;
    for (;;) {
      const read = await readFrom(this.#source, block.subarray(this.#length), this.#name);
      if (read === 0) break;
      this.#length += read;

      let frameCount = 0;
      let end = 0;
      let next: number;
      while ((next = this.#frameEnd(end)) > 0) {
        end = next;
        frameCount++;
      }
      if (frameCount > 0) {
        this.#framesRead += frameCount;
        yield this.#chunk(end, frameCount);
        block.copyWithin(0, end, this.#length);
        this.#length -= end;
        this.#blockOffset += end;
      }
      // Only a frame that was not whole can be impossible: it would be longer than the block.
      this.#checkLength();
    }
    if (this.#length > 0) throw this.#cut();
  }

  /** Where the frame that begins at `at` ends in the block; 0 when it is not whole or impossible. */
  #frameEnd(at: number): number {
    const start = at + FRAME_HEADER_BYTES;
    if (start > this.#length) return 0;
    const { bigEndian } = this.header;
    const capturedLength = readHeaderWord(this.#block, at + 8, bigEndian);
    if (capturedLength > MAX_FRAME_BYTES || start + capturedLength > this.#length) return 0;
    const fraction = readHeaderWord(this.#block, at + 4, bigEndian);
    if (fraction >= this.#fractionsPerSecond) this.#carryFraction(at, fraction);
    return start + capturedLength;
  }

  /** Some writers let the fraction run past a second: the same time, with the seconds carried. */
  #carryFraction(at: number, fraction: number): void {
    const { bigEndian } = this.header;
    const seconds = readHeaderWord(this.#block, at, bigEndian);
    const carried = seconds + Math.floor(fraction / this.#fractionsPerSecond);
    writeHeaderWord(this.#block, at, Math.min(carried, 0xffff_ffff), bigEndian);
    writeHeaderWord(this.#block, at + 4, fraction % this.#fractionsPerSecond, bigEndian);
  }

  #chunk(end: number, frameCount: number): FrameChunk {
    return {
      bytes: this.#block.subarray(0, end),
      frameCount,
      bigEndian: this.header.bigEndian,
      nanosecond: this.header.nanosecond,
      interfaces: this.#interfaces,
    };
  }

  #checkLength(): void {
    if (this.#length < FRAME_HEADER_BYTES) return;
    const capturedLength = readHeaderWord(this.#block, 8, this.header.bigEndian);
    if (capturedLength <= MAX_FRAME_BYTES) return;
    throw new PcaptsError(
      "FILE_CUT",
      `Cannot read "${this.#name}" to its end: it is damaged at byte ${this.#blockOffset}, where ` +
        `frame ${this.#framesRead + 1} claims ${capturedLength} bytes (the most is ` +
        `${MAX_FRAME_BYTES}); ${this.#framesBefore()}`,
    );
  }

  #cut(): PcaptsError {
    return new PcaptsError(
      "FILE_CUT",
      `Cannot read "${this.#name}" to its end: it is cut at byte ` +
        `${this.#blockOffset + this.#length}, in the middle of frame ${this.#framesRead + 1}; ` +
        this.#framesBefore(),
    );
  }

  #framesBefore(): string {
    if (this.#framesRead === 0) return "no whole frame comes before it";
    if (this.#framesRead === 1) return "the whole frame before it was read";
    return `the ${this.#framesRead} whole frames before it were read`;
  }
}

async function readFrom(source: ByteSource, target: Uint8Array, name: string): Promise<number> {
  try {
    return await source.readInto(target);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PcaptsError("FILE_NOT_READABLE", `Cannot read "${name}": ${reason}`, { cause });
  }
}
