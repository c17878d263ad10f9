import type { Writable } from "node:stream";
import { FRAME_HEADER_BYTES, type FrameChunk } from "../packet/frame-chunk.ts";
import { PCAPNG_BLOCK } from "./pcapng-format.ts";
import { PcapngWriter } from "./pcapng-writer.ts";
import { PcapWriter } from "./pcap-writer.ts";

/** A capture file that is being written. */
export interface CaptureWriter {
  /**
   * Writes all frames of a chunk.
   *
   * @returns resolves when the stream has taken the bytes in, so that the chunk may be reused
   * @throws the stream's error
   */
  writeChunk(chunk: FrameChunk): Promise<void>;
  /** Completes the file and ends the stream. */
  end(): Promise<void>;
}

/** What a capture file is to be. */
export interface CaptureFormat {
  /** `pcap` counts microseconds, `nsecpcap` nanoseconds, `pcapng` what each interface needs. */
  readonly fileType: "pcap" | "nsecpcap" | "pcapng";
  /** LINKTYPE_ number of a pcap file; of a pcapng file without frames, if it is known. */
  readonly linkType: number | undefined;
  readonly snapLengthBytes: number;
  /** Program and version, for the section header of a pcapng file. */
  readonly application: string;
  /** Behind what of such a file the stream is: its header, or frames, too. Default: at its begin. */
  readonly continues?: "header" | "frames" | undefined;
}

/**
 * Begins a capture file, or goes on with one. A header is in the stream at once.
 *
 * @param stream ended by the writer
 */
export function createCaptureWriter(stream: Writable, format: CaptureFormat): CaptureWriter {
  const { fileType, linkType, snapLengthBytes, application, continues } = format;
  if (fileType === "pcapng") {
    return new PcapngWriter(stream, { linkType, snapLengthBytes, application, continues });
  }
  const nanosecond = fileType === "nsecpcap";
  return new PcapWriter(stream, {
    snapLengthBytes,
    nanosecond,
    isContinued: continues !== undefined,
    ...(linkType !== undefined && { linkType }),
  });
}

/** Whole frames among the bytes of a file. */
export interface WholeFrames {
  readonly frames: number;
  /** Up to the end of the last whole frame, or block. */
  readonly bytes: number;
}

/**
 * Counts the whole frames in what was written of a chunk.
 *
 * @param bytes begin with a frame, or a block of pcapng, and may end within one
 */
export function countWholeFrames(fileType: CaptureFormat["fileType"], bytes: Buffer): WholeFrames {
  const headBytes = fileType === "pcapng" ? 8 : FRAME_HEADER_BYTES;
  let frames = 0;
  let at = 0;
  while (at + headBytes <= bytes.length) {
    const next =
      at +
      (fileType === "pcapng"
        ? bytes.readUInt32LE(at + 4)
        : FRAME_HEADER_BYTES + bytes.readUInt32LE(at + 8));
    if (next > bytes.length) break;
    if (fileType !== "pcapng" || bytes.readUInt32LE(at) === PCAPNG_BLOCK.ENHANCED_PACKET) frames++;
    at = next;
  }
  return { frames, bytes: at };
}

/**
 * What stays of a write that failed: whole frames, and of what is compressed nothing.
 *
 * @returns as `FileOutputOptions.keepOfTorn` has it
 */
export function keepWholeFrames(
  fileType: CaptureFormat["fileType"],
  isCompressed: boolean,
): (bytes: Buffer) => number {
  return (bytes) => (isCompressed ? 0 : countWholeFrames(fileType, bytes).bytes);
}

/** Bytes that a frame takes in a file, its record header or block included. */
export function sizeOfFrame(fileType: CaptureFormat["fileType"], capturedLength: number): number {
  return fileType === "pcapng" ? 32 + ((capturedLength + 3) & ~3) : 16 + capturedLength;
}
