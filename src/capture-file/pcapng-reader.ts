import {
  FRAME_HEADER_BYTES,
  MAX_FRAME_BYTES,
  type CaptureInterface,
  type FrameChunk,
} from "../packet/frame-chunk.ts";
import type { ByteSource } from "./byte-source.ts";
import { CaptureBytes } from "./capture-bytes.ts";
import type { CaptureReader } from "./capture-reader.ts";
import {
  BYTE_ORDER_MAGIC,
  MAX_PCAPNG_BLOCK_BYTES,
  paddedLength,
  PCAPNG_BLOCK,
  PCAPNG_BLOCK_OVERHEAD,
} from "./pcapng-format.ts";
import { MAX_INTERFACES, PcapngInterfaces, type SectionInterface } from "./pcapng-interfaces.ts";

/** One read, and the longest chunk. */
const READ_BYTES = 1024 * 1024;

/** Body bytes in front of the data. */
const PACKET_HEADER_BYTES = 20;
const SIMPLE_PACKET_HEADER_BYTES = 4;

/** Whole frames at the front of the memory, and how far the file was taken for them. */
interface TakenBlocks {
  readonly frameCount: number;
  readonly chunkEnd: number;
  readonly taken: number;
}

/**
 * Reads a pcapng file as chunks, in the memory it was read into: what a block has around its data is
 * at least as long as the header of a frame, so each frame moves by a few bytes towards the front.
 *
 * ```
 *   read    ┌ block header ┬ data ┬ options ┬ block header ┬ data ┬─ ─
 *   chunk   ┌ header ┬ data ┬ header ┬ data ┬─ ─
 * ```
 *
 * Several sections, byte orders, interfaces and resolutions are followed as they come. Chunks count
 * microseconds until an interface has a finer resolution, then nanoseconds. Simple packets have no
 * time and get 0. Comments, names, secrets, statistics and blocks of unknown types are passed over.
 */
export class PcapngReader implements CaptureReader {
  readonly #bytes: CaptureBytes;
  readonly #known: PcapngInterfaces;
  #memory = Buffer.allocUnsafeSlow(READ_BYTES);
  /** The same memory: measured on Node 20, its reads and writes of words take half as long. */
  #view = viewOf(this.#memory);
  /** Bytes of the memory that hold file contents. */
  #length = 0;
  /** Position in the file of the memory's first byte. */
  #offset = 0;
  #littleEndian = true;
  #nanosecond = false;
  #interfaceOf = new Uint16Array(4096);
  /** What is wrong with the block at the front of the memory. */
  #damage: { readonly at: number; readonly what: string } | undefined;
  /** A finer interface begins at the front of the memory: frames before it are handed over first. */
  #isBlockWaiting = false;

  private constructor(bytes: CaptureBytes, sensor: string) {
    this.#bytes = bytes;
    this.#known = new PcapngInterfaces(sensor);
  }

  /**
   * Reads and checks the first section header, and what interfaces stand in front of the first frame
   * as far as that does not make a pipe wait.
   *
   * @param source stands at the first byte of the file
   * @param name for messages, as in `Cannot read "name": …`
   * @param sensor of the interfaces that the frames are said to come from
   * @throws PcaptsError FILE_NOT_A_CAPTURE, FILE_NOT_READABLE
   */
  static async open(source: ByteSource, name: string, sensor = ""): Promise<PcapngReader> {
    const reader = new PcapngReader(new CaptureBytes(source, name), sensor);
    await reader.#openSection();
    return reader;
  }

