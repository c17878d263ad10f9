import { FRAME_HEADER_BYTES, forEachFrame, type FrameChunk } from "../packet/frame-chunk.ts";
import { takeFrames } from "../packet/chunk-stages.ts";
import type { CaptureLimits } from "./pipeline-options.ts";

const PCAP_FILE_HEADER_BYTES = 24;

/** Ends a capture after so many frames, or when a pcap file of its frames has reached a size. */
export class CaptureLimit {
  readonly #frames: number;
  readonly #bytes: number;
  #framesLeft: number;
  #bytesLeft: number;

  /**
   * @param maxPackets frames; 0 is no limit
   * @param limits the other limits, of which the one that is reached first counts
   */
  constructor(maxPackets: number, limits: CaptureLimits) {
    this.#frames = Math.min(maxPackets === 0 ? Infinity : maxPackets, limits.packets ?? Infinity);
    this.#bytes = (limits.fileBytes ?? Infinity) - PCAP_FILE_HEADER_BYTES;
    this.#framesLeft = this.#frames;
    this.#bytesLeft = this.#bytes;
  }

  /** True when there is nothing more to take. */
  get isReached(): boolean {
    return this.#framesLeft <= 0 || this.#bytesLeft <= 0;
  }

  /** How near the nearest limit is, 0 to 1; undefined without limits. */
  get share(): number | undefined {
    const shares = [
      ...(this.#frames === Infinity ? [] : [1 - this.#framesLeft / this.#frames]),
      ...(this.#bytes === Infinity ? [] : [1 - this.#bytesLeft / this.#bytes]),
    ];
    return shares.length === 0 ? undefined : Math.max(...shares);
  }

  /**
   * Takes the frames of a chunk that are within the limits. The frame that makes the file reach its
   * size is the last, as in dumpcap: a frame is never cut.
   *
   * @returns the chunk itself when all of it is
   */
  take(chunk: FrameChunk): FrameChunk {
    const count = Math.min(this.#framesLeft, this.#countFramesOfSize(chunk));
    const taken = takeFrames(chunk, count);
    this.#framesLeft -= taken.frameCount;
    this.#bytesLeft -= taken.bytes.length;
    return taken;
  }

  /** A chunk's frames take exactly as many bytes in a pcap file. */
  #countFramesOfSize(chunk: FrameChunk): number {
    if (chunk.bytes.length < this.#bytesLeft) return chunk.frameCount;
    let count = 0;
    let bytes = 0;
    forEachFrame(chunk, (_start, capturedLength) => {
      if (bytes >= this.#bytesLeft) return;
      bytes += FRAME_HEADER_BYTES + capturedLength;
      count++;
    });
    return count;
  }
}
