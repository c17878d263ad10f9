/*
 * IPv4 (RFC 791):
 *   version 4 bits, header length 4 | service u8 | total length u16 | id u16 | flags 3 bits, fragment offset 13 |
 *   ttl u8 | protocol u8 | checksum u16 | source 4 | destination 4 | options
 */

/** An IPv4 header. */
export interface Ipv4Header {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  /** In bytes; 0 for a packet that is whole, and for the first fragment. */
  readonly fragmentOffset: number;
  readonly moreFragments: boolean;
  readonly payloadStart: number;
  /** Where the packet ends by its length, cut to what was captured. */
  readonly payloadEnd: number;
  /** Bytes of payload that the header states. */
  readonly payloadLength: number;
}

const MIN_HEADER_BYTES = 20;

/**
 * Decodes an IPv4 header.
 *
 * @param end end of what was captured
 * @returns undefined when that is short of it; "invalid" when its lengths are impossible
 */
export function decodeIpv4(
  bytes: Buffer,
  start: number,
  end: number,
): Ipv4Header | "invalid" | undefined {
  if (end - start < MIN_HEADER_BYTES) return undefined;
  const headerBytes = (bytes[start]! & 0x0f) * 4;
  if (bytes[start]! >>> 4 !== 4 || headerBytes < MIN_HEADER_BYTES) return "invalid";
  if (end - start < headerBytes) return undefined;
  const stated = bytes.readUInt16BE(start + 2);
  // Offloading leaves 0 there: the length is that of the frame.
  const totalLength = stated === 0 ? end - start : stated;
  if (totalLength < headerBytes) return "invalid";
  const fragment = bytes.readUInt16BE(start + 6);
  return {
    source: formatIpv4Address(bytes, start + 12),
    destination: formatIpv4Address(bytes, start + 16),
    protocol: bytes[start + 9]!,
    fragmentOffset: (fragment & 0x1fff) * 8,
    moreFragments: (fragment & 0x2000) !== 0,
    payloadStart: start + headerBytes,
    payloadEnd: Math.min(end, start + totalLength),
    payloadLength: totalLength - headerBytes,
  };
}

/** `192.168.0.1`; the caller has checked that four bytes are there. */
export function formatIpv4Address(bytes: Buffer, start: number): string {
  return `${bytes[start]}.${bytes[start + 1]}.${bytes[start + 2]}.${bytes[start + 3]}`;
}
