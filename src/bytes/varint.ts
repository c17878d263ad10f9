/**
 * Variable-length integers as record batches use them: zigzag, then seven bits
 * a byte, lowest first, the top bit set on all bytes but the last. Values are
 * plain numbers, exact up to ±2^53; no call allocates.
 *
 * Source: Kafka protocol guide, "Protocol Primitive Types", VARINT and VARLONG.
 */

const TWO_POW_28 = 0x1000_0000;

/**
 * Bytes that {@link writeVarint} needs.
 *
 * @param value safe integer
 * @returns 1 to 8
 */
export function sizeOfVarint(value: number): number {
  if (value >= -64 && value < 64) return 1;
  if (value >= -8192 && value < 8192) return 2;
  if (value >= -1_048_576 && value < 1_048_576) return 3;
  // Zigzag of anything longer does not fit the 32-bit operators in all cases.
  let zigzag = value < 0 ? -2 * value - 1 : 2 * value;
  let size = 1;
  while (zigzag >= 128) {
    zigzag = Math.floor(zigzag / 128);
    size++;
  }
  return size;
}

/**
 * Writes one integer.
 *
 * @param target bytes to write to; must have room for `sizeOfVarint(value)`
 * @param offset where to write
 * @param value safe integer, at most 2^52 - 1 in magnitude
 * @returns offset behind the last byte written
 */
export function writeVarint(target: Uint8Array, offset: number, value: number): number {
  let zigzag = value < 0 ? -2 * value - 1 : 2 * value;
  while (zigzag >= TWO_POW_28) {
    target[offset++] = (zigzag % 128) | 0x80;
    zigzag = Math.floor(zigzag / 128);
  }
  let rest = zigzag | 0;
  while (rest >= 128) {
    target[offset++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[offset++] = rest;
  return offset;
}
