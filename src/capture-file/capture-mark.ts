import { readHeaderWord } from "../packet/frame-chunk.ts";
import { detectCompression } from "./compressed-bytes.ts";
import { NSEC_PCAP_MAGIC, PCAP_MAGIC } from "./pcap-format.ts";
import { BYTE_ORDER_MAGIC, PCAPNG_BLOCK } from "./pcapng-format.ts";

/** What the first bytes of a capture say. */
export type CaptureMark =
  | { readonly format: "pcap"; readonly bigEndian: boolean; readonly nanosecond: boolean }
  | { readonly format: "pcapng"; readonly bigEndian: boolean }
  | { readonly format: "compressed"; readonly bigEndian: false };

/**
 * Bytes that tell the begin of a capture from anything else: magic, version 2.4 and two zeros in a
 * pcap file; type, length, byte-order magic and version 1.0 in pcapng; magic of what is compressed.
 */
export const CAPTURE_MARK_BYTES = 16;

/** Everything behind a pcap file's magic. */
const PCAP_TAILS = ["020004000000000000000000", "000200040000000000000000"].map((hex) =>
  Buffer.from(hex, "hex"),
);

/** The deflate of gzip without reserved flags: its magic alone is short. */
const GZIP_DEFLATE = 8;
const GZIP_FLAGS = 0x1f;

/** Reads the same in both byte orders. */
const SECTION_START = Buffer.from("0a0d0d0a", "hex");

/**
 * Tells whether a capture begins at a position.
 *
 * @param at at least 16 bytes before the end of `bytes`
 */
export function readCaptureMark(bytes: Uint8Array, at: number): CaptureMark | undefined {
  for (const bigEndian of [false, true]) {
    const magic = readHeaderWord(bytes, at, bigEndian);
    if (magic === PCAP_MAGIC || magic === NSEC_PCAP_MAGIC) {
      const version = readHeaderWord(bytes, at + 4, bigEndian);
      const isMark =
        version === (bigEndian ? 0x0002_0004 : 0x0004_0002) &&
        readHeaderWord(bytes, at + 8, bigEndian) === 0 &&
        readHeaderWord(bytes, at + 12, bigEndian) === 0;
      return isMark
        ? { format: "pcap", bigEndian, nanosecond: magic === NSEC_PCAP_MAGIC }
        : undefined;
    }
    if (
      magic === PCAPNG_BLOCK.SECTION &&
      readHeaderWord(bytes, at + 8, bigEndian) === BYTE_ORDER_MAGIC
    ) {
      const version = readHeaderWord(bytes, at + 12, bigEndian);
      return version === (bigEndian ? 0x0001_0000 : 0x0000_0001)
        ? { format: "pcapng", bigEndian }
        : undefined;
    }
  }
  const compression = detectCompression(bytes.subarray(at, at + 4));
  const isMark =
    compression === "gzip"
      ? bytes[at + 2] === GZIP_DEFLATE && bytes[at + 3]! <= GZIP_FLAGS
      : compression !== undefined;
  return isMark ? { format: "compressed", bigEndian: false } : undefined;
}

/**
 * Looks for the begin of a capture that is not compressed; of others the mark is too short.
 *
 * @param from where to begin to look
 * @param end where `bytes` end
 * @returns where the first one begins; -1 when there is none that is there with all its 16 bytes
 */
export function findCaptureMark(bytes: Buffer, from: number, end: number): number {
  const place = bytes.subarray(from, end);
  const found = [
    ...PCAP_TAILS.map((tail) => findMark(place, tail, 4)),
    findMark(place, SECTION_START, 0),
  ].filter((at) => at >= 0);
  return found.length === 0 ? -1 : from + Math.min(...found);
}

/** @param before bytes of the mark in front of the pattern */
function findMark(place: Buffer, pattern: Buffer, before: number): number {
  for (let at = 0; (at = place.indexOf(pattern, at)) >= 0; at++) {
    const start = at - before;
    if (start < 0 || start + CAPTURE_MARK_BYTES > place.length) continue;
    if (readCaptureMark(place, start) !== undefined) return start;
  }
  return -1;
}
