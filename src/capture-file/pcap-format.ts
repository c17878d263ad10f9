import {
  FRAME_HEADER_BYTES,
  MAX_FRAME_BYTES,
  readHeaderWord,
  writeHeaderWord,
} from "../packet/frame-chunk.ts";

/*
 * The classic capture file, draft-ietf-opsawg-pcap:
 *
 *   magic u32 | major u16 | minor u16 | reserved u32 | reserved u32 | snaplen u32 | link type u32
 *   then for each frame: seconds u32 | fraction u32 | captured length u32 | wire length u32 | bytes
 *
 * All numbers are in the writer's byte order, which the magic shows.
 */

/** Length of the header of a pcap file, but for Ixia's. */
export const PCAP_HEADER_BYTES = 24;

/** Fractions are microseconds. */
export const PCAP_MAGIC = 0xa1b2c3d4;

/** Fractions are nanoseconds. */
export const NSEC_PCAP_MAGIC = 0xa1b23c4d;

/** Kuznetzov's patched libpcap: eight bytes more in front of each frame (index, protocol, type). */
export const KUZNETZOV_PCAP_MAGIC = 0xa1b2cd34;

/** Ixia's captures by hardware and by software: four bytes more in the file's header. */
const IXIA_MAGICS: readonly number[] = [0x1c0001ac, 0x1c0001ab];

const KNOWN_MAGICS: ReadonlySet<number> = new Set([
  PCAP_MAGIC,
  NSEC_PCAP_MAGIC,
  KUZNETZOV_PCAP_MAGIC,
  ...IXIA_MAGICS,
]);

/** Major version that the tcpdump of DG/UX writes. */
const DGUX_MAJOR = 543;

/** What the header of a pcap file says. */
export interface PcapFileHeader {
  /** LINKTYPE_ number; the bits above 16, which tell of frame check sequences, are left out. */
  readonly linkType: number;
  /** 1 to 262,144: frames longer than this were cut. 0 and more in a file mean 262,144. */
  readonly snapLengthBytes: number;
  /** Fractions count nanoseconds, else microseconds. */
  readonly nanosecond: boolean;
  /** Byte order of every number in the file. */
  readonly bigEndian: boolean;
  readonly versionMajor: number;
  readonly versionMinor: number;
  /** Where the first frame begins. */
  readonly headerBytes: number;
  /** In front of each frame: 16, with more that is passed over 24. */
  readonly recordHeaderBytes: number;
  /**
   * The two lengths of a frame stand the other way round: before version 2.3 and in DG/UX's 543.0;
   * in 2.3 where they make no sense otherwise.
   */
  readonly swappedLengths: "never" | "always" | "ifLarger";
}

/** What a new file needs to say; the rest is version 2.4, little-endian. */
export type PcapFileOptions = Pick<PcapFileHeader, "linkType" | "snapLengthBytes" | "nanosecond">;

/**
 * Encodes the header of a pcap file.
 *
 * @returns 24 bytes, little-endian
 */
export function encodePcapHeader(options: PcapFileOptions): Buffer {
  const header = Buffer.alloc(PCAP_HEADER_BYTES);
  header.writeUInt32LE(options.nanosecond ? NSEC_PCAP_MAGIC : PCAP_MAGIC, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(options.snapLengthBytes, 16);
  header.writeUInt32LE(options.linkType, 20);
  return header;
}

/**
 * Decodes the header of a pcap file.
 *
 * @param bytes the first 24 bytes of a file
 * @returns undefined when they do not begin with a magic number that is read, in either byte order
 */
export function decodePcapHeader(bytes: Uint8Array): PcapFileHeader | undefined {
  if (bytes.length < PCAP_HEADER_BYTES) return undefined;
  const little = readHeaderWord(bytes, 0, false);
  const bigEndian = !KNOWN_MAGICS.has(little);
  const magic = bigEndian ? readHeaderWord(bytes, 0, true) : little;
  if (!KNOWN_MAGICS.has(magic)) return undefined;

  const versions = readHeaderWord(bytes, 4, bigEndian);
  const snapLength = readHeaderWord(bytes, 16, bigEndian);
  const versionMajor = bigEndian ? versions >>> 16 : versions & 0xffff;
  const versionMinor = bigEndian ? versions & 0xffff : versions >>> 16;
  const isUsable = snapLength > 0 && snapLength <= MAX_FRAME_BYTES;
  return {
    linkType: readHeaderWord(bytes, 20, bigEndian) & 0xffff,
    snapLengthBytes: isUsable ? snapLength : MAX_FRAME_BYTES,
    nanosecond: magic === NSEC_PCAP_MAGIC,
    bigEndian,
    versionMajor,
    versionMinor,
    headerBytes: PCAP_HEADER_BYTES + (IXIA_MAGICS.includes(magic) ? 4 : 0),
    recordHeaderBytes: FRAME_HEADER_BYTES + (magic === KUZNETZOV_PCAP_MAGIC ? 8 : 0),
    swappedLengths:
      versionMajor === DGUX_MAJOR || versionMinor < 3
        ? "always"
        : versionMinor === 3
          ? "ifLarger"
          : "never",
  };
}

/** True for version 2, a later minor version being read as 2.4, as Wireshark does, and DG/UX's 543.0. */
export function isKnownPcapVersion({ versionMajor, versionMinor }: PcapFileHeader): boolean {
  return versionMajor === 2 || (versionMajor === DGUX_MAJOR && versionMinor === 0);
}

/**
 * Writes the header of one frame, little-endian, without allocating.
 *
 * @param target receives 16 bytes at `offset`
 * @param seconds u32, since the epoch
 * @param fraction microseconds or nanoseconds, as the file's header says
 * @param capturedLength bytes that follow
 * @param wireLength bytes that the frame had, at least `capturedLength`
 */
export function writePcapRecordHeader(
  target: Uint8Array,
  offset: number,
  seconds: number,
  fraction: number,
  capturedLength: number,
  wireLength: number,
): void {
  writeHeaderWord(target, offset, seconds, false);
  writeHeaderWord(target, offset + 4, fraction, false);
  writeHeaderWord(target, offset + 8, capturedLength, false);
  writeHeaderWord(target, offset + 12, wireLength, false);
}
