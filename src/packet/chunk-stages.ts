import {
  FRAME_HEADER_BYTES,
  forEachFrame,
  readHeaderWord,
  writeHeaderWord,
  type FrameChunk,
} from "./frame-chunk.ts";

/*
 * Stages map a chunk to a chunk. A stage that has nothing to change returns the chunk it was given;
 * one that must change bytes makes a new buffer, once for a chunk and never for a frame.
 */

/**
 * Keeps the first frames of a chunk.
 *
 * @param count how many, 0 or more
 * @returns a view on the same bytes; the chunk itself when it has no more frames than that
 */
export function takeFrames(chunk: FrameChunk, count: number): FrameChunk {
  if (count >= chunk.frameCount) return chunk;
  const end = positionOfFrame(chunk, count);
  return {
    ...chunk,
    bytes: chunk.bytes.subarray(0, end),
    frameCount: count,
    ...(chunk.interfaceOf && { interfaceOf: chunk.interfaceOf.subarray(0, count) }),
  };
}

/**
 * Leaves out the first frames of a chunk.
 *
 * @param count how many, 0 or more
 * @returns a view on the same bytes; the chunk itself when nothing is left out
 */
export function dropFrames(chunk: FrameChunk, count: number): FrameChunk {
  if (count <= 0) return chunk;
  const start = positionOfFrame(chunk, Math.min(count, chunk.frameCount));
  return {
    ...chunk,
    bytes: chunk.bytes.subarray(start),
    frameCount: Math.max(0, chunk.frameCount - count),
    ...(chunk.interfaceOf && { interfaceOf: chunk.interfaceOf.subarray(count) }),
  };
}

/** Where a frame begins in a chunk; behind the last one: where they end. */
export interface FramePosition {
  readonly frame: number;
  /** Byte of its header. */
  readonly offset: number;
}

/**
 * Keeps the frames between two positions that are known.
 *
 * @param start of the first one kept
 * @param end of the first one behind them
 * @returns a view on the same bytes; the chunk itself when that is all of it
 */
export function sliceFrames(
  chunk: FrameChunk,
  start: FramePosition,
  end: FramePosition,
): FrameChunk {
  const frameCount = end.frame - start.frame;
  if (frameCount === chunk.frameCount) return chunk;
  const { bytes, interfaceOf } = chunk;
  return {
    ...chunk,
    bytes: bytes.subarray(start.offset, end.offset),
    frameCount,
    ...(interfaceOf && { interfaceOf: interfaceOf.subarray(start.frame, end.frame) }),
  };
}

/**
 * Cuts frames to a length, as a capture with that snaplen would have; wire lengths stay.
 *
 * @param snapLengthBytes at least 1; also becomes the snaplen of the chunk's interfaces
 * @returns the same chunk when no frame is longer
 */
export function cutFrames(chunk: FrameChunk, snapLengthBytes: number): FrameChunk {
  let length = 0;
  forEachFrame(chunk, (_start, capturedLength) => {
    length += FRAME_HEADER_BYTES + Math.min(capturedLength, snapLengthBytes);
  });
  const interfaces = chunk.interfaces.every((each) => each.snapLengthBytes <= snapLengthBytes)
    ? chunk.interfaces
    : chunk.interfaces.map((each) => ({
        ...each,
        snapLengthBytes: Math.min(each.snapLengthBytes, snapLengthBytes),
      }));
  if (length === chunk.bytes.length) {
    return interfaces === chunk.interfaces ? chunk : { ...chunk, interfaces };
  }

  const bytes = Buffer.allocUnsafe(length);
  let at = 0;
  forEachFrame(chunk, (start, capturedLength) => {
    const kept = Math.min(capturedLength, snapLengthBytes);
    chunk.bytes.copy(bytes, at, start - FRAME_HEADER_BYTES, start + kept);
    writeHeaderWord(bytes, at + 8, kept, chunk.bigEndian);
    at += FRAME_HEADER_BYTES + kept;
  });
  return { ...chunk, bytes, interfaces };
}

/**
 * Keeps the frames of one link type: what a pcap file, which has only one, can hold.
 *
 * @param linkType LINKTYPE_ number
 * @returns the same chunk when all its frames are of that type
 */
export function keepLinkType(chunk: FrameChunk, linkType: number): FrameChunk {
  const { interfaces, interfaceOf } = chunk;
  const isKept = interfaces.map((each) => each.linkType === linkType);
  if (interfaceOf === undefined) return isKept[0] === true ? chunk : takeFrames(chunk, 0);
  if (isKept.every(Boolean)) return chunk;
  const verdicts = new Uint8Array(chunk.frameCount);
  for (let index = 0; index < verdicts.length; index++) {
    if (isKept[interfaceOf[index]!] === true) verdicts[index] = 1;
  }
  return keepFrames(chunk, verdicts);
}

/**
 * Keeps the frames that something else has chosen.
 *
 * @param verdicts for each frame 1 or 0; may go on behind the last
 * @returns the same chunk when all its frames are kept
 */
export function keepFrames(chunk: FrameChunk, verdicts: Uint8Array): FrameChunk {
  const { interfaceOf, frameCount } = chunk;
  let kept = 0;
  for (let index = 0; index < frameCount; index++) kept += verdicts[index]!;
  if (kept === frameCount) return chunk;
  if (kept === 0) return takeFrames(chunk, 0);

  const bytes = Buffer.allocUnsafe(chunk.bytes.length);
  let length = 0;
  forEachFrame(chunk, (start, capturedLength, _wire, _seconds, _fraction, index) => {
    if (verdicts[index] !== 1) return;
    length += chunk.bytes.copy(bytes, length, start - FRAME_HEADER_BYTES, start + capturedLength);
  });
  return {
    ...chunk,
    bytes: bytes.subarray(0, length),
    frameCount: kept,
    ...(interfaceOf && {
      interfaceOf: interfaceOf.subarray(0, frameCount).filter((_, index) => verdicts[index] === 1),
    }),
  };
}

/**
 * Turns frame headers into little-endian ones of the wanted precision.
 *
 * @param nanosecond whether the result's fractions count nanoseconds; going down to microseconds
 *   drops what is below one
 * @returns the same chunk when it is that already
 */
export function toLittleEndian(chunk: FrameChunk, nanosecond: boolean): FrameChunk {
  if (!chunk.bigEndian && chunk.nanosecond === nanosecond) return chunk;
  const bytes = Buffer.from(chunk.bytes);
  forEachFrame(chunk, (start, capturedLength, wireLength, seconds, fraction) => {
    const header = start - FRAME_HEADER_BYTES;
    let converted = fraction;
    if (nanosecond && !chunk.nanosecond) converted = fraction * 1000;
    if (!nanosecond && chunk.nanosecond) converted = Math.floor(fraction / 1000);
    writeHeaderWord(bytes, header, seconds, false);
    writeHeaderWord(bytes, header + 4, converted, false);
    writeHeaderWord(bytes, header + 8, capturedLength, false);
    writeHeaderWord(bytes, header + 12, wireLength, false);
  });
  return { ...chunk, bytes, bigEndian: false, nanosecond };
}

function positionOfFrame(chunk: FrameChunk, index: number): number {
  let at = 0;
  for (let passed = 0; passed < index; passed++) {
    at += FRAME_HEADER_BYTES + readHeaderWord(chunk.bytes, at + 8, chunk.bigEndian);
  }
  return at;
}
