import { PcaptsError } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { CompressedBytesError } from "./compressed-bytes.ts";

/** The bytes of one capture file with what an error about them has to say: name, place, frames before. */
export class CaptureBytes {
  readonly name: string;
  /** Whole frames that were handed over. */
  framesRead = 0;
  readonly #source: ByteSource;

  /**
   * @param source stands at the first byte of the capture, decompressed
   * @param name for messages, as in `Cannot read "name": …`
   */
  constructor(source: ByteSource, name: string) {
    this.#source = source;
    this.name = name;
  }

  /**
   * Waits for bytes.
   *
   * @param target at least 1 byte long
   * @param at position in the capture of the bytes that come, for messages
   * @returns how many came; 0 at the end
   * @throws PcaptsError FILE_NOT_READABLE when reading fails, FILE_CUT when what holds the capture is
   *   compressed and damaged
   */
  async read(target: Uint8Array, at: number): Promise<number> {
    try {
      return await this.#source.readInto(target);
    } catch (cause) {
      throw this.notRead(cause, at);
    }
  }

  /**
   * Reading failed.
   *
   * @param cause what was thrown
   * @param at as in {@link read}
   */
  notRead(cause: unknown, at: number): PcaptsError {
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (cause instanceof CompressedBytesError) {
      return new PcaptsError(
        "FILE_CUT",
        `Cannot read "${this.name}" to its end: it is compressed by ${cause.compression}, and that ` +
          `is damaged behind byte ${at} of the capture (${reason}); ${this.#framesBefore()}`,
        { cause },
      );
    }
    return new PcaptsError("FILE_NOT_READABLE", `Cannot read "${this.name}": ${reason}`, {
      cause,
    });
  }

  /** @param phrase for what is wrong: `it is empty` */
  notACapture(phrase: string): PcaptsError {
    return new PcaptsError("FILE_NOT_A_CAPTURE", `Cannot read "${this.name}": ${phrase}`);
  }

  /**
   * The file ends too early.
   *
   * @param at its length
   * @param where `in the middle of frame 3`
   */
  cut(at: number, where: string): PcaptsError {
    return new PcaptsError(
      "FILE_CUT",
      `Cannot read "${this.name}" to its end: it is cut at byte ${at}, ${where}; ${this.#framesBefore()}`,
    );
  }

  /**
   * The file says what cannot be.
   *
   * @param at where that begins
   * @param what `frame 3 claims 4294967295 bytes (the most is 262144)`
   */
  damaged(at: number, what: string): PcaptsError {
    return new PcaptsError(
      "FILE_CUT",
      `Cannot read "${this.name}" to its end: it is damaged at byte ${at}, where ${what}; ` +
        this.#framesBefore(),
    );
  }

  #framesBefore(): string {
    if (this.framesRead === 0) return "no whole frame comes before it";
    if (this.framesRead === 1) return "the whole frame before it was read";
    return `the ${this.framesRead} whole frames before it were read`;
  }
}
