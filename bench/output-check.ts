import { closeSync, openSync, readSync, statSync } from "node:fs";

/** What a reader has written. */
export interface OutputCount {
  /** Frames of a whole pcap file; undefined when it is none, is cut, or holds raw bytes. */
  readonly frames: number | undefined;
  /** Bytes of all frames. */
  readonly frameBytes: number;
}

const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
const WINDOW_BYTES = 4 << 20;

/** Counts the frames of a little-endian pcap file with microseconds. */
export function countFrames(file: string): OutputCount {
  const input = openSync(file, "r");
  const window = Buffer.alloc(WINDOW_BYTES);
  let [frames, frameBytes, position] = [0, 0, FILE_HEADER_BYTES];
  try {
    const header = readSync(input, window, 0, FILE_HEADER_BYTES, 0);
    if (header !== FILE_HEADER_BYTES || window.readUInt32LE(0) !== 0xa1b2c3d4) {
      return { frames: undefined, frameBytes };
    }
    for (;;) {
      const bytes = readSync(input, window, 0, window.length, position);
      if (bytes === 0) return { frames, frameBytes };
      let at = 0;
      while (at + RECORD_HEADER_BYTES <= bytes) {
        const length = window.readUInt32LE(at + 8);
        const next = at + RECORD_HEADER_BYTES + length;
        if (next > bytes) break;
        at = next;
        frameBytes += length;
        frames++;
      }
      if (at === 0) return { frames: undefined, frameBytes };
      position += at;
    }
  } finally {
    closeSync(input);
  }
}

/** What is wrong with a reader's output; undefined when every byte of every frame is there. */
export function faultOfOutput(
  file: string,
  raw: boolean,
  expected: { readonly frames: number; readonly frameBytes: number },
): string | undefined {
  const found = raw ? { frames: undefined, frameBytes: statSync(file).size } : countFrames(file);
  if (!raw && found.frames !== expected.frames) {
    return `${found.frames ?? "not pcap, or cut, no"} frames in the output, not ${expected.frames}`;
  }
  if (found.frameBytes === expected.frameBytes) return undefined;
  return `${found.frameBytes} bytes of frames in the output, not ${expected.frameBytes}`;
}
