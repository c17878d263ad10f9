/*
 * IPv6 (RFC 8200):
 *   version 4 bits, class 8, flow label 20 | payload length u16 | next header u8 | hop limit u8 | source 16 | destination 16
 * Extension headers that are looked through:
 *   next header u8 | length in units of 8, without the first | …
 *   fragment: next header u8 | 0 | offset 13 bits, 2, more 1 | id u32
 */

/** An IPv6 header, and what stands behind its extension headers. */
export interface Ipv6Header {
  readonly source: string;
  readonly destination: string;
  /** Of what follows the extension headers. */
  readonly protocol: number;
  readonly fragmentOffset: number;
  readonly moreFragments: boolean;
  readonly payloadStart: number;
  readonly payloadEnd: number;
  /** Bytes behind the extension headers, as the lengths state. */
  readonly payloadLength: number;
}

const HEADER_BYTES = 40;
const FRAGMENT = 44;
/** Hop-by-hop options, routing, destination options. */
const EXTENSIONS: ReadonlySet<number> = new Set([0, 43, 60]);

/**
 * Decodes an IPv6 header.
 *
 * @param end end of what was captured
 * @returns undefined when that is short of it; "invalid" when it is none
 */
export function decodeIpv6(
  bytes: Buffer,
  start: number,
  end: number,
): Ipv6Header | "invalid" | undefined {
  if (end - start < HEADER_BYTES) return undefined;
  if (bytes[start]! >>> 4 !== 6) return "invalid";
  const packetEnd = start + HEADER_BYTES + bytes.readUInt16BE(start + 4);
  let protocol = bytes[start + 6]!;
  let at = start + HEADER_BYTES;
  let fragmentOffset = 0;
  let moreFragments = false;
  while (EXTENSIONS.has(protocol) || protocol === FRAGMENT) {
    if (end - at < 8) return undefined;
    const isFragment = protocol === FRAGMENT;
    if (isFragment) {
      const field = bytes.readUInt16BE(at + 2);
      fragmentOffset = field & 0xfff8;
      moreFragments = (field & 1) !== 0;
    }
    protocol = bytes[at]!;
    at += isFragment ? 8 : (bytes[at + 1]! + 1) * 8;
    if (fragmentOffset > 0) break;
  }
  if (at > end) return undefined;
  return {
    source: formatIpv6Address(bytes, start + 8),
    destination: formatIpv6Address(bytes, start + 24),
    protocol,
    fragmentOffset,
    moreFragments,
    payloadStart: at,
    payloadEnd: Math.max(at, Math.min(end, packetEnd)),
    payloadLength: Math.max(0, packetEnd - at),
  };
}

/** As RFC 5952 wants it: `2001:db8::1`; the caller has checked that 16 bytes are there. */
export function formatIpv6Address(bytes: Buffer, start: number): string {
  const groups = Array.from({ length: 8 }, (_, n) => bytes.readUInt16BE(start + 2 * n));
  let best = 0;
  let bestLength = 1;
  for (let from = 0; from < 8; from++) {
    let length = 0;
    while (from + length < 8 && groups[from + length] === 0) length++;
    if (length > bestLength) [best, bestLength] = [from, length];
  }
  const text = (part: readonly number[]): string =>
    part.map((group) => group.toString(16)).join(":");
  if (bestLength < 2) return text(groups);
  return `${text(groups.slice(0, best))}::${text(groups.slice(best + bestLength))}`;
}
