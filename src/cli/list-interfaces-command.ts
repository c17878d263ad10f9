import { listInterfaces, type NetworkInterface } from "../capture/interfaces.ts";

/**
 * `pcapts --list-interfaces`: what can be captured from.
 *
 * @param json as JSON, for programs
 * @returns what to print: a line for each interface, or an array
 * @throws PcaptsError when interfaces cannot be listed
 */
export async function listInterfacesCommand(json: boolean): Promise<string> {
  const interfaces = await listInterfaces();
  return json
    ? `${JSON.stringify(interfaces, null, 2)}\n`
    : interfaces.map((each) => `${formatInterface(each)}\n`).join("");
}

/**
 * An interface as `tcpdump -D` shows it, and its addresses, because `-i` takes those too.
 *
 * @param each the interface
 * @returns `1.eth0 [Up, Running, Connected] 192.0.2.1 2001:db8::1`
 */
export function formatInterface(each: NetworkInterface): string {
  const states = [
    each.isUp ? "Up" : "",
    each.isRunning ? "Running" : "",
    each.isLoopback ? "Loopback" : "",
    each.isWireless ? "Wireless" : "",
    formatConnection(each),
  ].filter((state) => state !== "");
  return [
    `${each.index}.${each.name}`,
    ...(each.description === "" ? [] : [`(${each.description})`]),
    ...(states.length === 0 ? [] : [`[${states.join(", ")}]`]),
    ...each.addresses,
  ].join(" ");
}

function formatConnection({ connection, isWireless }: NetworkInterface): string {
  switch (connection) {
    case "connected":
      return isWireless ? "Associated" : "Connected";
    case "disconnected":
      return isWireless ? "Not associated" : "Disconnected";
    default:
      return "";
  }
}
