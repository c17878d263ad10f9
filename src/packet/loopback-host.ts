import { isIP } from "node:net";

/**
 * Whether an address to listen on is reached from this machine alone.
 *
 * @param host a name or an address
 */
export function isLoopbackHost(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith("127.");
  return host === "::1" || host.toLowerCase() === "localhost";
}
