import type { CaptureInterface, FrameChunk } from "../packet/frame-chunk.ts";
import { prefixedBytes, readUpTo, type ByteSource } from "./byte-source.ts";
import { CaptureBytes } from "./capture-bytes.ts";
import { decompressedBytes, detectCompression } from "./compressed-bytes.ts";
import { isPcapng } from "./pcapng-format.ts";
import { PcapngReader } from "./pcapng-reader.ts";
import { PcapReader } from "./pcap-reader.ts";

/** A capture file of any format, as chunks. */
export interface CaptureReader {
  /** What is known of them so far; a pcapng file may name more between its frames. */
  readonly interfaces: readonly CaptureInterface[];
  /**
   * Reads the frames, once. Ends at the end of the file, or when its source was closed.
   *
   * @throws PcaptsError FILE_CUT, FILE_NOT_READABLE, after the last good frame was handed over
   */
  chunks(): AsyncGenerator<FrameChunk, void, void>;
}

/** A capture file that was opened. */
export interface OpenCapture {
  readonly reader: CaptureReader;
  /** What is to be closed; where the file is compressed, not what was given. */
  readonly bytes: ByteSource;
}

/** Enough to tell every format from every other. */
const START_BYTES = 24;

/**
 * Opens a capture by what its first bytes say: pcap with its variants, or pcapng, as it is or
 * compressed by gzip, zstd or lz4.
 *
 * @param source stands at the first byte of the file
 * @param name for messages, as in `Cannot read "name": …`
 * @param sensor of the interfaces that the frames are said to come from
 * @throws PcaptsError FILE_NOT_A_CAPTURE, FILE_NOT_READABLE, FILE_CUT
 */
export async function openCaptureReader(
  source: ByteSource,
  name: string,
  sensor = "",
): Promise<OpenCapture> {
  const { bytes } = await decompress(source, name);
  return { reader: await openPlainReader(bytes, name, sensor), bytes };
}

/**
 * Takes off what a capture is compressed by, if anything, as its first bytes tell.
 *
 * @param source stands at the first byte of the file
 * @param name for messages
 * @returns what is to be closed in its place, and whether it was compressed
 * @throws PcaptsError FILE_NOT_READABLE
 */
export async function decompress(
  source: ByteSource,
  name: string,
): Promise<{ readonly bytes: ByteSource; readonly isCompressed: boolean }> {
  const start = await readStart(source, name);
  const compression = detectCompression(start);
  const whole = prefixedBytes(start, source);
  const isCompressed = compression !== undefined;
  return {
    bytes: isCompressed ? await decompressedBytes(compression, whole) : whole,
    isCompressed,
  };
}

/**
 * Opens a capture that is not compressed, pcap or pcapng.
 *
 * @param source stands at its first byte
 * @param name for messages
 * @param sensor of the interfaces that the frames are said to come from
 * @throws PcaptsError FILE_NOT_A_CAPTURE, FILE_NOT_READABLE, FILE_CUT
 */
export async function openPlainReader(
  source: ByteSource,
  name: string,
  sensor = "",
): Promise<CaptureReader> {
  const start = await readStart(source, name);
  const Reader = isPcapng(start) ? PcapngReader : PcapReader;
  return Reader.open(prefixedBytes(start, source), name, sensor);
}

async function readStart(source: ByteSource, name: string): Promise<Uint8Array> {
  const start = new Uint8Array(START_BYTES);
  const whole: ByteSource = {
    readInto: (target) => readUpTo(source, target),
    close: () => source.close(),
  };
  return start.subarray(0, await new CaptureBytes(whole, name).read(start, 0));
}
