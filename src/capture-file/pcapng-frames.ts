import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES, type FrameChunk } from "../packet/frame-chunk.ts";
import { paddedLength, PCAPNG_BLOCK, PCAPNG_BLOCK_OVERHEAD } from "./pcapng-format.ts";
import type { PcapngInterfaces, SectionInterface } from "./pcapng-interfaces.ts";
import type { ReadAhead } from "./read-ahead.ts";

/** Body bytes in front of the data. */
const PACKET_HEADER_BYTES = 20;
const SIMPLE_PACKET_HEADER_BYTES = 4;

/** A block of a frame without its data. */
const ENHANCED_PACKET_BYTES = PCAPNG_BLOCK_OVERHEAD + PACKET_HEADER_BYTES;

/**
 * The frames of a chunk that is being made of packet blocks, in the memory that they were read into:
 * what a block has around its data is longer than the header of a frame, so each frame moves by a few
 * bytes towards the front.
 *
 * ```
 *   read    ┌ block header ┬ data ┬ options ┬ block header ┬ data ┬─ ─
 *   chunk   ┌ header ┬ data ┬ header ┬ data ┬─ ─
 * ```
 */
export class PcapngFrames {
  /** Whether fractions count nanoseconds; changed between chunks only. */
  nanosecond = false;
  /** Frames so far. */
  count = 0;
  readonly #ahead: ReadAhead;
  readonly #interfaces: PcapngInterfaces;
  /** Where the last frame ends. */
  #end = 0;
  #interfaceOf = new Uint16Array(4096);

  /**
   * @param ahead where the blocks are, and the frames are to be
   * @param interfaces those that blocks refer to
   */
  constructor(ahead: ReadAhead, interfaces: PcapngInterfaces) {
    this.#ahead = ahead;
    this.#interfaces = interfaces;
  }

  /** Begins a chunk at the front of the memory. */
  begin(): void {
    this.count = 0;
    this.#end = this.#ahead.start;
  }

  /** The frames so far. */
  get chunk(): FrameChunk {
    const interfaces = this.#interfaces.table;
    return {
      bytes: this.#ahead.memory.subarray(this.#ahead.start, this.#end),
      frameCount: this.count,
      bigEndian: false,
      nanosecond: this.nanosecond,
      interfaces,
      ...(interfaces.length > 1 && { interfaceOf: this.#interfaceOf.subarray(0, this.count) }),
    };
  }

  /**
   * Takes enhanced packet blocks as long as nothing is odd about them, which nearly all blocks of
   * nearly all files are. Measured on Node 20: 40 ns for a frame of 200 bytes instead of 53.
   *
   * @param at begin of a block
   * @returns begin of the block behind the last that was taken
   */
  takeRun(at: number, littleEndian: boolean): number {
    const { view, end } = this.#ahead;
    const { section } = this.#interfaces;
    let id = -1;
    let from: SectionInterface | undefined;
    while (at + ENHANCED_PACKET_BYTES <= end) {
      if (view.getUint32(at, littleEndian) !== PCAPNG_BLOCK.ENHANCED_PACKET) break;
      const length = view.getUint32(at + 4, littleEndian);
      const next = at + length;
      if (length % 4 !== 0 || next > end) break;
      const capturedLength = view.getUint32(at + 20, littleEndian);
      if (capturedLength > length - ENHANCED_PACKET_BYTES) break;
      if (capturedLength > MAX_FRAME_BYTES) break;
      if (view.getUint32(next - 4, littleEndian) !== length) break;
      if (view.getUint32(at + 8, littleEndian) !== id) {
        id = view.getUint32(at + 8, littleEndian);
        from = section[id];
      }
      if (from === undefined) break;
      from.resolution.convert(
        view.getUint32(at + 12, littleEndian),
        view.getUint32(at + 16, littleEndian),
      );
      const wireLength = view.getUint32(at + 24, littleEndian);
      this.#place(from, at + 28, capturedLength, wireLength);
      at = next;
    }
    return at;
  }

  /**
   * Takes one packet block of any kind.
   *
   * @param at begin of a block, which is there as a whole
   * @param length of the block
   * @param frameNumber in the file, for messages
   * @returns what is wrong with it, to follow `where`; undefined when it was taken
   */
  take(at: number, length: number, littleEndian: boolean, frameNumber: number): string | undefined {
    const { view } = this.#ahead;
    const { section } = this.#interfaces;
    const type = view.getUint32(at, littleEndian);
    const body = at + 8;
    const isSimple = type === PCAPNG_BLOCK.SIMPLE_PACKET;
    const headerBytes = isSimple ? SIMPLE_PACKET_HEADER_BYTES : PACKET_HEADER_BYTES;
    const room = length - PCAPNG_BLOCK_OVERHEAD - headerBytes;
    if (room < 0) return `a frame's block claims ${length} bytes`;
    let id = 0;
    if (type === PCAPNG_BLOCK.ENHANCED_PACKET) id = view.getUint32(body, littleEndian);
    else if (!isSimple) id = view.getUint16(body, littleEndian);
    const from = section[id];
    if (from === undefined) {
      return `a frame is of interface ${id} and the section has ${section.length}`;
    }
    let capturedLength: number;
    let wireLength: number;
    if (isSimple) {
      wireLength = view.getUint32(body, littleEndian);
      const cut = from.snapLengthBytes === 0 ? wireLength : from.snapLengthBytes;
      capturedLength = Math.min(wireLength, cut, room);
    } else {
      capturedLength = view.getUint32(body + 12, littleEndian);
      wireLength = view.getUint32(body + 16, littleEndian);
    }
    if (capturedLength > MAX_FRAME_BYTES) {
      return `frame ${frameNumber} claims ${capturedLength} bytes (the most is ${MAX_FRAME_BYTES})`;
    }
    if (paddedLength(capturedLength) > room) {
      return `a frame of ${capturedLength} bytes stands in a block of ${length}`;
    }
    if (isSimple) from.resolution.setUnknown();
    else {
      from.resolution.convert(
        view.getUint32(body + 4, littleEndian),
        view.getUint32(body + 8, littleEndian),
      );
    }
    this.#place(from, body + headerBytes, capturedLength, wireLength);
    return undefined;
  }

  /** Puts a frame behind the last; its time is what the interface's resolution converted last. */
  #place(from: SectionInterface, data: number, capturedLength: number, wireLength: number): void {
    const { memory, view } = this.#ahead;
    const { seconds, nanoseconds } = from.resolution;
    const header = this.#end;
    const start = header + FRAME_HEADER_BYTES;
    // First, because the header may stand where the data of a simple packet begins.
    memory.copyWithin(start, data, data + capturedLength);
    view.setUint32(header, seconds, true);
    view.setUint32(
      header + 4,
      this.nanosecond ? nanoseconds : Math.floor(nanoseconds / 1000),
      true,
    );
    view.setUint32(header + 8, capturedLength, true);
    view.setUint32(header + 12, wireLength, true);
    if (this.count === this.#interfaceOf.length) this.#growInterfaceOf();
    this.#interfaceOf[this.count++] = from.index;
    this.#end = start + capturedLength;
  }

  #growInterfaceOf(): void {
    const longer = new Uint16Array(this.#interfaceOf.length * 4);
    longer.set(this.#interfaceOf);
    this.#interfaceOf = longer;
  }
}
