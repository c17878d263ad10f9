import { countWholeFrames, type CaptureFormat } from "./capture-writer.ts";
import type { CompressedOutput } from "./compressed-output.ts";
import type { FileOutput } from "./file-output.ts";

interface WaitingFrames {
  /** Bytes up to behind them, before compression. */
  readonly behind: number;
  readonly frames: number;
}

/**
 * Knows how many of the frames that an output took are not in it, or how many more are, once a write of
 * it has failed: those that waited for compression, and those of the last write that found room.
 */
export class FrameTally {
  readonly #fileType: CaptureFormat["fileType"];
  readonly #file: FileOutput | undefined;
  readonly #compressed: CompressedOutput | undefined;
  #waiting: WaitingFrames[] = [];

  /**
   * @param file behind the output, if it is one
   * @param compressed what stands between
   */
  constructor(
    fileType: CaptureFormat["fileType"],
    file: FileOutput | undefined,
    compressed: CompressedOutput | undefined,
  ) {
    this.#fileType = fileType;
    this.#file = file;
    this.#compressed = compressed;
  }

  /** So many frames were taken. */
  took(frames: number): void {
    if (this.#compressed === undefined) return;
    const { takenBytes, outBytes } = this.#compressed;
    this.#waiting = this.#waiting.filter(({ behind }) => behind > outBytes);
    this.#waiting.push({ behind: takenBytes, frames });
  }

  /** After a failure: frames that are in the file and were not told as taken, less those that are not in it. */
  settle(): number {
    const { outBytes = 0 } = this.#compressed ?? {};
    const lost = this.#waiting
      .filter(({ behind }) => behind > outBytes)
      .reduce((sum, { frames }) => sum + frames, 0);
    this.#waiting = [];
    const torn = this.#file?.torn;
    if (torn === undefined || this.#compressed !== undefined) return -lost;
    return countWholeFrames(this.#fileType, torn).frames;
  }
}
