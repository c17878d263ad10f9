/*
 * TCP (RFC 9293):
 *   source u16 | destination u16 | sequence u32 | acknowledgement u32 | data offset 4 bits, flags 12 | window u16 |
 *   checksum u16 | urgent u16 | options
 */

/** A TCP header. */
export interface TcpHeader {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly flags: number;
  readonly window: number;
  /** Of header and options. */
  readonly headerBytes: number;
}

const MIN_HEADER_BYTES = 20;
const ACK = 0x10;

/** Letters as tcpdump writes them, in its order. */
const FLAG_LETTERS: readonly (readonly [number, string])[] = [
  [0x01, "F"],
  [0x02, "S"],
  [0x04, "R"],
  [0x08, "P"],
  [0x10, "."],
  [0x20, "U"],
  [0x40, "E"],
  [0x80, "W"],
];

/**
 * Decodes a TCP header.
 *
 * @param end end of what was captured
 * @returns undefined when that is short of it; "invalid" when its length is impossible
 */
export function decodeTcp(
  bytes: Buffer,
  start: number,
  end: number,
): TcpHeader | "invalid" | undefined {
  if (end - start < MIN_HEADER_BYTES) return undefined;
  const headerBytes = (bytes[start + 12]! >>> 4) * 4;
  if (headerBytes < MIN_HEADER_BYTES) return "invalid";
  return {
    sourcePort: bytes.readUInt16BE(start),
    destinationPort: bytes.readUInt16BE(start + 2),
    sequence: bytes.readUInt32BE(start + 4),
    acknowledgement: bytes.readUInt32BE(start + 8),
    flags: bytes[start + 13]!,
    window: bytes.readUInt16BE(start + 14),
    headerBytes,
  };
}

/**
 * The part of a summary line behind the addresses, with sequence numbers as they stand in the packet.
 *
 * @param length bytes of header, options and data, as IP states
 */
export function formatTcp(header: TcpHeader, length: number): string {
  const { flags, sequence, acknowledgement, window, headerBytes } = header;
  const letters = FLAG_LETTERS.filter(([bit]) => (flags & bit) !== 0).map(([, letter]) => letter);
  const dataBytes = Math.max(0, length - headerBytes);
  const isNamed = dataBytes > 0 || (flags & 0x07) !== 0;
  const range =
    dataBytes > 0 ? `${sequence}:${(sequence + dataBytes) % 2 ** 32}` : String(sequence);
  return [
    `Flags [${letters.join("") || "none"}]`,
    ...(isNamed ? [`seq ${range}`] : []),
    ...((flags & ACK) === 0 ? [] : [`ack ${acknowledgement}`]),
    `win ${window}`,
    `length ${dataBytes}`,
  ].join(", ");
}
