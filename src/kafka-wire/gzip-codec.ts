import { promisify } from "node:util";
import { constants, gunzip, gunzipSync, gzip } from "node:zlib";
import type { RecordCodec } from "./compression.ts";
import { tooLarge } from "./compression.ts";

const compressAsync = promisify(gzip);
const decompressAsync = promisify(gunzip);

/** zlib's working memory for output: fewer, larger pieces than its 16 KiB. */
const OUTPUT_PIECE_BYTES = 256 * 1024;

/** Most that one byte of deflate can become. */
const MAX_RATIO = 1032;

/**
 * gzip (RFC 1952), Kafka's codec 1; built into Node.
 *
 * @param level 0 to 9; undefined: 6
 */
export function createGzipCodec(level: number | undefined): RecordCodec {
  const options = {
    level: level === undefined ? constants.Z_DEFAULT_COMPRESSION : Math.min(level, 9),
    chunkSize: OUTPUT_PIECE_BYTES,
  };
  return {
    name: "gzip",
    compress: (records) => compressAsync(records, options),
    decompress: (bytes, limit) => decompressAsync(bytes, limitsFor(bytes, limit)),
    decompressSync: (bytes, limit) => gunzipSync(bytes, limitsFor(bytes, limit)),
  };
}

/** A gzip file ends with its length before compression: with it the output is one piece, not many that are copied together. */
function limitsFor(
  bytes: Buffer,
  limitBytes: number,
): { maxOutputLength: number; chunkSize: number } {
  const stated = bytes.length < 4 ? 0 : bytes.readUInt32LE(bytes.length - 4);
  if (stated > limitBytes) throw tooLarge(limitBytes);
  return {
    maxOutputLength: Math.min(limitBytes, 0x7fff_ffff),
    chunkSize: Math.max(1024, Math.min(stated, bytes.length * MAX_RATIO) + 64),
  };
}
