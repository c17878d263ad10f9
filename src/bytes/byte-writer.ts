/**
 * Writes big-endian values one after another into a buffer that grows.
 * For requests, which are small; frames are written in place elsewhere.
 */
export class ByteWriter {
  #bytes: Buffer;
  #length = 0;

  constructor(initialBytes = 256) {
    this.#bytes = Buffer.allocUnsafe(initialBytes);
  }

  /** What was written so far, as a view. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  get length(): number {
    return this.#length;
  }

  #reserve(count: number): number {
    const start = this.#length;
    if (start + count > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, start + count));
      this.#bytes.copy(larger, 0, 0, start);
      this.#bytes = larger;
    }
    this.#length = start + count;
    return start;
  }

  writeInt8(value: number): this {
    const at = this.#reserve(1);
    this.#bytes.writeInt8(value, at);
    return this;
  }

  writeInt16(value: number): this {
    const at = this.#reserve(2);
    this.#bytes.writeInt16BE(value, at);
    return this;
  }

  writeInt32(value: number): this {
    const at = this.#reserve(4);
    this.#bytes.writeInt32BE(value, at);
    return this;
  }

  writeInt64(value: bigint): this {
    const at = this.#reserve(8);
    this.#bytes.writeBigInt64BE(value, at);
    return this;
  }

  /** STRING: 16-bit length, then UTF-8. */
  writeString(value: string): this {
    const size = Buffer.byteLength(value);
    this.writeInt16(size);
    const at = this.#reserve(size);
    this.#bytes.write(value, at);
    return this;
  }

  /** NULLABLE_STRING: null is length -1. */
  writeNullableString(value: string | null): this {
    return value === null ? this.writeInt16(-1) : this.writeString(value);
  }

  /** BYTES: 32-bit length, then the bytes. */
  writeBytes(value: Uint8Array): this {
    this.writeInt32(value.length);
    const at = this.#reserve(value.length);
    this.#bytes.set(value, at);
    return this;
  }

  /** The bytes as they are, without a length. */
  writeRaw(value: Uint8Array): this {
    const at = this.#reserve(value.length);
    this.#bytes.set(value, at);
    return this;
  }

  /** UNSIGNED_VARINT: seven bits a byte, lowest first, of 0 to 2^32 - 1. */
  writeUnsignedVarint(value: number): this {
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#reserve(1)] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#reserve(1)] = rest;
    return this;
  }
}
