/** Bytes in front of every frame of a chunk; the record header of a pcap file. */
export const FRAME_HEADER_BYTES = 16;

/** Longest frame that is carried: libpcap's MAXIMUM_SNAPLEN. */
export const MAX_FRAME_BYTES = 262_144;

/** Where frames were captured. */
export interface CaptureInterface {
  /** Host or probe name; "" when not known. */
  readonly sensor: string;
  /** Interface name; "" when not known. */
  readonly name: string;
  /** LINKTYPE_ number as in a capture file (not a DLT_ number). */
  readonly linkType: number;
  /** Frames longer than this were cut. */
  readonly snapLengthBytes: number;
}

/**
 * Many frames in one buffer: the unit that sources hand over, stages map and
 * sinks write. A frame is never an object on its way through.
 *
 * ```
 *  bytes   ┌─────────┬──────────┬────────────┬────────────┬──────────────┬─ ─
 *          │ seconds │ fraction │ captured   │ wire       │ frame bytes  │ next frame …
 *          │ u32     │ u32      │ length u32 │ length u32 │ …            │
 *          └─────────┴──────────┴────────────┴────────────┴──────────────┴─ ─
 * ```
 *
 * The header is that of a pcap file (draft-ietf-opsawg-pcap): `bigEndian` says
 * its byte order, `nanosecond` whether `fraction` counts nanoseconds or
 * microseconds. Frames are whole: `bytes` ends with the end of its last frame,
 * captured lengths are at most {@link MAX_FRAME_BYTES}, fractions are below one
 * second, and both were checked by whoever made the chunk. The receiver may use `bytes` until it takes the next
 * chunk from the same source; who keeps a frame longer copies it.
 */
export interface FrameChunk {
  readonly bytes: Buffer;
  readonly frameCount: number;
  readonly bigEndian: boolean;
  readonly nanosecond: boolean;
  /** At least one entry when there is a frame. */
  readonly interfaces: readonly CaptureInterface[];
  /** Entry of `interfaces` for each frame; absent when all are of entry 0. */
  readonly interfaceOf?: Uint16Array;
}

/** Receives one frame of a chunk; `start` is where its bytes begin in `chunk.bytes`. */
export type FrameVisitor = (
  start: number,
  capturedLength: number,
  wireLength: number,
  seconds: number,
  fraction: number,
  index: number,
) => void;

/**
 * Calls `visit` for every frame of a chunk, in order, without allocating.
 *
 * @param chunk whole frames, checked by its maker
 * @param visit gets positions and header fields; the bytes stay in `chunk.bytes`
 */
export function forEachFrame(chunk: FrameChunk, visit: FrameVisitor): void {
  const { bytes, frameCount, bigEndian } = chunk;
  let at = 0;
  for (let index = 0; index < frameCount; index++) {
    const seconds = readHeaderWord(bytes, at, bigEndian);
    const fraction = readHeaderWord(bytes, at + 4, bigEndian);
    const capturedLength = readHeaderWord(bytes, at + 8, bigEndian);
    const wireLength = readHeaderWord(bytes, at + 12, bigEndian);
    at += FRAME_HEADER_BYTES;
    visit(at, capturedLength, wireLength, seconds, fraction, index);
    at += capturedLength;
  }
}

/**
 * Captured bytes of the frames of a chunk, without their headers.
 *
 * @param chunk whole frames
 */
export function frameBytesOf({ bytes, frameCount }: FrameChunk): number {
  return bytes.length - frameCount * FRAME_HEADER_BYTES;
}

/**
 * Reads one u32 of a frame header.
 *
 * @param at position of the field: 0 seconds, 4 fraction, 8 captured length, 12 wire length, each
 *   from the start of the header
 */
export function readHeaderWord(bytes: Uint8Array, at: number, bigEndian: boolean): number {
  const a = bytes[at]!;
  const b = bytes[at + 1]!;
  const c = bytes[at + 2]!;
  const d = bytes[at + 3]!;
  return bigEndian
    ? ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
    : ((d << 24) | (c << 16) | (b << 8) | a) >>> 0;
}

/** Writes one u32 of a frame header; the inverse of {@link readHeaderWord}. */
export function writeHeaderWord(
  bytes: Uint8Array,
  at: number,
  value: number,
  bigEndian: boolean,
): void {
  bytes[bigEndian ? at + 3 : at] = value;
  bytes[bigEndian ? at + 2 : at + 1] = value >>> 8;
  bytes[bigEndian ? at + 1 : at + 2] = value >>> 16;
  bytes[bigEndian ? at : at + 3] = value >>> 24;
}
