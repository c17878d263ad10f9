/*
 * Ethernet II and IEEE 802.3:  destination 6 | source 6 | type or length u16
 * VLAN tag (802.1Q, 802.1ad):  priority 3 bits, drop 1, id 12 | type or length u16
 */

/** Values of the type field. */
export const ETHER_TYPE = {
  IPV4: 0x0800,
  ARP: 0x0806,
  VLAN: 0x8100,
  IPV6: 0x86dd,
  SERVICE_VLAN: 0x88a8,
  OLD_SERVICE_VLAN: 0x9100,
} as const;

/** Largest value of the type field that is a length. */
export const MAX_802_3_LENGTH = 1500;

/** An Ethernet header, or a VLAN tag in front of what it carries. */
export interface EthernetHeader {
  /** {@link ETHER_TYPE} or another; at most {@link MAX_802_3_LENGTH} a length. */
  readonly type: number;
  /** Ids of VLAN tags, outermost first. */
  readonly vlans: readonly number[];
  /** Where what it carries begins. */
  readonly payloadStart: number;
}

const HEADER_BYTES = 14;
const TAG_BYTES = 4;

/**
 * Decodes an Ethernet header with its VLAN tags.
 *
 * @param start where it begins
 * @param end end of what was captured
 * @returns undefined when that is short of it
 */
export function decodeEthernet(
  bytes: Buffer,
  start: number,
  end: number,
): EthernetHeader | undefined {
  if (end - start < HEADER_BYTES) return undefined;
  let type = bytes.readUInt16BE(start + 12);
  let payloadStart = start + HEADER_BYTES;
  const vlans: number[] = [];
  while (isTag(type)) {
    if (end - payloadStart < TAG_BYTES) return undefined;
    vlans.push(bytes.readUInt16BE(payloadStart) & 0xfff);
    type = bytes.readUInt16BE(payloadStart + 2);
    payloadStart += TAG_BYTES;
  }
  return { type, vlans, payloadStart };
}

function isTag(type: number): boolean {
  return (
    type === ETHER_TYPE.VLAN ||
    type === ETHER_TYPE.SERVICE_VLAN ||
    type === ETHER_TYPE.OLD_SERVICE_VLAN
  );
}

/** `02:00:00:00:00:01`; the caller has checked that six bytes are there. */
export function formatMacAddress(bytes: Buffer, start: number): string {
  return bytes.toString("hex", start, start + 6).replace(/..(?=.)/g, "$&:");
}
