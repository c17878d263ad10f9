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
 * captured lengths are at most {@link MAX_FRAME_BYTES} and were checked by
 * whoever made the chunk. The receiver may use `bytes` until it takes the next
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
