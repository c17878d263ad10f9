import { XxHash32 } from "../bytes/xxhash32.ts";
import type { ByteSource } from "./byte-source.ts";
import { ByteWindow } from "./byte-window.ts";
import { CompressedBytesError } from "./compressed-bytes.ts";
import { decodeLz4Block } from "./lz4-block.ts";

/*
 * LZ4 frames (LZ4 Frame Format Description 1.6.3):
 *
 *   magic u32 | flags u8, block size u8, [content size u64], [dictionary id u32], header checksum u8 | blocks | 0 u32 | [checksum u32]
 *   block:      size u32, its top bit: stored as it is; data; [checksum u32]
 */

const FRAME_MAGIC = 0x184d_2204;
const SKIPPABLE_MAGIC = 0x184d_2a50;
const FLAG = { blockChecksum: 0x10, contentSize: 0x08, contentChecksum: 0x04, dictionary: 0x01 };
const STORED = 0x8000_0000;

/** How far back a block may refer into the ones before it. */
const HISTORY_BYTES = 64 * 1024;

/** Decompresses lz4 frames that follow each other. */
export class Lz4Bytes implements ByteSource {
  readonly #window: ByteWindow;
  /** History, then the block in hand. */
  #output = Buffer.alloc(0);
  #historyStart = 0;
  #start = 0;
  #end = 0;
  #flags = 0;
  #maxBlockBytes = 0;
  #checksum: XxHash32 | undefined;
  #isInFrame = false;
  #isClosed = false;

  constructor(compressed: ByteSource) {
    this.#window = new ByteWindow(compressed);
  }

  async readInto(target: Uint8Array): Promise<number> {
    while (this.#start === this.#end) {
      if (this.#isClosed) return 0;
      if (this.#isInFrame) await this.#readBlock();
      else if (!(await this.#beginFrame())) return 0;
    }
    const length = Math.min(this.#end - this.#start, target.length);
    target.set(this.#output.subarray(this.#start, this.#start + length));
    this.#start += length;
    return length;
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.#window.close();
  }

  /** @returns false at the end */
  async #beginFrame(): Promise<boolean> {
    if (await this.#window.isAtEnd()) return false;
    const magic = await this.#takeWord();
    if ((magic & 0xffff_fff0) >>> 0 === SKIPPABLE_MAGIC) {
      if (!(await this.#window.skip(await this.#takeWord()))) throw cut();
      return true;
    }
    if (magic !== FRAME_MAGIC) throw damaged("a frame does not begin with its magic number");
    const header = Buffer.from(await this.#take(2));
    const [flags, blockSize] = [header[0]!, header[1]!];
    const blockSizeCode = (blockSize >>> 4) & 0x07;
    if (
      flags >>> 6 !== 1 ||
      (flags & 0x02) !== 0 ||
      blockSizeCode < 4 ||
      (blockSize & 0x8f) !== 0
    ) {
      throw damaged("the header of a frame is impossible");
    }
    if ((flags & FLAG.dictionary) !== 0) throw damaged("it needs a dictionary");
    const rest = Buffer.from(await this.#take((flags & FLAG.contentSize) === 0 ? 1 : 9));
    const described = Buffer.concat([header, rest.subarray(0, -1)]);
    if (((new XxHash32().update(described).digest() >>> 8) & 0xff) !== rest.at(-1)) {
      throw damaged("the header of a frame does not match its checksum");
    }
    this.#flags = flags;
    this.#maxBlockBytes = 1 << (2 * blockSizeCode + 8);
    const needed = HISTORY_BYTES + this.#maxBlockBytes;
    if (this.#output.length < needed) this.#output = Buffer.allocUnsafeSlow(needed);
    this.#historyStart = this.#start = this.#end = 0;
    this.#checksum = (flags & FLAG.contentChecksum) === 0 ? undefined : new XxHash32();
    this.#isInFrame = true;
    return true;
  }

  async #readBlock(): Promise<void> {
    const size = await this.#takeWord();
    if (size === 0) {
      const isGood =
        this.#checksum === undefined || (await this.#takeWord()) === this.#checksum.digest();
      if (!isGood) throw damaged("the contents do not match their checksum");
      this.#isInFrame = false;
      return;
    }
    const dataBytes = size >= STORED ? size - STORED : size;
    if (dataBytes > this.#maxBlockBytes) throw damaged("a block is larger than its frame says");
    const hasChecksum = (this.#flags & FLAG.blockChecksum) !== 0;
    const data = await this.#take(dataBytes + (hasChecksum ? 4 : 0));
    const block = data.subarray(0, dataBytes);
    if (hasChecksum && data.readUInt32LE(dataBytes) !== new XxHash32().update(block).digest()) {
      throw damaged("a block does not match its checksum");
    }
    this.#keepHistory();
    const from = this.#end;
    if (size >= STORED) {
      this.#end += block.copy(this.#output, from);
    } else {
      const limit = from + this.#maxBlockBytes;
      const end = decodeLz4Block(block, this.#output, this.#historyStart, from, limit);
      if (end < 0) throw damaged("a block is none of LZ4");
      this.#end = end;
    }
    this.#start = from;
    this.#checksum?.update(this.#output.subarray(from, this.#end));
  }

  /** Makes room for a block behind the bytes that it may refer to. */
  #keepHistory(): void {
    const kept = Math.min(this.#end - this.#historyStart, HISTORY_BYTES);
    this.#output.copyWithin(0, this.#end - kept, this.#end);
    this.#historyStart = 0;
    this.#end = kept;
  }

  async #takeWord(): Promise<number> {
    return (await this.#take(4)).readUInt32LE(0);
  }

  async #take(length: number): Promise<Buffer> {
    const bytes = await this.#window.take(length);
    if (bytes === undefined) throw cut();
    return bytes;
  }
}

function cut(): CompressedBytesError {
  return new CompressedBytesError("lz4", "unexpected end of file");
}

function damaged(reason: string): CompressedBytesError {
  return new CompressedBytesError("lz4", reason);
}
