import { PcaptsError } from "../errors.ts";
import { interfaceNotFound } from "./interfaces.ts";

/** What kept an interface from being opened, as libpcap says it. */
export interface OpeningFailure {
  /** libpcap's words. */
  readonly reason: string;
  /** The name of its code, where the engine hands it on. */
  readonly code?: string;
  readonly cause?: unknown;
}

/**
 * Says why an interface cannot be opened, and what to do.
 *
 * @param existing names of the interfaces that are there
 */
export function openingError(
  interfaceName: string,
  { reason, code = "", cause }: OpeningFailure,
  existing: readonly string[],
): PcaptsError {
  const action = `Cannot open interface "${interfaceName}"`;
  if (/PERM_DENIED/.test(code) || /not permitted|permission|CAP_NET_RAW/i.test(reason)) {
    return new PcaptsError(
      "INTERFACE_PERMISSION",
      `${action}: capturing needs the capability CAP_NET_RAW (${reason}); run with sudo, or grant ` +
        "it to this program alone: systemd AmbientCapabilities=CAP_NET_RAW, or setpriv " +
        "--inh-caps +net_raw --ambient-caps +net_raw. Do not setcap the node binary: every " +
        "script that it runs would have it",
      { cause },
    );
  }
  if (/NO_SUCH_DEVICE/.test(code) || /no such device|doesn't exist/i.test(reason)) {
    return interfaceNotFound(interfaceName, existing);
  }
  if (/IFACE_NOT_UP/.test(code) || /not up|network is down/i.test(reason)) {
    return new PcaptsError(
      "CAPTURE_FAILED",
      `${action}: it is down (ip link set dev ${interfaceName} up)`,
      { cause },
    );
  }
  const advice = /\bring\b|allocate memory/i.test(reason)
    ? "; a usual -B, --buffer-size (65536 KiB) may do"
    : "";
  return new PcaptsError("CAPTURE_FAILED", `${action}: ${reason}${advice}`, { cause });
}

/** Whether what {@link openingError} says is that there is no such interface now, or that it is down. */
export function isMissingOrDown(error: PcaptsError): boolean {
  return error.code === "INTERFACE_NOT_FOUND" || error.message.includes(": it is down (");
}

/** Says why a filter is refused. */
export function filterError(expression: string, reason: string, cause?: unknown): PcaptsError {
  return new PcaptsError("FILTER_INVALID", `Cannot compile filter "${expression}": ${reason}`, {
    cause,
  });
}

/** Says that an open interface ended. */
export function interfaceGone(interfaceName: string): PcaptsError {
  return new PcaptsError(
    "INTERFACE_GONE",
    `Cannot capture on interface "${interfaceName}" any longer: it went down or was removed`,
  );
}
