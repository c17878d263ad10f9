import type { FrameChunk } from "../../src/packet/frame-chunk.ts";

const FIRST_SECOND = 1_700_000_000;

/** Ethernet frames whose last four bytes are their number; the conversation is number % flows. */
export function numberedFrames(first: number, count: number, flows = 5): FrameChunk {
  const frames: Buffer[] = [];
  for (let number = first; number < first + count; number++) {
    const frame = Buffer.alloc(16 + 14 + 20 + 8 + 4);
    frame.writeUInt32LE(FIRST_SECOND, 0);
    frame.writeUInt32LE(number, 4);
    frame.writeUInt32LE(frame.length - 16, 8);
    frame.writeUInt32LE(frame.length - 16, 12);
    frame.writeUInt16BE(0x0800, 16 + 12);
    frame[30] = 0x45;
    frame.writeUInt16BE(32, 32);
    frame[39] = 17;
    frame.writeUInt32BE(0x0a000001, 42);
    frame.writeUInt32BE(0x0a000002, 46);
    frame.writeUInt16BE(1000 + (number % flows), 50);
    frame.writeUInt16BE(53, 52);
    frame.writeUInt32BE(number, frame.length - 4);
    frames.push(frame);
  }
  return {
    bytes: Buffer.concat(frames),
    frameCount: count,
    bigEndian: false,
    nanosecond: false,
    interfaces: [{ sensor: "", name: "", linkType: 1, snapLengthBytes: 262_144 }],
  };
}

/** The number of a frame of {@link numberedFrames}. */
export const numberOf = (value: Buffer): number => value.readUInt32BE(value.length - 4);

/** The same, by the capture time in microseconds since the epoch. */
export const numberOfCaptureTime = (micros: number): number => micros - FIRST_SECOND * 1_000_000;

/** mulberry32: the rounds can be run again from their seed. */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
