import type { ByteSource } from "./byte-source.ts";

/** Read ahead: compressed blocks are small, and each read of a file costs a turn of the event loop. */
const READ_AHEAD_BYTES = 256 * 1024;

/** A source that is read in exact pieces. */
export class ByteWindow {
  readonly #source: ByteSource;
  #buffer = Buffer.allocUnsafeSlow(READ_AHEAD_BYTES);
  #start = 0;
  #end = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /**
   * Takes the next bytes.
   *
   * @param length at least 1; the memory for them is kept, so the caller bounds it
   * @returns a view, valid until the next `take`; undefined when the source ends before that, and
   *   nothing is taken then
   */
  async take(length: number): Promise<Buffer | undefined> {
    if (!(await this.#fill(length))) return undefined;
    const taken = this.#buffer.subarray(this.#start, this.#start + length);
    this.#start += length;
    return taken;
  }

  /** @returns true when nothing is left */
  async isAtEnd(): Promise<boolean> {
    return !(await this.#fill(1));
  }

  /**
   * Passes over bytes, however many, without keeping them.
   *
   * @returns false when the source ends before that
   */
  async skip(length: number): Promise<boolean> {
    for (let left = length; left > 0;) {
      const piece = Math.min(left, READ_AHEAD_BYTES);
      if ((await this.take(piece)) === undefined) return false;
      left -= piece;
    }
    return true;
  }

  async #fill(length: number): Promise<boolean> {
    if (this.#end - this.#start >= length) return true;
    if (length > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(length + READ_AHEAD_BYTES);
      this.#buffer.copy(larger, 0, this.#start, this.#end);
      this.#buffer = larger;
    } else {
      this.#buffer.copyWithin(0, this.#start, this.#end);
    }
    this.#end -= this.#start;
    this.#start = 0;
    while (this.#end < length) {
      const read = await this.#source.readInto(this.#buffer.subarray(this.#end));
      if (read === 0) return false;
      this.#end += read;
    }
    return true;
  }

  close(): Promise<void> {
    return this.#source.close();
  }
}
