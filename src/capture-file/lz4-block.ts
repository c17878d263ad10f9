/*
 * LZ4 Block Format Description:
 *
 *   sequence:  token u8 (literals 4 bits, match length - 4 4 bits), [literals: 255 …, n], literals,
 *              offset u16, [match length: 255 …, n]
 *   The last sequence ends behind its literals.
 */

/**
 * Decodes one LZ4 block.
 *
 * @param block the compressed bytes
 * @param output holds what a match may refer to from `historyStart` on, and receives the block at `start`
 * @param limit no byte is written from here on
 * @returns where the block ends in `output`; -1 when it is damaged or larger than that
 */
export function decodeLz4Block(
  block: Uint8Array,
  output: Buffer,
  historyStart: number,
  start: number,
  limit: number,
): number {
  const end = block.length;
  let at = 0;
  let out = start;
  while (at < end) {
    const token = block[at++]!;
    let literals = token >>> 4;
    if (literals === 15) {
      let more: number;
      do {
        if (at >= end) return -1;
        literals += more = block[at++]!;
      } while (more === 255);
    }
    if (at + literals > end || out + literals > limit) return -1;
    // A call costs more than a few bytes do.
    if (literals <= 16) for (let n = 0; n < literals; n++) output[out + n] = block[at + n]!;
    else output.set(block.subarray(at, at + literals), out);
    at += literals;
    out += literals;
    if (at === end) return out;
    if (at + 2 > end) return -1;
    const offset = block[at]! | (block[at + 1]! << 8);
    at += 2;
    const from = out - offset;
    if (offset === 0 || from < historyStart) return -1;
    let length = (token & 15) + 4;
    if (length === 19) {
      let more: number;
      do {
        if (at >= end) return -1;
        length += more = block[at++]!;
      } while (more === 255);
    }
    if (out + length > limit) return -1;
    if (length > 32 && offset >= length) output.copyWithin(out, from, from + length);
    else for (let n = 0; n < length; n++) output[out + n] = output[from + n]!;
    out += length;
  }
  return -1;
}
