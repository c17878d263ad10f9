/*
 * The pcapng capture file, draft-ietf-opsawg-pcapng. A file is blocks, each a multiple of 4 bytes long:
 *
 *   type u32 | total length u32 | body | total length u32
 *
 *   section header    byte-order magic u32 | major u16 | minor u16 | section length i64 | options
 *   interface         link type u16 | reserved u16 | snaplen u32 | options
 *   enhanced packet   interface u32 | time high u32 | time low u32 | captured length u32 | wire length u32 | data, padded | options
 *   simple packet     wire length u32 | data, padded
 *   packet (old)      interface u16 | drops u16 | time high u32 | time low u32 | captured length u32 | wire length u32 | data, padded | options
 *   statistics        interface u32 | time high u32 | time low u32 | options
 *
 *   option            code u16 | length u16 | value, padded; code 0 ends them
 *
 * All numbers are in the section's byte order, which its magic shows.
 */

/** Types of blocks that mean something here; all others are passed over. */
export const PCAPNG_BLOCK = {
  SECTION: 0x0a0d_0d0a,
  INTERFACE: 1,
  OLD_PACKET: 2,
  SIMPLE_PACKET: 3,
  STATISTICS: 5,
  ENHANCED_PACKET: 6,
} as const;

/** First word of a section's body, in the section's byte order. */
export const BYTE_ORDER_MAGIC = 0x1a2b_3c4d;

/** Type and both total lengths: what a block has beside its body. */
export const PCAPNG_BLOCK_OVERHEAD = 12;

/** A longer block is taken for damage, as libpcap and Wireshark do. */
export const MAX_PCAPNG_BLOCK_BYTES = 16 * 1024 * 1024;

/** Codes of options, those of sections, interfaces and statistics. */
export const PCAPNG_OPTION = {
  END: 0,
  SECTION_APPLICATION: 4,
  INTERFACE_NAME: 2,
  INTERFACE_DESCRIPTION: 3,
  INTERFACE_RESOLUTION: 9,
  INTERFACE_TIME_OFFSET: 14,
  STATISTICS_START: 2,
  STATISTICS_END: 3,
  STATISTICS_DELIVERED: 8,
} as const;

/** True when a file begins with the type of a section header, which reads the same in both byte orders. */
export function isPcapng(start: Uint8Array): boolean {
  return start[0] === 0x0a && start[1] === 0x0d && start[2] === 0x0d && start[3] === 0x0a;
}

/**
 * Length of a field that is padded.
 *
 * @param length 0 to 2^31 - 4
 * @returns the next multiple of 4
 */
export function paddedLength(length: number): number {
  return (length + 3) & ~3;
}

/**
 * Encodes a block.
 *
 * @param type one of {@link PCAPNG_BLOCK}
 * @param body a multiple of 4 bytes
 */
export function encodePcapngBlock(type: number, ...body: readonly Uint8Array[]): Buffer {
  const length = PCAPNG_BLOCK_OVERHEAD + body.reduce((sum, part) => sum + part.length, 0);
  const frame = Buffer.alloc(8);
  frame.writeUInt32LE(type, 0);
  frame.writeUInt32LE(length, 4);
  return Buffer.concat([frame, ...body, frame.subarray(4)]);
}

/**
 * Encodes an option, little-endian.
 *
 * @param value at most 65,535 bytes
 */
export function encodePcapngOption(code: number, value: Uint8Array | string = ""): Buffer {
  const bytes = Buffer.from(value);
  const option = Buffer.alloc(4 + paddedLength(bytes.length));
  option.writeUInt16LE(code, 0);
  option.writeUInt16LE(bytes.length, 2);
  bytes.copy(option, 4);
  return option;
}
