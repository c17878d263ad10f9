import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { ByteReader } from "../bytes/byte-reader.ts";
import { loadZstdPackage } from "../bytes/zstd-package.ts";
import { importPackage, tooLarge } from "./compression.ts";
import type { RecordCodec } from "./compression.ts";

/** What Node has from 22.15 on, which the types of Node 20 do not know. */
interface ZstdOfNode {
  readonly constants: { readonly ZSTD_c_compressionLevel: number };
  readonly zstdCompress: ZstdCall;
  readonly zstdDecompress: ZstdCall;
  readonly zstdDecompressSync: (bytes: Uint8Array, options: object) => Buffer;
}

type ZstdCall = (
  bytes: Uint8Array,
  options: object,
  done: (error: Error | null, result: Buffer) => void,
) => void;

const DEFAULT_LEVEL = 3;
const MAX_LEVEL = 22;

/** zlib's working memory for output: fewer, larger pieces than its 16 KiB. */
const OUTPUT_PIECE_BYTES = 256 * 1024;

const PACKAGE = "@bokuweb/zstd-wasm";
const FRAME_MAGIC = 0xfd2f_b528;
const SKIPPABLE_MAGIC = 0x184d_2a50;

/** A compressed block never holds more, whatever the window. */
const MAX_BLOCK_BYTES = 128 * 1024;

/**
 * Zstandard (RFC 8878), Kafka's codec 4: Node's own from 22.15 on, before that
 * a package.
 *
 * @param level 1 to 22; undefined: 3
 */
export async function createZstdCodec(level: number | undefined): Promise<RecordCodec> {
  const usedLevel = Math.max(1, Math.min(level ?? DEFAULT_LEVEL, MAX_LEVEL));
  return hasZstd(zlib) ? codecOfNode(zlib, usedLevel) : codecOfPackage(usedLevel);
}

function hasZstd(module: object): module is ZstdOfNode {
  return "zstdCompress" in module;
}

function codecOfNode(node: ZstdOfNode, level: number): RecordCodec {
  const compress = promisify(node.zstdCompress);
  const decompress = promisify(node.zstdDecompress);
  const options = {
    params: { [node.constants.ZSTD_c_compressionLevel]: level },
    chunkSize: OUTPUT_PIECE_BYTES,
  };
  const limits = (bytes: Buffer, limitBytes: number): object => {
    const bound = boundOf(bytes, limitBytes);
    return { maxOutputLength: Math.min(limitBytes, 0x7fff_ffff), chunkSize: bound + 64 };
  };
  return {
    name: "zstd",
    compress: (records) => compress(records, options),
    decompress: async (bytes, limit) => decompress(bytes, limits(bytes, limit)),
    decompressSync: (bytes, limit) => node.zstdDecompressSync(bytes, limits(bytes, limit)),
  };
}

/**
 * libzstd as WebAssembly. It has no thread pool: measured on Node 20, 4 ms of
 * the event loop to compress 1 MB, 2 ms to decompress it.
 */
async function codecOfPackage(level: number): Promise<RecordCodec> {
  const zstd = await importPackage(
    "zstd",
    PACKAGE,
    loadZstdPackage,
    ", or use Node 22.15 or newer, which has zstd built in",
  );
  const decompressSync = (bytes: Buffer, limitBytes: number): Buffer => {
    const records = zstd.decompress(bytes, { defaultHeapSize: boundOf(bytes, limitBytes) });
    return Buffer.from(records.buffer, records.byteOffset, records.byteLength);
  };
  return {
    name: "zstd",
    compress: (records) => zstd.compress(records, level),
    decompress: decompressSync,
    decompressSync,
  };
}

/**
 * Most bytes that frames can come to: what their blocks can hold, for the size
 * that a frame may state need not be true.
 *
 * ```
 *   magic u32 │ descriptor u8, [window u8], [dictionary id 1, 2, 4], [content size 1, 2, 4, 8] │ blocks │ [checksum u32]
 *   block:      u24: last (1 bit), type (2), size (21); data
 * ```
 *
 * @throws when that is more than `limitBytes`, or they are no frames
 */
function boundOf(bytes: Buffer, limitBytes: number): number {
  const reader = new ByteReader(bytes);
  let total = 0;
  do {
    total += boundOfFrame(reader, limitBytes - total);
  } while (reader.offset < bytes.length);
  return total;
}

function boundOfFrame(reader: ByteReader, limitBytes: number): number {
  const { bytes } = reader;
  const magic = bytes.readUInt32LE(reader.skip(4));
  if ((magic & 0xffff_fff0) >>> 0 === SKIPPABLE_MAGIC) {
    reader.skip(bytes.readUInt32LE(reader.skip(4)));
    return 0;
  }
  if (magic !== FRAME_MAGIC) throw new Error("it is no zstd frame");
  const descriptor = reader.readInt8() & 0xff;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  if (!isSingleSegment) {
    const window = reader.readInt8() & 0xff;
    const base = 2 ** (10 + (window >>> 3));
    if (base + (base / 8) * (window & 7) > limitBytes) throw tooLarge(limitBytes);
  }
  reader.skip([0, 1, 2, 4][descriptor & 3]!);
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >>> 6]!;
  const sizeAt = reader.skip(sizeBytes);
  if (sizeBytes >= 4) {
    const high = sizeBytes === 8 ? bytes.readUInt32LE(sizeAt + 4) : 0;
    // The package takes this much memory at once.
    if (high * 2 ** 32 + bytes.readUInt32LE(sizeAt) > limitBytes) throw tooLarge(limitBytes);
  }
  let total = 0;
  for (let isLast = false; !isLast;) {
    const block = bytes.readUIntLE(reader.skip(3), 3);
    const type = (block >>> 1) & 3;
    const size = block >>> 3;
    isLast = (block & 1) !== 0;
    if (type === 3) throw new Error("a block is of no known type");
    total += type === 2 ? MAX_BLOCK_BYTES : size;
    if (total > limitBytes) throw tooLarge(limitBytes);
    reader.skip(type === 1 ? 1 : size);
  }
  if ((descriptor & 0x04) !== 0) reader.skip(4);
  return total;
}
