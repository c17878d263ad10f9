import { ByteReader } from "../bytes/byte-reader.ts";
import { importPackage, tooLarge } from "./compression.ts";
import type { RecordCodec } from "./compression.ts";

const FRAME_MAGIC = 0x184d2204;

/** Most that one byte of an LZ4 block can become. */
const MAX_RATIO = 255;

/** The high bit of a block's size: it is not compressed. */
const NOT_COMPRESSED = 0x8000_0000;

const FLAG = { blockChecksum: 0x10, contentSize: 0x08, contentChecksum: 0x04, dictionary: 0x01 };

/**
 * LZ4 frames, Kafka's codec 3. Written with independent blocks, the only ones
 * the Java client reads; read with either kind.
 */
export async function createLz4Codec(): Promise<RecordCodec> {
  const { default: lz4 } = await importPackage("lz4", "lz4-napi", () => import("lz4-napi"));
  const decompressSync = (bytes: Buffer, limitBytes: number): Buffer =>
    lz4.decompressFrameSync(firstFrame(bytes, limitBytes));
  return {
    name: "lz4",
    compress: (records) => lz4.compressFrameSync(records),
    decompress: decompressSync,
    decompressSync,
  };
}

/**
 * Sees to it that a frame cannot come to more than it may: the package has no
 * limit of its own. Source: LZ4 Frame Format Description 1.6.
 *
 * ```
 *   magic u32 │ flags, block size, [content size u64], header checksum │ blocks │ 0 u32 │ [checksum u32]
 *   block:      size u32, data, [checksum u32]
 * ```
 *
 * @returns the frame without what stands behind it
 */
function firstFrame(bytes: Buffer, limitBytes: number): Buffer {
  const reader = new ByteReader(bytes);
  if (readUInt32LE(reader) !== FRAME_MAGIC) throw new Error("it is no LZ4 frame");
  const flags = reader.readInt8() & 0xff;
  const blockSizeCode = ((reader.readInt8() & 0xff) >>> 4) & 0x07;
  if (flags >>> 6 !== 1 || blockSizeCode < 4) throw new Error("its header is none of an LZ4 frame");
  if ((flags & FLAG.dictionary) !== 0) throw new Error("it needs a dictionary");
  const maxBlockBytes = 1 << (2 * blockSizeCode + 8);
  reader.skip((flags & FLAG.contentSize) === 0 ? 1 : 9);
  let total = 0;
  for (;;) {
    const size = readUInt32LE(reader);
    if (size === 0) break;
    const dataBytes = size >= NOT_COMPRESSED ? size - NOT_COMPRESSED : size;
    total += size >= NOT_COMPRESSED ? dataBytes : Math.min(maxBlockBytes, dataBytes * MAX_RATIO);
    if (total > limitBytes) throw tooLarge(limitBytes);
    reader.skip(dataBytes);
    if ((flags & FLAG.blockChecksum) !== 0) reader.skip(4);
  }
  if ((flags & FLAG.contentChecksum) !== 0) reader.skip(4);
  return bytes.subarray(0, reader.offset);
}

function readUInt32LE(reader: ByteReader): number {
  return reader.bytes.readUInt32LE(reader.skip(4));
}
