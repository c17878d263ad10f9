import { avalanche, mixEndpoints, mixWord } from "./hash-mix.ts";
import { hashIpv4, hashIpv6, NO_ADDRESSES } from "./ip-flow-hash.ts";

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_IPV6 = 0x86dd;
const ETHERTYPE_MPLS = 0x8847;
const ETHERTYPE_MPLS_MULTICAST = 0x8848;
const ETHERTYPE_PPPOE_SESSION = 0x8864;
const ETHERTYPE_SERVICE_VLAN = 0x88a8;
const ETHERTYPE_OLD_SERVICE_VLAN = 0x9100;
/** Smaller values are lengths (IEEE 802.3), and say nothing of the conversation. */
const SMALLEST_ETHERTYPE = 0x0600;

const PPP_IPV4 = 0x0021;
const PPP_IPV6 = 0x0057;

/**
 * Hashes what tells a frame's conversation apart, so that `hash % partitions` keeps both
 * directions of it in one partition.
 *
 * IP counts by addresses, protocol and ports ({@link hashIpv4}, {@link hashIpv6}), through VLAN
 * tags, MPLS labels and PPPoE; a tunnel by its outer header. Ethernet and 802.11 without IP count
 * by both link-layer addresses and the EtherType. What has no addresses counts by link type and
 * `origin`. Never throws: a cut frame counts by what is there.
 *
 * @param bytes holds the frame
 * @param start where the frame begins, link-layer header first
 * @param end where its captured bytes end
 * @param linkType LINKTYPE_ number
 * @param origin tells interfaces apart where frames have no addresses, see {@link hashOrigin}
 * @returns 0 to 2^31 - 1
 */
export function flowHash(
  bytes: Uint8Array,
  start: number,
  end: number,
  linkType: number,
  origin = 0,
): number {
  let hash = NO_ADDRESSES;
  switch (linkType) {
    case 1: // EN10MB: two addresses, EtherType
      if (start + 14 <= end) hash = hashEthernet(bytes, start, end);
      break;
    case 113: // LINUX_SLL: the protocol is the last field of 16 bytes
      if (start + 16 <= end) {
        hash = hashEtherType(bytes, start + 16, end, readHalf(bytes, start + 14));
      }
      break;
    case 276: // LINUX_SLL2: the protocol is the first field of 20 bytes
      if (start + 20 <= end) hash = hashEtherType(bytes, start + 20, end, readHalf(bytes, start));
      break;
    case 0: // NULL: address family in the capturing machine's byte order
    case 108: // LOOP: the same, most significant byte first
      if (start + 4 <= end) hash = hashFamily(bytes, start + 4, end, readFamily(bytes, start));
      break;
    case 12: // RAW, as a DLT_ number
    case 14: // RAW, as OpenBSD's DLT_ number
    case 101: // RAW
    case 228: // IPV4
    case 229: // IPV6
      hash = hashIp(bytes, start, end);
      break;
    case 105: // IEEE802_11
      hash = hashIeee80211(bytes, start, end);
      break;
    case 127: // IEEE802_11_RADIO: the length of the radiotap header, little-endian, at byte 2
      if (start + 4 <= end) {
        hash = hashIeee80211(bytes, start + (bytes[start + 2]! | (bytes[start + 3]! << 8)), end);
      }
      break;
  }
  return hash === NO_ADDRESSES ? avalanche(mixWord(origin, linkType)) >>> 1 : hash;
}

/**
 * Hashes where frames come from, once for an interface and not for a frame.
 *
 * @param name sensor and interface name, as one text
 * @returns `origin` of {@link flowHash}
 */
export function hashOrigin(name: string): number {
  let hash = 0;
  for (let at = 0; at < name.length; at++) hash = mixWord(hash, name.charCodeAt(at));
  return avalanche(hash);
}

function hashEthernet(bytes: Uint8Array, start: number, end: number): number {
  const etherType = readHalf(bytes, start + 12);
  const hash = hashEtherType(bytes, start + 14, end, etherType);
  if (hash !== NO_ADDRESSES) return hash;
  const kind = etherType < SMALLEST_ETHERTYPE ? 0 : etherType;
  return hashAddresses6(bytes, start, start + 6, kind);
}

function hashEtherType(bytes: Uint8Array, from: number, end: number, type: number): number {
  let etherType = type;
  let at = from;
  while (isVlanTag(etherType) && at + 4 <= end) {
    etherType = readHalf(bytes, at + 2);
    at += 4;
  }
  if (etherType === ETHERTYPE_IPV4) return hashIpv4(bytes, at, end);
  if (etherType === ETHERTYPE_IPV6) return hashIpv6(bytes, at, end);
  if (etherType === ETHERTYPE_PPPOE_SESSION) {
    // RFC 2516: version, code, session, length in 6 bytes, then the PPP protocol.
    if (at + 8 > end) return NO_ADDRESSES;
    const protocol = readHalf(bytes, at + 6);
    if (protocol === PPP_IPV4) return hashIpv4(bytes, at + 8, end);
    if (protocol === PPP_IPV6) return hashIpv6(bytes, at + 8, end);
    return NO_ADDRESSES;
  }
  if (etherType === ETHERTYPE_MPLS || etherType === ETHERTYPE_MPLS_MULTICAST) {
    // RFC 3032: 4 bytes a label, the lowest bit of the third says that it is the last.
    while (at + 4 <= end && (bytes[at + 2]! & 1) === 0) at += 4;
    return hashIp(bytes, at + 4, end);
  }
  return NO_ADDRESSES;
}

function isVlanTag(etherType: number): boolean {
  return (
    etherType === ETHERTYPE_VLAN ||
    etherType === ETHERTYPE_SERVICE_VLAN ||
    etherType === ETHERTYPE_OLD_SERVICE_VLAN
  );
}

/** An IP packet of the version that its first four bits say. */
function hashIp(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return NO_ADDRESSES;
  const version = bytes[at]! >>> 4;
  if (version === 4) return hashIpv4(bytes, at, end);
  return version === 6 ? hashIpv6(bytes, at, end) : NO_ADDRESSES;
}

/** Address families are below 256, so one byte of the four says it in either byte order. */
function readFamily(bytes: Uint8Array, at: number): number {
  return bytes[at] === 0 ? bytes[at + 3]! : bytes[at]!;
}

function hashFamily(bytes: Uint8Array, at: number, end: number, family: number): number {
  switch (family) {
    case 2: // AF_INET everywhere
      return hashIpv4(bytes, at, end);
    case 10: // AF_INET6 on Linux
    case 24: // … NetBSD, OpenBSD
    case 28: // … FreeBSD
    case 30: // … macOS
      return hashIpv6(bytes, at, end);
    default:
      return NO_ADDRESSES;
  }
}

/** IEEE 802.11: receiver and transmitter; control frames such as ACK have no transmitter. */
function hashIeee80211(bytes: Uint8Array, at: number, end: number): number {
  const isControl = at < end && (bytes[at]! & 0x0c) === 0x04;
  if (isControl || at + 16 > end) return NO_ADDRESSES;
  return hashAddresses6(bytes, at + 4, at + 10, 0);
}

function hashAddresses6(bytes: Uint8Array, one: number, other: number, kind: number): number {
  return mixEndpoints(hashAddress6(bytes, one), hashAddress6(bytes, other), kind);
}

function hashAddress6(bytes: Uint8Array, at: number): number {
  const high = (bytes[at]! << 8) | bytes[at + 1]!;
  const low =
    (bytes[at + 2]! << 24) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!;
  return avalanche(mixWord(high, low));
}

function readHalf(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}