  get interfaces(): readonly CaptureInterface[] {
    return this.#known.table;
  }

  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    for (;;) {
      const { frameCount, chunkEnd, taken } = this.#takeBlocks(true);
      if (frameCount > 0) {
        this.#bytes.framesRead += frameCount;
        yield this.#chunk(chunkEnd, frameCount);
      }
      this.#drop(taken);
      if (this.#damage !== undefined) throw this.#bytes.damaged(this.#damage.at, this.#damage.what);
      if (!this.#isBlockWaiting && !(await this.#read())) break;
    }
    if (this.#length > 0) {
      throw this.#bytes.cut(this.#offset + this.#length, "in the middle of a block");
    }
  }

  async #openSection(): Promise<void> {
    while (this.#known.table.length === 0 && this.#damage === undefined) {
      if (!(await this.#read())) break;
      this.#drop(this.#takeBlocks(false).taken);
      if (this.#length >= PCAPNG_BLOCK_OVERHEAD && this.#isFrameNext()) break;
    }
    if (this.#offset > 0) return;
    if (this.#damage !== undefined) {
      throw this.#bytes.notACapture(`at byte ${this.#damage.at} ${this.#damage.what}`);
    }
    throw this.#bytes.notACapture(
      `it is cut at byte ${this.#length}, within the header of its first section`,
    );
  }

  /** Takes blocks from the front of the memory, up to the first that is not whole. */
  #takeBlocks(withFrames: boolean): TakenBlocks {
    let at = 0;
    let chunkEnd = 0;
    let frameCount = 0;
    this.#isBlockWaiting = false;
    while (at + PCAPNG_BLOCK_OVERHEAD <= this.#length) {
      const type = this.#view.getUint32(at, this.#littleEndian);
      if (type === PCAPNG_BLOCK.SECTION && !this.#findByteOrder(at)) break;
      const length = this.#view.getUint32(at + 4, this.#littleEndian);
      if (!this.#isPossible(at, length)) break;
      if (at + length > this.#length) break;
      if (isFrame(type)) {
        if (!withFrames) break;
        const end = this.#takeFrame(type, at, length, chunkEnd, frameCount);
        if (end < 0) break;
        chunkEnd = end;
        frameCount++;
      } else if (type === PCAPNG_BLOCK.SECTION) {
        if (!this.#beginSection(at, length)) break;
      } else if (type === PCAPNG_BLOCK.INTERFACE) {
        if (!this.#addInterface(at, length, frameCount > 0)) break;
      }
      at += length;
    }
    return { frameCount, chunkEnd, taken: at };
  }

  #isFrameNext(): boolean {
    return isFrame(this.#view.getUint32(0, this.#littleEndian));
  }

  #findByteOrder(at: number): boolean {
    const isBig = this.#view.getUint32(at + 8) === BYTE_ORDER_MAGIC;
    if (!isBig && this.#view.getUint32(at + 8, true) !== BYTE_ORDER_MAGIC) {
      return this.#fail(at, "a section has no byte-order magic");
    }
    this.#littleEndian = !isBig;
    return true;
  }

  #isPossible(at: number, length: number): boolean {
    if (length < PCAPNG_BLOCK_OVERHEAD || length % 4 !== 0 || length > MAX_PCAPNG_BLOCK_BYTES) {
      return this.#fail(
        at,
        `a block claims ${length} bytes (a multiple of 4, at most ${MAX_PCAPNG_BLOCK_BYTES})`,
      );
    }
    if (at + length > this.#length) return true;
    const repeated = this.#view.getUint32(at + length - 4, this.#littleEndian);
    if (repeated === length) return true;
    return this.#fail(at, `a block of ${length} bytes ends with the length ${repeated}`);
  }

  #beginSection(at: number, length: number): boolean {
    if (length < 28) return this.#fail(at, `a section header claims ${length} bytes`);
    const major = this.#readHalf(at + 12);
    if (major !== 1) {
      return this.#fail(at, `a section is of version ${major}.${this.#readHalf(at + 14)}, not 1.0`);
    }
    this.#known.beginSection();
    return true;
  }

  #addInterface(at: number, length: number, afterFrames: boolean): boolean {
    if (length < 20) return this.#fail(at, `an interface claims ${length} bytes`);
    const body = this.#memory.subarray(at + 8, at + length - 4);
    const added = this.#known.read(body, !this.#littleEndian);
    if (added.resolution.isFine && !this.#nanosecond) {
      if (afterFrames) {
        this.#isBlockWaiting = true;
        return false;
      }
      this.#nanosecond = true;
    }
    if (this.#known.add(added)) return true;
    return this.#fail(at, `interface ${MAX_INTERFACES + 1} begins (the most is ${MAX_INTERFACES})`);
  }

  /** @returns where the frame ends at the front of the memory; -1 when it is impossible */
  #takeFrame(type: number, at: number, length: number, to: number, index: number): number {
    const memory = this.#memory;
    const view = this.#view;
    const littleEndian = this.#littleEndian;
    const body = at + 8;
    const isSimple = type === PCAPNG_BLOCK.SIMPLE_PACKET;
    const headerBytes = isSimple ? SIMPLE_PACKET_HEADER_BYTES : PACKET_HEADER_BYTES;
    const room = length - PCAPNG_BLOCK_OVERHEAD - headerBytes;
    if (room < 0) return this.#refuseFrame(at, `a frame's block claims ${length} bytes`);
    let id = 0;
    if (type === PCAPNG_BLOCK.ENHANCED_PACKET) id = view.getUint32(body, littleEndian);
    else if (!isSimple) id = this.#readHalf(body);
    const from: SectionInterface | undefined = this.#known.section[id];
    if (from === undefined) {
      const count = this.#known.section.length;
      return this.#refuseFrame(at, `a frame is of interface ${id} and the section has ${count}`);
    }
    let seconds = 0;
    let fraction = 0;
    let capturedLength: number;
    let wireLength: number;
    if (isSimple) {
      wireLength = view.getUint32(body, littleEndian);
      const cut = from.snapLengthBytes === 0 ? wireLength : from.snapLengthBytes;
      capturedLength = Math.min(wireLength, cut, room);
    } else {
      const { resolution } = from;
      resolution.convert(
        view.getUint32(body + 4, littleEndian),
        view.getUint32(body + 8, littleEndian),
      );
      seconds = resolution.seconds;
      fraction = resolution.nanoseconds;
      if (!this.#nanosecond) fraction = Math.floor(fraction / 1000);
      capturedLength = view.getUint32(body + 12, littleEndian);
      wireLength = view.getUint32(body + 16, littleEndian);
    }
    if (capturedLength > MAX_FRAME_BYTES) {
      const number = this.#bytes.framesRead + index + 1;
      const claim = `frame ${number} claims ${capturedLength} bytes (the most is ${MAX_FRAME_BYTES})`;
      return this.#refuseFrame(at, claim);
    }
    if (paddedLength(capturedLength) > room) {
      const claim = `a frame of ${capturedLength} bytes stands in a block of ${length}`;
      return this.#refuseFrame(at, claim);
    }
    const start = to + FRAME_HEADER_BYTES;
    const data = body + headerBytes;
    memory.copyWithin(start, data, data + capturedLength);
    view.setUint32(to, seconds, true);
    view.setUint32(to + 4, fraction, true);
    view.setUint32(to + 8, capturedLength, true);
    view.setUint32(to + 12, wireLength, true);
    if (index >= this.#interfaceOf.length) this.#growInterfaceOf();
    this.#interfaceOf[index] = from.index;
    return start + capturedLength;
  }

  #chunk(end: number, frameCount: number): FrameChunk {
    const interfaces = this.#known.table;
    return {
      bytes: this.#memory.subarray(0, end),
      frameCount,
      bigEndian: false,
      nanosecond: this.#nanosecond,
      interfaces,
      ...(interfaces.length > 1 && { interfaceOf: this.#interfaceOf.subarray(0, frameCount) }),
    };
  }

  /** @returns false at the end of the file */
  async #read(): Promise<boolean> {
    this.#makeRoom();
    const at = this.#offset + this.#length;
    const read = await this.#bytes.read(this.#memory.subarray(this.#length), at);
    this.#length += read;
    return read > 0;
  }

  /** A block longer than the memory gets more of it; its length was found possible. */
  #makeRoom(): void {
    if (this.#length < this.#memory.length) return;
    const larger = Buffer.allocUnsafeSlow(
      Math.min(this.#memory.length * 4, MAX_PCAPNG_BLOCK_BYTES) + READ_BYTES,
    );
    this.#memory.copy(larger, 0, 0, this.#length);
    this.#memory = larger;
    this.#view = viewOf(larger);
  }

  #drop(taken: number): void {
    this.#memory.copyWithin(0, taken, this.#length);
    this.#length -= taken;
    this.#offset += taken;
  }

  #growInterfaceOf(): void {
    const longer = new Uint16Array(this.#interfaceOf.length * 4);
    longer.set(this.#interfaceOf);
    this.#interfaceOf = longer;
  }

  #readHalf(at: number): number {
    return this.#view.getUint16(at, this.#littleEndian);
  }

  #refuseFrame(at: number, what: string): number {
    this.#fail(at, what);
    return -1;
  }

  #fail(at: number, what: string): false {
    this.#damage = { at: this.#offset + at, what };
    return false;
  }
}

function viewOf(memory: Buffer): DataView {
  return new DataView(memory.buffer, memory.byteOffset, memory.length);
}

function isFrame(type: number): boolean {
  return (
    type === PCAPNG_BLOCK.ENHANCED_PACKET ||
    type === PCAPNG_BLOCK.SIMPLE_PACKET ||
    type === PCAPNG_BLOCK.OLD_PACKET
  );
}
