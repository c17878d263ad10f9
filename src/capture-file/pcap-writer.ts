import type { Writable } from "node:stream";
import { toLittleEndian } from "../packet/chunk-stages.ts";
import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES, type FrameChunk } from "../packet/frame-chunk.ts";
import { encodePcapHeader, writePcapRecordHeader, type PcapFileOptions } from "./pcap-format.ts";

export { encodePcapHeader, writePcapRecordHeader, type PcapFileOptions } from "./pcap-format.ts";
export type { CaptureInterface, FrameChunk } from "../packet/frame-chunk.ts";

const NANOSECONDS_PER_SECOND = 1_000_000_000n;

/** One frame for {@link PcapWriter.write} and {@link encodePcapRecord}. */
export interface PcapFrame {
  /** Captured bytes, link-layer header first; 0 to 262,144 of them. */
  readonly bytes: Uint8Array;
  /** Since the epoch: 0 to 2^32 - 1 seconds. A microsecond file drops what is below one. */
  readonly timestampNs: bigint;
  /** Bytes that the frame had on the wire. Default: as many as were captured. */
  readonly wireLength?: number;
}

/**
 * Encodes one frame as a record of a pcap file.
 *
 * @param nanosecond whether the file's header said nanoseconds
 * @returns 16 bytes of header, little-endian, and the frame
 * @throws RangeError when the time does not fit a pcap file (1970 to 2106), or the frame is too long
 */
export function encodePcapRecord(frame: PcapFrame, nanosecond = false): Buffer {
  const { bytes, timestampNs, wireLength = bytes.length } = frame;
  const seconds = Number(timestampNs / NANOSECONDS_PER_SECOND);
  if (timestampNs < 0n || seconds > 0xffff_ffff) {
    throw new RangeError(
      `Cannot write a frame of time ${timestampNs} ns: a pcap file holds 1970 to 2106`,
    );
  }
  if (bytes.length > MAX_FRAME_BYTES) {
    throw new RangeError(
      `Cannot write a frame of ${bytes.length} bytes: a pcap file holds ${MAX_FRAME_BYTES}`,
    );
  }
  const nanoseconds = Number(timestampNs % NANOSECONDS_PER_SECOND);
  const fraction = nanosecond ? nanoseconds : Math.floor(nanoseconds / 1000);
  const record = Buffer.allocUnsafe(FRAME_HEADER_BYTES + bytes.length);
  writePcapRecordHeader(record, 0, seconds, fraction, bytes.length, wireLength);
  record.set(bytes, FRAME_HEADER_BYTES);
  return record;
}

/**
 * Encodes a whole capture in memory.
 *
 * @param frames in the order of the file
 * @param options as for {@link PcapWriter}
 * @returns the bytes of a pcap file
 * @throws RangeError as {@link encodePcapRecord}
 */
export function encodePcap(
  frames: Iterable<PcapFrame>,
  options: Partial<PcapFileOptions> = {},
): Buffer {
  const { nanosecond = false } = options;
  const parts = [encodePcapHeader(withDefaults(options))];
  for (const frame of frames) parts.push(encodePcapRecord(frame, nanosecond));
  return Buffer.concat(parts);
}

/**
 * Writes a classic capture file, little-endian, to any stream. The file's header goes out at once, so
 * that Wireshark and tshark attach to a pipe before the first frame.
 *
 * ```ts
 * import { createWriteStream } from "node:fs";
 * import { PcapWriter } from "pcapts/pcap-writer";
 *
 * const writer = new PcapWriter(createWriteStream("out.pcap"), { linkType: 1 });
 * const bytes = Buffer.from("ffffffffffff02000000000108004500", "hex");
 * writer.write({ bytes, timestampNs: BigInt(Date.now()) * 1_000_000n });
 * await writer.end();
 * ```
 *
 * When the stream fails, every call from then on fails with the stream's own error (its `code` is
 * EPIPE when a reader went away), so a caller that awaits `end()` cannot miss it.
 */
export class PcapWriter {
  /** Whether fractions count nanoseconds (`nsecpcap`), else microseconds. */
  readonly nanosecond: boolean;
  readonly #stream: Writable;
  #failure: Error | undefined;

  /**
   * @param stream receives the file; the writer ends it, nobody else
   * @param options `linkType` (LINKTYPE_ number, default 1, Ethernet), `snapLengthBytes` that the
   *   header states (default 262,144), `nanosecond` (default false), `isContinued` (default false):
   *   the header is there already
   */
  constructor(
    stream: Writable,
    options: Partial<PcapFileOptions> & { readonly isContinued?: boolean } = {},
  ) {
    this.#stream = stream;
    this.nanosecond = options.nanosecond ?? false;
    stream.on("error", (error: Error) => {
      this.#failure ??= error;
    });
    if (options.isContinued !== true) stream.write(encodePcapHeader(withDefaults(options)));
  }

  /**
   * Writes one frame, which is copied.
   *
   * @returns false when the stream's buffer is full: wait for its `drain` event, as for any stream
   * @throws RangeError as {@link encodePcapRecord}; the stream's error once it has failed
   */
  write(frame: PcapFrame): boolean {
    if (this.#failure !== undefined) throw this.#failure;
    return this.#stream.write(encodePcapRecord(frame, this.nanosecond));
  }

  /**
   * Writes all frames of a chunk: a little-endian one of the file's precision as it is, without work
   * for each frame; others are converted. Frames of other link types than the file's are the
   * caller's to take out.
   *
   * @returns resolves when the stream has taken the bytes in, so that the chunk may be reused
   * @throws the stream's error
   */
  async writeChunk(chunk: FrameChunk): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (chunk.bytes.length === 0) return;
    const { bytes } = toLittleEndian(chunk, this.nanosecond);
    await new Promise<void>((resolve, reject) => {
      this.#stream.write(bytes, (error) => {
        if (error) reject(this.#failure ?? error);
        else resolve();
      });
    });
  }

  /**
   * Ends the file and the stream.
   *
   * @returns resolves when everything was handed over
   * @throws the stream's error
   */
  async end(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    await new Promise<void>((resolve, reject) => {
      this.#stream.once("error", reject);
      this.#stream.end((error?: Error | null) => {
        this.#stream.off("error", reject);
        const failure = this.#failure ?? error;
        if (failure) reject(failure);
        else resolve();
      });
    });
  }
}

function withDefaults(options: Partial<PcapFileOptions>): PcapFileOptions {
  return {
    linkType: options.linkType ?? 1,
    snapLengthBytes: options.snapLengthBytes ?? MAX_FRAME_BYTES,
    nanosecond: options.nanosecond ?? false,
  };
}
