import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { PcaptsError } from "../errors.ts";
import { loadCap, type CapDevice } from "./cap-module.ts";
import { loadLibpcap, type LibpcapAddon, type LibpcapDevice } from "./libpcap-addon.ts";

/** Something that frames can be captured from. */
export interface NetworkInterface {
  /** Position in the list, from 1: what `-D` prints and `-i` takes. */
  readonly index: number;
  readonly name: string;
  /** "" when there is none. */
  readonly description: string;
  /** IPv4 and IPv6 addresses, without prefix lengths. */
  readonly addresses: readonly string[];
  readonly isLoopback: boolean;
  /** Switched on by the administrator; undefined where that is not known. */
  readonly isUp: boolean | undefined;
  /** Has a link, as far as the driver tells; undefined where that is not known. */
  readonly isRunning: boolean | undefined;
  /** Undefined where that is not known. */
  readonly isWireless: boolean | undefined;
  /** Whether it is connected to a network, in libpcap's words. */
  readonly connection: LibpcapDevice["connection"];
}

/** PCAP_IF_… of libpcap. */
const FLAG_LOOPBACK = 1;
const FLAG_UP = 2;
const FLAG_RUNNING = 4;
const FLAG_WIRELESS = 8;

/** IFF_UP of Linux's net_device flags. */
const DEVICE_FLAG_UP = 1;

/**
 * Lists what can be captured from, in libpcap's order (as `tcpdump -D`); through the package `cap`
 * where the addon does not load.
 *
 * @throws PcaptsError ENGINE_UNAVAILABLE when neither loads, CAPTURE_FAILED when libpcap cannot list
 */
export async function listInterfaces(): Promise<NetworkInterface[]> {
  let addon: LibpcapAddon;
  try {
    addon = loadLibpcap();
  } catch (error) {
    return listByCap(error);
  }
  return listed(() => addon.listInterfaces()).map(
    ({ name, description, addresses, flags, connection }, position) => ({
      index: position + 1,
      name,
      description,
      addresses,
      isLoopback: (flags & FLAG_LOOPBACK) !== 0,
      isUp: (flags & FLAG_UP) !== 0,
      isRunning: (flags & FLAG_RUNNING) !== 0,
      isWireless: (flags & FLAG_WIRELESS) !== 0,
      connection,
    }),
  );
}

/** @param whyNotLibpcap thrown when `cap` does not load either: that is the engine to have. */
async function listByCap(whyNotLibpcap: unknown): Promise<NetworkInterface[]> {
  let devices: CapDevice[];
  try {
    const { Cap } = loadCap();
    devices = listed(() => Cap.deviceList());
  } catch (error) {
    if (error instanceof PcaptsError && error.code === "ENGINE_UNAVAILABLE") throw whyNotLibpcap;
    throw error;
  }
  return Promise.all(
    devices.map(async (device, position) => ({
      index: position + 1,
      name: device.name,
      description: device.description ?? "",
      addresses: device.addresses.flatMap(({ addr }) => (addr === undefined ? [] : [addr])),
      isLoopback: device.flags === "PCAP_IF_LOOPBACK",
      isWireless: undefined,
      connection: "unknown" as const,
      ...(await readLinkState(device.name)),
    })),
  );
}

function listed<T>(list: () => T): T {
  try {
    return list();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PcaptsError("CAPTURE_FAILED", `Cannot list interfaces: ${reason}`, { cause });
  }
}

/**
 * Finds the interface that a person means.
 *
 * @param wanted a name, an index as `-D` prints it, or an address of the interface; a name goes first
 * @throws PcaptsError INTERFACE_NOT_FOUND, and as {@link listInterfaces}
 */
export async function findInterface(wanted: string): Promise<NetworkInterface> {
  return selectInterface(await listInterfaces(), wanted);
}

/** {@link findInterface} in a list that is there already. */
export function selectInterface(
  interfaces: readonly NetworkInterface[],
  wanted: string,
): NetworkInterface {
  const address = isIP(wanted) === 0 ? undefined : canonicalAddress(wanted);
  const found =
    interfaces.find((each) => each.name === wanted) ??
    interfaces.find((each) => String(each.index) === wanted) ??
    interfaces.find((each) => each.addresses.some((own) => canonicalAddress(own) === address));
  if (found !== undefined) return found;
  throw interfaceNotFound(
    wanted,
    interfaces.map((each) => each.name),
  );
}

/**
 * Makes the error for an interface that is not there.
 *
 * @param existing names of those that are
 */
export function interfaceNotFound(wanted: string, existing: readonly string[]): PcaptsError {
  const list = existing.length === 0 ? "" : `; there are ${existing.join(", ")}`;
  return new PcaptsError(
    "INTERFACE_NOT_FOUND",
    `Cannot open interface "${wanted}": no such device${list} (pcapts -D lists them)`,
  );
}

/** One spelling for each address: IPv6 may be written in several. */
function canonicalAddress(text: string): string {
  if (isIP(text) !== 6) return text;
  const [address = text] = text.split("%", 1);
  return new URL(`http://[${address}]`).hostname;
}

/** libpcap knows this too, but `cap` does not hand it on; /sys is Linux's own list. */
async function readLinkState(name: string): Promise<Pick<NetworkInterface, "isUp" | "isRunning">> {
  try {
    const directory = `/sys/class/net/${name}`;
    const flags = Number(await readFile(`${directory}/flags`, "ascii"));
    const state = (await readFile(`${directory}/operstate`, "ascii")).trim();
    const isUp = (flags & DEVICE_FLAG_UP) !== 0;
    return { isUp, isRunning: isUp && (state === "up" || state === "unknown") };
  } catch {
    return { isUp: undefined, isRunning: undefined };
  }
}
