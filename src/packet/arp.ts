import { formatMacAddress } from "./ethernet.ts";
import { formatIpv4Address } from "./ipv4.ts";

/*
 * ARP for IPv4 over Ethernet (RFC 826):
 *   hardware u16 | protocol u16 | hardware length u8 | protocol length u8 | operation u16 |
 *   sender hardware 6 | sender address 4 | target hardware 6 | target address 4
 */

const PACKET_BYTES = 28;
const OPERATIONS: Readonly<Record<number, string>> = {
  1: "Request",
  2: "Reply",
  3: "Reverse Request",
  4: "Reverse Reply",
};

/**
 * The part of a summary line behind "ARP, ".
 *
 * @param end end of what was captured
 * @returns undefined when that is short of the packet
 */
export function formatArp(bytes: Buffer, start: number, end: number): string | undefined {
  if (end - start < 8) return undefined;
  const length = end - start;
  const operation = bytes.readUInt16BE(start + 6);
  const isPlain =
    bytes.readUInt16BE(start + 2) === 0x0800 && bytes[start + 4] === 6 && bytes[start + 5] === 4;
  if (!isPlain)
    return `hardware ${bytes.readUInt16BE(start)}, operation ${operation}, length ${length}`;
  if (length < PACKET_BYTES) return undefined;
  const sender = formatIpv4Address(bytes, start + 14);
  const target = formatIpv4Address(bytes, start + 24);
  const name = OPERATIONS[operation] ?? `operation ${operation}`;
  const says =
    operation === 2
      ? `${sender} is-at ${formatMacAddress(bytes, start + 8)}`
      : `who-has ${target} tell ${sender}`;
  return `${name} ${says}, length ${length}`;
}
