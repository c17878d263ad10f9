import { Decompress } from "fzstd";
import type { ByteSource } from "./byte-source.ts";
import { ByteWindow } from "./byte-window.ts";
import { CompressedBytesError } from "./compressed-bytes.ts";

/*
 * Zstandard frames (RFC 8878), for Node before 22.15, which has no zstd of its own:
 *
 *   magic u32 | descriptor u8, [window u8], [dictionary id 1, 2, 4], [content size 1, 2, 4, 8] | blocks | [checksum u32]
 *   block:      u24: last (1 bit), type (2), size (21); data
 *
 * The decoder is given one block at a time, of at most 128 KiB when decompressed, so that a few
 * bytes cannot become gigabytes before anybody takes them.
 */

const FRAME_MAGIC = 0xfd2f_b528;
const SKIPPABLE_MAGIC = 0x184d_2a50;
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;
const MAX_BLOCK_BYTES = 128 * 1024;

/** What the zstd program takes without being asked for more (--long=27). */
const MAX_WINDOW_BYTES = 128 * 1024 * 1024;

/** Decompresses zstd frames that follow each other. */
export class ZstdBytes implements ByteSource {
  readonly #window: ByteWindow;
  #pieces: Uint8Array[] = [];
  #decoder: Decompress | undefined;
  #hasChecksum = false;
  #isClosed = false;

  constructor(compressed: ByteSource) {
    this.#window = new ByteWindow(compressed);
  }

  async readInto(target: Uint8Array): Promise<number> {
    while (this.#pieces.length === 0) {
      if (this.#isClosed) return 0;
      if (this.#decoder !== undefined) await this.#readBlock(this.#decoder);
      else if (!(await this.#beginFrame())) return 0;
    }
    const piece = this.#pieces[0]!;
    const length = Math.min(piece.length, target.length);
    target.set(piece.subarray(0, length));
    if (length === piece.length) this.#pieces.shift();
    else this.#pieces[0] = piece.subarray(length);
    return length;
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.#window.close();
  }

  /** @returns false at the end */
  async #beginFrame(): Promise<boolean> {
    if (await this.#window.isAtEnd()) return false;
    const magic = (await this.#take(4)).readUInt32LE(0);
    if ((magic & 0xffff_fff0) >>> 0 === SKIPPABLE_MAGIC) {
      const length = (await this.#take(4)).readUInt32LE(0);
      if (length > 0 && !(await this.#window.skip(length))) throw cut();
      return true;
    }
    if (magic !== FRAME_MAGIC) throw damaged("a frame does not begin with its magic number");
    const header = [Buffer.from([0x28, 0xb5, 0x2f, 0xfd])];
    const descriptor = (await this.#take(1))[0]!;
    header.push(Buffer.from([descriptor]));
    const isSingleSegment = (descriptor & 0x20) !== 0;
    let windowBytes = 0;
    if (!isSingleSegment) {
      const code = (await this.#take(1))[0]!;
      header.push(Buffer.from([code]));
      const base = 2 ** (10 + (code >>> 3));
      windowBytes = base + (base / 8) * (code & 7);
    }
    const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >>> 6]!;
    const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]!;
    if (dictionaryBytes > 0) throw damaged("it needs a dictionary");
    if (sizeBytes > 0) {
      const size = Buffer.from(await this.#take(sizeBytes));
      header.push(size);
      if (isSingleSegment) {
        windowBytes =
          sizeBytes === 8 ? Number(size.readBigUInt64LE(0)) : size.readUIntLE(0, sizeBytes);
      }
    }
    if (windowBytes > MAX_WINDOW_BYTES) {
      throw damaged(`its window of ${windowBytes} bytes is larger than ${MAX_WINDOW_BYTES}`);
    }
    this.#hasChecksum = (descriptor & 0x04) !== 0;
    this.#decoder = new Decompress((piece) => {
      // The decoder uses its memory again.
      if (piece.length > 0) this.#pieces.push(Uint8Array.from(piece));
    });
    this.#push(this.#decoder, Buffer.concat(header));
    return true;
  }

  async #readBlock(decoder: Decompress): Promise<void> {
    const header = Buffer.from(await this.#take(3));
    const fields = header.readUIntLE(0, 3);
    const isLast = (fields & 1) !== 0;
    const type = (fields >>> 1) & 3;
    const size = fields >>> 3;
    if (type === RESERVED_BLOCK || size > MAX_BLOCK_BYTES) throw damaged("a block is impossible");
    const dataBytes = type === RLE_BLOCK ? 1 : size;
    const parts = [header];
    if (dataBytes > 0) parts.push(Buffer.from(await this.#take(dataBytes)));
    if (isLast && this.#hasChecksum) parts.push(Buffer.from(await this.#take(4)));
    this.#push(decoder, Buffer.concat(parts), isLast);
    if (isLast) this.#decoder = undefined;
  }

  #push(decoder: Decompress, bytes: Uint8Array, isLast = false): void {
    try {
      decoder.push(bytes, isLast);
    } catch (cause) {
      throw damaged(cause instanceof Error ? cause.message : String(cause));
    }
  }

  async #take(length: number): Promise<Buffer> {
    const bytes = await this.#window.take(length);
    if (bytes === undefined) throw cut();
    return bytes;
  }
}

function cut(): CompressedBytesError {
  return new CompressedBytesError("zstd", "unexpected end of file");
}

function damaged(reason: string): CompressedBytesError {
  return new CompressedBytesError("zstd", reason);
}
