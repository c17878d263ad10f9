import {
  FRAME_HEADER_BYTES,
  MAX_FRAME_BYTES,
  readHeaderWord,
  writeHeaderWord,
  type CaptureInterface,
  type FrameChunk,
} from "../packet/frame-chunk.ts";
import { readUpTo, type ByteSource } from "./byte-source.ts";
import { CaptureBytes } from "./capture-bytes.ts";
import type { CaptureReader } from "./capture-reader.ts";
import { describeForeignFile } from "./foreign-format.ts";
import {
  decodePcapHeader,
  isKnownPcapVersion,
  PCAP_HEADER_BYTES,
  type PcapFileHeader,
} from "./pcap-format.ts";

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
export class PcapReader implements CaptureReader {
  readonly header: PcapFileHeader;
  readonly #bytes: CaptureBytes;
  readonly #interfaces: readonly CaptureInterface[];
  readonly #fractionsPerSecond: number;
  readonly #block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  /** Frames stand as a chunk has them; in old and patched files each is brought into that shape. */
  readonly #isPlain: boolean;
  /** Bytes of the block that hold file contents not yet handed over. */
  #length = 0;
  /** Position in the file of the block's first byte. */
  #blockOffset: number;

  private constructor(bytes: CaptureBytes, sensor: string, header: PcapFileHeader) {
    this.#bytes = bytes;
    this.header = header;
    this.#blockOffset = header.headerBytes;
    this.#fractionsPerSecond = header.nanosecond ? 1_000_000_000 : 1_000_000;
    this.#isPlain =
      header.recordHeaderBytes === FRAME_HEADER_BYTES && header.swappedLengths === "never";
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
    const bytes = new CaptureBytes(source, name);
    const start = new Uint8Array(PCAP_HEADER_BYTES);
    let length = 0;
    while (length < start.length) {
      const read = await bytes.read(start.subarray(length), length);
      if (read === 0) break;
      length += read;
    }
    const header = decodePcapHeader(start.subarray(0, length));
    if (header === undefined) {
      throw bytes.notACapture(describeForeignFile(start.subarray(0, length)));
    }
    if (!isKnownPcapVersion(header)) {
      const { versionMajor, versionMinor } = header;
      throw bytes.notACapture(
        `it is of version ${versionMajor}.${versionMinor} of the pcap format; 2.0 to 2.4 are read`,
      );
    }
    const more = new Uint8Array(header.headerBytes - PCAP_HEADER_BYTES);
    if ((await readUpTo(source, more)) < more.length) {
      throw bytes.notACapture("it is cut within its header");
    }
    return new PcapReader(bytes, sensor, header);
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
      const at = this.#blockOffset + this.#length;
      const read = await this.#bytes.read(block.subarray(this.#length), at);
      if (read === 0) break;
      this.#length += read;

      let frameCount = 0;
      let end = 0;
      let chunkEnd = 0;
      let next: number;
      while ((next = this.#frameEnd(end)) > 0) {
        chunkEnd = this.#isPlain ? next : this.#reshape(end, next, chunkEnd);
        end = next;
        frameCount++;
      }
      if (frameCount > 0) {
        this.#bytes.framesRead += frameCount;
        yield this.#chunk(chunkEnd, frameCount);
        block.copyWithin(0, end, this.#length);
        this.#length -= end;
        this.#blockOffset += end;
      }
      // Only a frame that was not whole can be impossible: it would be longer than the block.
      this.#checkLength();
    }
    if (this.#length > 0) {
      throw this.#bytes.cut(
        this.#blockOffset + this.#length,
        `in the middle of frame ${this.#bytes.framesRead + 1}`,
      );
    }
  }

  /** Where the frame that begins at `at` ends in the block; 0 when it is not whole or impossible. */
  #frameEnd(at: number): number {
    const start = at + this.header.recordHeaderBytes;
    if (start > this.#length) return 0;
    const { bigEndian } = this.header;
    const capturedLength = this.#isPlain
      ? readHeaderWord(this.#block, at + 8, bigEndian)
      : this.#capturedLength(at);
    if (capturedLength > MAX_FRAME_BYTES || start + capturedLength > this.#length) return 0;
    const fraction = readHeaderWord(this.#block, at + 4, bigEndian);
    if (fraction >= this.#fractionsPerSecond) this.#carryFraction(at, fraction);
    return start + capturedLength;
  }

  #capturedLength(at: number): number {
    const { bigEndian, swappedLengths } = this.header;
    const first = readHeaderWord(this.#block, at + 8, bigEndian);
    const second = readHeaderWord(this.#block, at + 12, bigEndian);
    if (swappedLengths === "always") return second;
    return swappedLengths === "ifLarger" ? Math.min(first, second) : first;
  }

  /**
   * Moves a frame towards the front of the block, behind a header as chunks have it.
   *
   * @returns where it ends then
   */
  #reshape(from: number, end: number, to: number): number {
    const block = this.#block;
    const { bigEndian, recordHeaderBytes, swappedLengths } = this.header;
    const capturedLength = this.#capturedLength(from);
    const first = readHeaderWord(block, from + 8, bigEndian);
    const second = readHeaderWord(block, from + 12, bigEndian);
    const isSwapped = swappedLengths !== "never" && capturedLength === second;
    block.copyWithin(to, from, from + 8);
    writeHeaderWord(block, to + 8, capturedLength, bigEndian);
    writeHeaderWord(block, to + 12, isSwapped ? first : second, bigEndian);
    block.copyWithin(to + FRAME_HEADER_BYTES, from + recordHeaderBytes, end);
    return to + FRAME_HEADER_BYTES + capturedLength;
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
    const capturedLength = this.#isPlain
      ? readHeaderWord(this.#block, 8, this.header.bigEndian)
      : this.#capturedLength(0);
    if (capturedLength <= MAX_FRAME_BYTES) return;
    throw this.#bytes.damaged(
      this.#blockOffset,
      `frame ${this.#bytes.framesRead + 1} claims ${capturedLength} bytes (the most is ${MAX_FRAME_BYTES})`,
    );
  }
}
