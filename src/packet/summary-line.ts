import { formatArp } from "./arp.ts";
import { formatDns } from "./dns.ts";
import { decodeEthernet, ETHER_TYPE, formatMacAddress, MAX_802_3_LENGTH } from "./ethernet.ts";
import { formatIcmp } from "./icmp.ts";
import { decodeIpv4, type Ipv4Header } from "./ipv4.ts";
import { decodeIpv6, type Ipv6Header } from "./ipv6.ts";
import { formatLinkType } from "./link-types.ts";
import { decodeTcp, formatTcp } from "./tcp.ts";
import { decodeUdp, UDP_HEADER_BYTES } from "./udp.ts";

const PROTOCOL = { ICMP: 1, TCP: 6, UDP: 17, ICMP6: 58 } as const;
const DNS_PORTS: ReadonlySet<number> = new Set([53, 5353]);

/** Protocol numbers of IP with the name that tcpdump gives them. */
const PROTOCOL_NAMES: Readonly<Record<number, string>> = {
  2: "igmp",
  4: "IP-in-IP",
  41: "IP6-in-IP",
  47: "GREv0",
  50: "ESP",
  51: "AH",
  89: "OSPFv2",
  103: "PIM",
  112: "VRRP",
  132: "SCTP",
};

/**
 * Says in one line, as tcpdump would, what a frame is: source, destination, protocol, length. Numbers
 * stay numbers. Never throws: a frame that was cut shows how far it could be read.
 *
 * @param bytes holds the frame
 * @param start where it begins, link-layer header first
 * @param end where its captured bytes end
 * @param linkType LINKTYPE_ number
 * @param wireLength bytes that the frame had
 * @returns a line without its end, such as `IP 10.0.0.1.1024 > 10.0.0.2.53: 21+ A? example.org. (29)`
 */
export function formatSummaryLine(
  bytes: Buffer,
  start: number,
  end: number,
  linkType: number,
  wireLength: number,
): string {
  switch (linkType) {
    case 1:
      return formatEthernetFrame(bytes, start, end, wireLength);
    case 0:
    case 108:
      return end - start < 4
        ? truncated("loopback", wireLength)
        : formatIp(bytes, start + 4, end, wireLength);
    case 101:
    case 12:
    case 14:
    case 228:
    case 229:
      return formatIp(bytes, start, end, wireLength);
    case 113:
      return end - start < 16
        ? truncated("cooked", wireLength)
        : formatByType(bytes, bytes.readUInt16BE(start + 14), start + 16, end, wireLength);
    case 276:
      return end - start < 20
        ? truncated("cooked", wireLength)
        : formatByType(bytes, bytes.readUInt16BE(start), start + 20, end, wireLength);
    default:
      return `${formatLinkType(linkType)}, length ${wireLength}`;
  }
}

function formatEthernetFrame(
  bytes: Buffer,
  start: number,
  end: number,
  wireLength: number,
): string {
  const header = decodeEthernet(bytes, start, end);
  if (header === undefined) return truncated("ether", wireLength);
  const { type, vlans, payloadStart } = header;
  const tags = vlans.map((id) => `vlan ${id}, `).join("");
  const isKnown = type === ETHER_TYPE.IPV4 || type === ETHER_TYPE.IPV6 || type === ETHER_TYPE.ARP;
  if (isKnown) return tags + formatByType(bytes, type, payloadStart, end, wireLength);
  const ends = `${formatMacAddress(bytes, start + 6)} > ${formatMacAddress(bytes, start)}`;
  const what =
    type <= MAX_802_3_LENGTH ? "802.3" : `ethertype 0x${type.toString(16).padStart(4, "0")}`;
  return `${tags}${ends}, ${what}, length ${wireLength}`;
}

function formatByType(
  bytes: Buffer,
  type: number,
  start: number,
  end: number,
  wireLength: number,
): string {
  if (type === ETHER_TYPE.IPV4 || type === ETHER_TYPE.IPV6) {
    return formatIp(bytes, start, end, wireLength);
  }
  if (type === ETHER_TYPE.ARP) {
    const text = formatArp(bytes, start, end);
    return text === undefined ? truncated("ARP", wireLength) : `ARP, ${text}`;
  }
  return `ethertype 0x${type.toString(16).padStart(4, "0")}, length ${wireLength}`;
}

function formatIp(bytes: Buffer, start: number, end: number, wireLength: number): string {
  if (start >= end) return truncated("ip", wireLength);
  const version = bytes[start]! >>> 4;
  if (version !== 4 && version !== 6) return `unknown ip ${version}, length ${wireLength}`;
  const name = version === 4 ? "IP" : "IP6";
  const header = version === 4 ? decodeIpv4(bytes, start, end) : decodeIpv6(bytes, start, end);
  if (header === undefined) return truncated(name, wireLength);
  if (header === "invalid") return `${name}, invalid header, length ${wireLength}`;
  return `${name} ${formatPacket(bytes, header, version)}`;
}

function formatPacket(bytes: Buffer, ip: Ipv4Header | Ipv6Header, version: 4 | 6): string {
  const { source, destination, protocol, payloadStart, payloadEnd, payloadLength } = ip;
  const bare = `${source} > ${destination}:`;
  if (ip.fragmentOffset > 0) {
    return `${bare} frag (${ip.fragmentOffset}|${payloadLength}) ${formatProtocol(protocol)}`;
  }
  switch (protocol) {
    case PROTOCOL.TCP: {
      const tcp = decodeTcp(bytes, payloadStart, payloadEnd);
      if (tcp === undefined) return `${bare} [|tcp]`;
      if (tcp === "invalid") return `${bare} tcp, invalid header, length ${payloadLength}`;
      const { sourcePort, destinationPort } = tcp;
      const ends = `${source}.${sourcePort} > ${destination}.${destinationPort}:`;
      return `${ends} ${formatTcp(tcp, payloadLength)}`;
    }
    case PROTOCOL.UDP: {
      const udp = decodeUdp(bytes, payloadStart, payloadEnd);
      if (udp === undefined) return `${bare} [|udp]`;
      const { sourcePort, destinationPort } = udp;
      const ends = `${source}.${sourcePort} > ${destination}.${destinationPort}:`;
      const dataBytes = Math.max(
        0,
        Math.min(udp.length || payloadLength, payloadLength) - UDP_HEADER_BYTES,
      );
      const dns =
        DNS_PORTS.has(sourcePort) || DNS_PORTS.has(destinationPort)
          ? formatDns(bytes, udp.payloadStart, payloadEnd, dataBytes)
          : undefined;
      return `${ends} ${dns ?? `UDP, length ${dataBytes}`}`;
    }
    case PROTOCOL.ICMP:
    case PROTOCOL.ICMP6: {
      if ((protocol === PROTOCOL.ICMP) !== (version === 4)) break;
      const text = formatIcmp(bytes, payloadStart, payloadEnd, payloadLength, version);
      return `${bare} ${text ?? (version === 4 ? "[|icmp]" : "[|icmp6]")}`;
    }
  }
  return `${bare} ${formatProtocol(protocol)}, length ${payloadLength}`;
}

function formatProtocol(protocol: number): string {
  return PROTOCOL_NAMES[protocol] ?? `ip-proto-${protocol}`;
}

function truncated(layer: string, wireLength: number): string {
  return `[|${layer}], length ${wireLength}`;
}
