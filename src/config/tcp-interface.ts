import { PcaptsError } from "../errors.ts";
import type { BrokerAddress } from "../kafka/client-options.ts";
import { parseHostPort, PCAP_OVER_IP_PORT } from "./broker-address.ts";

const PREFIX = "TCP@";

/**
 * Whether an interface is a stream over TCP, which may be written wrongly.
 *
 * @param text a value of `-i`
 */
export function isTcpInterface(text: string): boolean {
  return text.startsWith(PREFIX);
}

/**
 * Reads an interface that is a stream over TCP, as Wireshark writes it: `TCP@host:port`,
 * `TCP@[::1]:57012`, `TCP@host`.
 *
 * @param text a value of `-i`
 * @returns undefined when it is another interface; the port is that of `--listen` where none is given
 * @throws PcaptsError USAGE
 */
export function parseTcpInterface(text: string): BrokerAddress | undefined {
  if (!isTcpInterface(text)) return undefined;
  const refuse = (reason: string): PcaptsError =>
    new PcaptsError("USAGE", `-i, --interface expects TCP@HOST:PORT: in "${text}" ${reason}`);
  return parseHostPort(text.slice(PREFIX.length), PCAP_OVER_IP_PORT, refuse);
}
