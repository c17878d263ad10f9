/*
 * UDP (RFC 768):  source u16 | destination u16 | length u16 | checksum u16
 */

/** A UDP header. */
export interface UdpHeader {
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Of header and data, as it states. */
  readonly length: number;
  readonly payloadStart: number;
}

/** Length of the header. */
export const UDP_HEADER_BYTES = 8;

/**
 * Decodes a UDP header.
 *
 * @param end end of what was captured
 * @returns undefined when that is short of it
 */
export function decodeUdp(bytes: Buffer, start: number, end: number): UdpHeader | undefined {
  if (end - start < UDP_HEADER_BYTES) return undefined;
  return {
    sourcePort: bytes.readUInt16BE(start),
    destinationPort: bytes.readUInt16BE(start + 2),
    length: bytes.readUInt16BE(start + 4),
    payloadStart: start + UDP_HEADER_BYTES,
  };
}
