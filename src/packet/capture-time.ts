import Long from "long";

/** Length of a record's key: one unsigned 64-bit integer. */
export const CAPTURE_KEY_BYTES = 8;

const TWO_POW_32 = 4_294_967_296;
/** High word of Number.MAX_SAFE_INTEGER. */
const MAX_SAFE_HIGH_WORD = 0x1f_ffff;

/**
 * Encodes a capture time as the key of a Kafka record.
 *
 * ```ts
 * encodeKey(Long.fromString("1700000000123459", true)).toString("hex"); // 00060a2418202243
 * ```
 *
 * @param microseconds since the epoch, 0 to 2^64 - 1; a signed Long must not be negative
 * @returns 8 bytes, unsigned, most significant byte first (as Pycapa and fastcapa write it)
 * @throws RangeError when the time lies before the epoch
 */
export function encodeKey(microseconds: Long): Buffer {
  if (microseconds.isNegative()) {
    throw new RangeError(
      `Cannot encode capture time ${microseconds.toString()} us: it is before 1970`,
    );
  }
  const key = Buffer.allocUnsafe(CAPTURE_KEY_BYTES);
  key.writeUInt32BE(microseconds.getHighBitsUnsigned(), 0);
  key.writeUInt32BE(microseconds.getLowBitsUnsigned(), 4);
  return key;
}

/**
 * Decodes the key of a Kafka record, the inverse of {@link encodeKey}.
 *
 * @param key exactly 8 bytes
 * @returns microseconds since the epoch, unsigned
 * @throws RangeError when the key is not 8 bytes long
 */
export function decodeKey(key: Uint8Array): Long {
  if (key.length !== CAPTURE_KEY_BYTES) {
    throw new RangeError(
      `Cannot read a capture time from a key of ${key.length} bytes: expected ${CAPTURE_KEY_BYTES}`,
    );
  }
  return Long.fromBits(readWord(key, 4), readWord(key, 0), true);
}

/**
 * Writes the key of one frame in place, exactly and without allocating:
 * 2^32 seconds are 4.3e15 microseconds, below the 9.0e15 that a double holds exactly.
 *
 * @param target receives 8 bytes at `offset`
 * @param seconds u32, as in a frame header
 * @param microseconds u32; above 999,999 it carries into the seconds
 */
export function writeCaptureKey(
  target: Uint8Array,
  offset: number,
  seconds: number,
  microseconds: number,
): void {
  const total = seconds * 1_000_000 + microseconds;
  const high = Math.floor(total / TWO_POW_32);
  const low = (total - high * TWO_POW_32) | 0;
  target[offset] = high >>> 24;
  target[offset + 1] = high >>> 16;
  target[offset + 2] = high >>> 8;
  target[offset + 3] = high;
  target[offset + 4] = low >>> 24;
  target[offset + 5] = low >>> 16;
  target[offset + 6] = low >>> 8;
  target[offset + 7] = low;
}

/**
 * Reads a key in place, exactly and without allocating.
 *
 * @param source holds 8 bytes at `offset`; the caller has checked the length
 * @returns microseconds since the epoch; -1 when above Number.MAX_SAFE_INTEGER (the year 2255),
 *   which no frame header can hold. Seconds are `Math.floor(result / 1e6)` and may still be above
 *   a u32 (the year 2106): the caller checks that against its output format.
 */
export function readCaptureKey(source: Uint8Array, offset: number): number {
  const high = readWord(source, offset) >>> 0;
  if (high > MAX_SAFE_HIGH_WORD) return -1;
  return high * TWO_POW_32 + (readWord(source, offset + 4) >>> 0);
}

function readWord(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
