const PRIME_1 = 0x9e37_79b1;
const PRIME_2 = 0x85eb_ca77;
const PRIME_3 = 0xc2b2_ae3d;
const PRIME_4 = 0x27d4_eb2f;
const PRIME_5 = 0x1656_67b1;

/** Bytes that are taken in at once. */
const STRIPE_BYTES = 16;

/**
 * XXH32 with seed 0, the checksum of LZ4 frames, over bytes that come in pieces.
 * Source: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
 */
export class XxHash32 {
  #a = (PRIME_1 + PRIME_2) | 0;
  #b = PRIME_2 | 0;
  #c = 0;
  #d = -PRIME_1 | 0;
  #length = 0;
  readonly #rest = Buffer.alloc(STRIPE_BYTES);
  #restBytes = 0;

  update(bytes: Uint8Array): this {
    this.#length += bytes.length;
    let at = 0;
    if (this.#restBytes > 0) {
      const taken = Math.min(STRIPE_BYTES - this.#restBytes, bytes.length);
      this.#rest.set(bytes.subarray(0, taken), this.#restBytes);
      this.#restBytes += taken;
      at = taken;
      if (this.#restBytes < STRIPE_BYTES) return this;
      this.#mix(this.#rest, 0, STRIPE_BYTES);
    }
    const end = at + Math.floor((bytes.length - at) / STRIPE_BYTES) * STRIPE_BYTES;
    this.#mix(bytes, at, end);
    this.#rest.set(bytes.subarray(end));
    this.#restBytes = bytes.length - end;
    return this;
  }

  /** @returns the hash of all that came so far, a u32 */
  digest(): number {
    let hash =
      this.#length >= STRIPE_BYTES
        ? rotate(this.#a, 1) + rotate(this.#b, 7) + rotate(this.#c, 12) + rotate(this.#d, 18)
        : PRIME_5;
    hash = (hash + this.#length) | 0;
    let at = 0;
    for (; at + 4 <= this.#restBytes; at += 4) {
      const mixed = hash + Math.imul(readWord(this.#rest, at), PRIME_3);
      hash = Math.imul(rotate(mixed, 17), PRIME_4);
    }
    for (; at < this.#restBytes; at++) {
      const mixed = hash + Math.imul(this.#rest[at]!, PRIME_5);
      hash = Math.imul(rotate(mixed, 11), PRIME_1);
    }
    hash = Math.imul(hash ^ (hash >>> 15), PRIME_2);
    hash = Math.imul(hash ^ (hash >>> 13), PRIME_3);
    return (hash ^ (hash >>> 16)) >>> 0;
  }

  #mix(bytes: Uint8Array, start: number, end: number): void {
    let a = this.#a;
    let b = this.#b;
    let c = this.#c;
    let d = this.#d;
    for (let at = start; at < end; at += STRIPE_BYTES) {
      a = Math.imul(rotate(a + Math.imul(readWord(bytes, at), PRIME_2), 13), PRIME_1);
      b = Math.imul(rotate(b + Math.imul(readWord(bytes, at + 4), PRIME_2), 13), PRIME_1);
      c = Math.imul(rotate(c + Math.imul(readWord(bytes, at + 8), PRIME_2), 13), PRIME_1);
      d = Math.imul(rotate(d + Math.imul(readWord(bytes, at + 12), PRIME_2), 13), PRIME_1);
    }
    this.#a = a;
    this.#b = b;
    this.#c = c;
    this.#d = d;
  }
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function readWord(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}
