import {
  FRAME_HEADER_BYTES,
  MAX_FRAME_BYTES,
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
import { ReadAhead } from "./read-ahead.ts";

/**
 * Reads a classic pcap file as chunks, in place: a chunk is a view of the memory that was read into.
 *
 * ```
 *   memory  ┌ handed over ┬ whole frames: the chunk ┬ a frame begun ┬ free ┐
 * ```
 *
 * Memory does not grow with the file. A pipe's pieces are handed over as they arrive, as soon as they
 * make one whole frame.
 */
export class PcapReader implements CaptureReader {
  readonly header: PcapFileHeader;
  readonly #bytes: CaptureBytes;
  readonly #interfaces: readonly CaptureInterface[];
  readonly #fractionsPerSecond: number;
  readonly #ahead: ReadAhead;
  /** Frames stand as a chunk has them; in old and patched files each is brought into that shape. */
  readonly #isPlain: boolean;

  private constructor(bytes: CaptureBytes, sensor: string, header: PcapFileHeader) {
    this.#bytes = bytes;
    this.header = header;
    this.#ahead = new ReadAhead(bytes, header.headerBytes);
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
        `it is of version ${versionMajor}.${versionMinor} of the pcap format; version 2 is read`,
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
    const ahead = this.#ahead;
    while (await ahead.next()) {
      ahead.begin();
      const { frameCount, chunkEnd, taken } = this.#takeFrames();
      if (frameCount > 0) {
        this.#bytes.framesRead += frameCount;
        yield this.#chunk(chunkEnd, frameCount);
        ahead.drop(taken);
      }
      // Only a frame that was not whole can be impossible: it would be longer than the memory.
      this.#checkLength();
    }
    if (ahead.length > 0) {
      const number = this.#bytes.framesRead + 1;
      throw this.#bytes.cut(ahead.endPosition, `in the middle of frame ${number}`);
    }
  }

  /** Finds the whole and possible frames that are there; they stand as a chunk has them, then. */
  #takeFrames(): TakenFrames {
    const { view, start, end } = this.#ahead;
    const littleEndian = !this.header.bigEndian;
    const { recordHeaderBytes } = this.header;
    let frameCount = 0;
    let chunkEnd = start;
    let at = start;
    while (at + recordHeaderBytes <= end) {
      const capturedLength = this.#isPlain
        ? view.getUint32(at + 8, littleEndian)
        : this.#capturedLength(at);
      const next = at + recordHeaderBytes + capturedLength;
      if (capturedLength > MAX_FRAME_BYTES || next > end) break;
      const fraction = view.getUint32(at + 4, littleEndian);
      if (fraction >= this.#fractionsPerSecond) this.#carryFraction(at, fraction);
      chunkEnd = this.#isPlain ? next : this.#reshape(at, next, chunkEnd);
      at = next;
      frameCount++;
    }
    return { frameCount, chunkEnd, taken: at };
  }

  #capturedLength(at: number): number {
    const { swappedLengths } = this.header;
    const first = this.#word(at + 8);
    const second = this.#word(at + 12);
    if (swappedLengths === "always") return second;
    return swappedLengths === "ifLarger" ? Math.min(first, second) : first;
  }

  /**
   * Moves a frame towards the front, behind a header as chunks have it.
   *
   * @returns where it ends then
   */
  #reshape(from: number, end: number, to: number): number {
    const { memory } = this.#ahead;
    const { recordHeaderBytes, swappedLengths } = this.header;
    const capturedLength = this.#capturedLength(from);
    const first = this.#word(from + 8);
    const second = this.#word(from + 12);
    const isSwapped = swappedLengths !== "never" && capturedLength === second;
    memory.copyWithin(to, from, from + 8);
    this.#setWord(to + 8, capturedLength);
    this.#setWord(to + 12, isSwapped ? first : second);
    memory.copyWithin(to + FRAME_HEADER_BYTES, from + recordHeaderBytes, end);
    return to + FRAME_HEADER_BYTES + capturedLength;
  }

  /** Some writers let the fraction run past a second: the same time, with the seconds carried. */
  #carryFraction(at: number, fraction: number): void {
    const carried = this.#word(at) + Math.floor(fraction / this.#fractionsPerSecond);
    this.#setWord(at, Math.min(carried, 0xffff_ffff));
    this.#setWord(at + 4, fraction % this.#fractionsPerSecond);
  }

  #word(at: number): number {
    return this.#ahead.view.getUint32(at, !this.header.bigEndian);
  }

  #setWord(at: number, value: number): void {
    this.#ahead.view.setUint32(at, value, !this.header.bigEndian);
  }

  #chunk(end: number, frameCount: number): FrameChunk {
    return {
      bytes: this.#ahead.memory.subarray(this.#ahead.start, end),
      frameCount,
      bigEndian: this.header.bigEndian,
      nanosecond: this.header.nanosecond,
      interfaces: this.#interfaces,
    };
  }

  #checkLength(): void {
    const { start, length, position } = this.#ahead;
    if (length < FRAME_HEADER_BYTES) return;
    const capturedLength = this.#isPlain ? this.#word(start + 8) : this.#capturedLength(start);
    if (capturedLength <= MAX_FRAME_BYTES) return;
    const number = this.#bytes.framesRead + 1;
    const claim = `frame ${number} claims ${capturedLength} bytes (the most is ${MAX_FRAME_BYTES})`;
    throw this.#bytes.damaged(position, claim);
  }
}

/** Frames at the front of what is there, where they end, and how much of the file they took. */
interface TakenFrames {
  readonly frameCount: number;
  readonly chunkEnd: number;
  readonly taken: number;
}
