import { ByteReader } from "../bytes/byte-reader.ts";
import { importPackage, tooLarge } from "./compression.ts";
import type { RecordCodec } from "./compression.ts";

/** How snappy-java's streams begin: 0x82 SNAPPY 0, then two int32 of version. */
const XERIAL_MAGIC = Buffer.from("82534e4150505900", "hex");
const XERIAL_HEADER_BYTES = 16;

/**
 * snappy, Kafka's codec 2. Written as one raw block, as librdkafka does; the
 * Java client reads that too. Read as raw block and in the framing of the Java
 * client.
 */
export async function createSnappyCodec(): Promise<RecordCodec> {
  const { default: snappy } = await importPackage("snappy", "snappy", () => import("snappy"));
  const decompressSync = (bytes: Buffer, limitBytes: number): Buffer =>
    snappy.uncompressSync(rawBlock(bytes, limitBytes), { asBuffer: true }) as Buffer;
  return {
    name: "snappy",
    compress: (records) => snappy.compressSync(records),
    decompress: decompressSync,
    decompressSync,
  };
}

/**
 * The raw block that `bytes` are or hold.
 *
 * ```
 *   xerial  ┌ magic (8) version int32 ×2 ┬ length int32 ┬ block ┬ length ┬ block ┬─ ─
 *   block   ┌ length when decompressed: varint ┬ literals and copies …
 * ```
 *
 * A copy reaches back from where it stands, never to a position, so literals
 * and copies of several blocks, one behind the other, are those of one block,
 * and one call decompresses it all: the Java client writes blocks of 32 KiB.
 */
function rawBlock(bytes: Buffer, limitBytes: number): Buffer {
  if (!bytes.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) {
    readLength(new ByteReader(bytes), limitBytes);
    return bytes;
  }
  const reader = new ByteReader(bytes, XERIAL_HEADER_BYTES);
  const parts: Buffer[] = [Buffer.alloc(0)];
  let total = 0;
  while (reader.offset < bytes.length) {
    const blockBytes = reader.readInt32();
    const start = reader.skip(blockBytes);
    const block = new ByteReader(bytes, start, start + blockBytes);
    total += readLength(block, limitBytes);
    if (total > limitBytes) throw tooLarge(limitBytes);
    parts.push(bytes.subarray(block.offset, start + blockBytes));
  }
  parts[0] = encodeLength(total);
  return Buffer.concat(parts);
}

function readLength(reader: ByteReader, limitBytes: number): number {
  let length = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = reader.readInt8() & 0xff;
    length += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) {
      if (length > limitBytes) throw tooLarge(limitBytes);
      return length;
    }
  }
  throw new Error("its length is no varint");
}

function encodeLength(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}
