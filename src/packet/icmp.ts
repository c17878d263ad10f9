/*
 * ICMP (RFC 792) and ICMPv6 (RFC 4443, RFC 4861):  type u8 | code u8 | checksum u16 | …
 *   echo: id u16 | sequence u16
 */

const HEADER_BYTES = 4;
const ECHO_BYTES = 8;

const TYPES: Readonly<Record<number, string>> = {
  0: "echo reply",
  3: "destination unreachable",
  4: "source quench",
  5: "redirect",
  8: "echo request",
  9: "router advertisement",
  10: "router solicitation",
  11: "time exceeded",
  12: "parameter problem",
  13: "time stamp request",
  14: "time stamp reply",
};

const TYPES_6: Readonly<Record<number, string>> = {
  1: "destination unreachable",
  2: "packet too big",
  3: "time exceeded",
  4: "parameter problem",
  128: "echo request",
  129: "echo reply",
  130: "multicast listener query",
  131: "multicast listener report",
  132: "multicast listener done",
  133: "router solicitation",
  134: "router advertisement",
  135: "neighbor solicitation",
  136: "neighbor advertisement",
  137: "redirect",
  143: "multicast listener report v2",
};

/**
 * The part of a summary line behind the addresses.
 *
 * @param end end of what was captured
 * @param length bytes of the message, as IP states
 * @returns undefined when what was captured is short of its header
 */
export function formatIcmp(
  bytes: Buffer,
  start: number,
  end: number,
  length: number,
  version: 4 | 6,
): string | undefined {
  if (end - start < HEADER_BYTES) return undefined;
  const type = bytes[start]!;
  const code = bytes[start + 1]!;
  const name = (version === 4 ? TYPES : TYPES_6)[type];
  // tcpdump's comma.
  const protocol = version === 4 ? "ICMP" : "ICMP6,";
  const isEcho = version === 4 ? type === 0 || type === 8 : type === 128 || type === 129;
  if (isEcho && end - start >= ECHO_BYTES) {
    const id = bytes.readUInt16BE(start + 4);
    const sequence = bytes.readUInt16BE(start + 6);
    return `${protocol} ${name}, id ${id}, seq ${sequence}, length ${length}`;
  }
  const what = name ?? `type ${type}`;
  return `${protocol} ${what}${code === 0 ? "" : `, code ${code}`}, length ${length}`;
}
