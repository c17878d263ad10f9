import { isIPv6 } from "node:net";
import { PcaptsError } from "../errors.ts";
import type { BrokerAddress } from "../kafka/client-options.ts";

const DEFAULT_PORT = 9092;

/** Where pcap-over-IP is served unless another port is said; PolarProxy and Arkime have it so. */
export const PCAP_OVER_IP_PORT = 57_012;

/** A letter or digit at either end; underscores, because container names have them. */
const HOST_NAME = /^[a-z0-9]([a-z0-9._-]*[a-z0-9._])?$/i;

/**
 * A list of brokers as librdkafka takes it: `host`, `host:port`, `[::1]:9092`, `::1`,
 * each perhaps behind the protocol of the run, `SASL_SSL://`, separated by commas or spaces.
 *
 * @param text the list
 * @param subject what it was written for, as messages name it: "-k, --kafka-broker"
 * @param protocol `security.protocol`, in small letters
 * @param defaultPort the port where none was given
 * @returns at least one address
 * @throws PcaptsError USAGE, naming the part that is wrong
 * @example
 * parseBrokerAddresses("kafka1, [::1]:9093", "-k");
 * // [{ host: "kafka1", port: 9092 }, { host: "::1", port: 9093 }]
 */
export function parseBrokerAddresses(
  text: string,
  subject: string,
  protocol = "plaintext",
  defaultPort = DEFAULT_PORT,
): BrokerAddress[] {
  const parts = text.split(/[\s,]+/).filter((part) => part !== "");
  if (parts.length === 0) {
    throw new PcaptsError("USAGE", `${subject} expects HOST:PORT[,HOST:PORT…], not "${text}"`);
  }
  return parts.map((part) => parseBrokerAddress(part, { subject, protocol, defaultPort }));
}

interface AddressContext {
  readonly subject: string;
  readonly protocol: string;
  readonly defaultPort: number;
}

function parseBrokerAddress(
  part: string,
  { subject, protocol, defaultPort }: AddressContext,
): BrokerAddress {
  const refuse = (reason: string): PcaptsError =>
    new PcaptsError("USAGE", `${subject} expects HOST:PORT[,HOST:PORT…]: in "${part}" ${reason}`);
  const scheme = /^([a-z_]+):\/\//i.exec(part);
  if (scheme !== null && scheme[1]?.toLowerCase() !== protocol) {
    throw refuse(`${scheme[1]} is not the protocol of this run: security.protocol is ${protocol}`);
  }
  return parseHostPort(part.slice(scheme?.[0].length ?? 0), defaultPort, refuse);
}

/**
 * One address: `host`, `host:port`, `[::1]:9092`, `::1`.
 *
 * @param text the address
 * @param defaultPort where none is given
 * @param refuse makes the error of what is wrong with it
 */
export function parseHostPort(
  text: string,
  defaultPort: number,
  refuse: (reason: string) => PcaptsError,
): BrokerAddress {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) {
    const host = bracketed[1] ?? "";
    if (!isIPv6(host)) throw refuse(`the brackets hold no IPv6 address`);
    return { host, port: parsePort(bracketed[2], defaultPort, refuse) };
  }
  if (text.includes("[") || text.includes("]")) throw refuse("the brackets do not match");
  if (isIPv6(text)) return { host: text, port: defaultPort };

  const colon = text.indexOf(":");
  const host = colon === -1 ? text : text.slice(0, colon);
  if (host === "") throw refuse("the host is missing");
  if (!HOST_NAME.test(host)) throw refuse(`"${host}" is no host name`);
  const port = colon === -1 ? undefined : text.slice(colon + 1);
  return { host, port: parsePort(port, defaultPort, refuse) };
}

/**
 * An address to listen on: one broker's, whose port may also be 0.
 *
 * @param text `127.0.0.1:9092`
 * @param subject what it was written for, as messages name it
 * @param defaultPort the port where none was given
 * @throws PcaptsError USAGE
 */
export function parseListenAddress(
  text: string,
  subject: string,
  defaultPort = DEFAULT_PORT,
): BrokerAddress {
  const anyPort = /^(.*[^:]):0$/.exec(text);
  const [address, ...more] = parseBrokerAddresses(
    anyPort?.[1] ?? text,
    subject,
    "plaintext",
    defaultPort,
  );
  if (address === undefined || more.length > 0) {
    throw new PcaptsError("USAGE", `${subject} expects one HOST:PORT, not "${text}"`);
  }
  return anyPort === null ? address : { ...address, port: 0 };
}

function parsePort(
  text: string | undefined,
  defaultPort: number,
  refuse: (reason: string) => PcaptsError,
): number {
  if (text === undefined) return defaultPort;
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535) {
    throw refuse(`"${text}" is no port (1 to 65535)`);
  }
  return port;
}

/**
 * One broker as people write it.
 *
 * @param address host and port
 * @returns `host:port`, an IPv6 address in brackets
 */
export function formatBrokerAddress(address: BrokerAddress): string {
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}
