import type { CaptureInterface, FrameChunk } from "../packet/frame-chunk.ts";
import type { ByteSource } from "./byte-source.ts";
import { CaptureBytes } from "./capture-bytes.ts";
import type { CaptureReader } from "./capture-reader.ts";
import {
  BYTE_ORDER_MAGIC,
  MAX_PCAPNG_BLOCK_BYTES,
  PCAPNG_BLOCK,
  PCAPNG_BLOCK_OVERHEAD,
} from "./pcapng-format.ts";
import { PcapngFrames } from "./pcapng-frames.ts";
import { MAX_INTERFACES, PcapngInterfaces } from "./pcapng-interfaces.ts";
import { ReadAhead } from "./read-ahead.ts";

/**
 * Reads a pcapng file as chunks, in the memory it was read into ({@link PcapngFrames}).
 *
 * Several sections, byte orders, interfaces and resolutions are followed as they come. Chunks count
 * microseconds until an interface has a finer resolution, then nanoseconds. Simple packets have no
 * time and get 0. Comments, names, secrets, statistics and blocks of unknown types are passed over.
 */
export class PcapngReader implements CaptureReader {
  readonly #bytes: CaptureBytes;
  readonly #ahead: ReadAhead;
  readonly #known: PcapngInterfaces;
  readonly #frames: PcapngFrames;
  #littleEndian = true;
  /** What is wrong with the block behind those that were taken. */
  #damage: string | undefined;
  /** A finer interface comes next: frames before it are handed over first. */
  #isBlockWaiting = false;

  private constructor(bytes: CaptureBytes, sensor: string) {
    this.#bytes = bytes;
    this.#ahead = new ReadAhead(bytes, 0);
    this.#known = new PcapngInterfaces(sensor);
    this.#frames = new PcapngFrames(this.#ahead, this.#known);
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
    const ahead = this.#ahead;
    do {
      ahead.begin();
      const taken = this.#takeBlocks(true);
      if (this.#frames.count > 0) {
        this.#bytes.framesRead += this.#frames.count;
        yield this.#frames.chunk;
      }
      ahead.drop(taken);
      if (this.#damage !== undefined) throw this.#bytes.damaged(ahead.position, this.#damage);
    } while (this.#isBlockWaiting || (await ahead.next()));
    if (ahead.length > 0) throw this.#bytes.cut(ahead.endPosition, "in the middle of a block");
  }

  async #openSection(): Promise<void> {
    const ahead = this.#ahead;
    while (this.#known.table.length === 0 && this.#damage === undefined) {
      if (!(await ahead.next())) break;
      ahead.drop(this.#takeBlocks(false));
      if (ahead.length >= PCAPNG_BLOCK_OVERHEAD && this.#isFrameNext()) break;
    }
    if (ahead.position > 0) return;
    if (this.#damage !== undefined) {
      throw this.#bytes.notACapture(`at byte ${ahead.position} ${this.#damage}`);
    }
    throw this.#bytes.notACapture(
      `it is cut at byte ${ahead.length}, within the header of its first section`,
    );
  }

  /**
   * Takes blocks from the front of the memory, up to the first that is not whole, and their frames.
   *
   * @returns where that begins
   */
  #takeBlocks(withFrames: boolean): number {
    const { view, start, end } = this.#ahead;
    const frames = this.#frames;
    frames.begin();
    this.#isBlockWaiting = false;
    let at = start;
    for (;;) {
      if (withFrames) at = frames.takeRun(at, this.#littleEndian);
      if (at + PCAPNG_BLOCK_OVERHEAD > end) break;
      const type = view.getUint32(at, this.#littleEndian);
      if (type === PCAPNG_BLOCK.SECTION && !this.#findByteOrder(at)) break;
      const length = view.getUint32(at + 4, this.#littleEndian);
      if (!this.#isPossible(at, length)) break;
      if (at + length > end) break;
      if (isFrame(type)) {
        if (!withFrames) break;
        const number = this.#bytes.framesRead + frames.count + 1;
        this.#damage = frames.take(at, length, this.#littleEndian, number);
        if (this.#damage !== undefined) break;
      } else if (type === PCAPNG_BLOCK.SECTION) {
        if (!this.#beginSection(at, length)) break;
      } else if (type === PCAPNG_BLOCK.INTERFACE) {
        if (!this.#addInterface(at, length)) break;
      }
      at += length;
    }
    return at;
  }

  #isFrameNext(): boolean {
    return isFrame(this.#ahead.view.getUint32(this.#ahead.start, this.#littleEndian));
  }

  #findByteOrder(at: number): boolean {
    const { view } = this.#ahead;
    const isBig = view.getUint32(at + 8) === BYTE_ORDER_MAGIC;
    if (!isBig && view.getUint32(at + 8, true) !== BYTE_ORDER_MAGIC) {
      return this.#fail("a section has no byte-order magic");
    }
    this.#littleEndian = !isBig;
    return true;
  }

  #isPossible(at: number, length: number): boolean {
    if (length < PCAPNG_BLOCK_OVERHEAD || length % 4 !== 0 || length > MAX_PCAPNG_BLOCK_BYTES) {
      return this.#fail(
        `a block claims ${length} bytes (a multiple of 4, at most ${MAX_PCAPNG_BLOCK_BYTES})`,
      );
    }
    if (at + length > this.#ahead.end) return true;
    const repeated = this.#ahead.view.getUint32(at + length - 4, this.#littleEndian);
    if (repeated === length) return true;
    return this.#fail(`a block of ${length} bytes ends with the length ${repeated}`);
  }

  #beginSection(at: number, length: number): boolean {
    if (length < 28) return this.#fail(`a section header claims ${length} bytes`);
    const major = this.#readHalf(at + 12);
    const minor = this.#readHalf(at + 14);
    // The format's description has 1.2 mean the same; libpcap and Wireshark read no other.
    if (major !== 1 || (minor !== 0 && minor !== 2)) {
      return this.#fail(`a section is of version ${major}.${minor}, not 1.0`);
    }
    this.#known.beginSection();
    return true;
  }

  #addInterface(at: number, length: number): boolean {
    if (length < 20) return this.#fail(`an interface claims ${length} bytes`);
    const body = this.#ahead.memory.subarray(at + 8, at + length - 4);
    const added = this.#known.read(body, !this.#littleEndian);
    if (added.resolution.isFine && !this.#frames.nanosecond) {
      if (this.#frames.count > 0) {
        this.#isBlockWaiting = true;
        return false;
      }
      this.#frames.nanosecond = true;
    }
    if (this.#known.add(added)) return true;
    return this.#fail(`interface ${MAX_INTERFACES + 1} begins (the most is ${MAX_INTERFACES})`);
  }

  #readHalf(at: number): number {
    return this.#ahead.view.getUint16(at, this.#littleEndian);
  }

  #fail(what: string): false {
    this.#damage = what;
    return false;
  }
}

function isFrame(type: number): boolean {
  return (
    type === PCAPNG_BLOCK.ENHANCED_PACKET ||
    type === PCAPNG_BLOCK.SIMPLE_PACKET ||
    type === PCAPNG_BLOCK.OLD_PACKET
  );
}
