import { PcaptsError } from "../errors.ts";
import { loadNativeAddon, type NativeAddon } from "../native-addon.ts";

/** A device as libpcap lists it. */
export interface LibpcapDevice {
  readonly name: string;
  /** "" when there is none. */
  readonly description: string;
  /** IPv4 and IPv6 addresses, without prefix lengths. */
  readonly addresses: readonly string[];
  /** PCAP_IF_… bits, see interfaces.ts. */
  readonly flags: number;
  readonly connection: "connected" | "disconnected" | "not applicable" | "unknown";
}

/** One of what libpcap offers: a link type (its DLT_ number) or a time stamp type. */
export interface LibpcapChoice {
  readonly value: number;
  /** "" where this libpcap has no name for it. */
  readonly name: string;
  readonly description: string;
}

/** What an interface is opened with. */
export interface LibpcapOptions {
  readonly interfaceName: string;
  readonly snapLengthBytes: number;
  readonly bufferBytes: number;
  readonly promiscuous: boolean;
  readonly immediate: boolean;
  readonly nanosecond: boolean;
  /** DLT_ number, or -1 for the interface's own. */
  readonly dlt: number;
  readonly timeStampType: string | undefined;
}

/** What an interface was opened with. */
export interface LibpcapFacts {
  readonly dlt: number;
  readonly nanosecond: boolean;
  /** libpcap's words; "" when it opened as asked. */
  readonly warning: string;
  readonly leastBufferBytes: number;
}

/** An open interface; only the addon's functions can do anything with it. */
export type LibpcapSession = object & { readonly session: never };

/** A compiled filter; only the addon's functions can do anything with it. */
export type LibpcapProgram = object & { readonly program: never };

/**
 * How a buffer comes back, in the order in which buffers were given. At last it is called with how
 * the capture ended: "stopped", "gone" (the interface) or "broken", and libpcap's words.
 */
export type LibpcapDelivery = (
  usedBytes: number,
  frameCount: number,
  end?: "stopped" | "gone" | "broken",
  words?: string,
) => void;

/**
 * The addon in `native/`. Its errors carry libpcap's words, and as `code` the name of libpcap's code,
 * LIBRARY, FILTER, LINK_TYPE or TIME_STAMP_TYPE.
 */
export interface LibpcapAddon extends NativeAddon {
  /** libpcap's own line about itself. */
  libraryVersion(): string;
  listInterfaces(): LibpcapDevice[];
  timeStampTypes(interfaceName: string): LibpcapChoice[];
  /** Opens; frames are taken from {@link LibpcapAddon.start} on. */
  open(options: LibpcapOptions): LibpcapSession;
  facts(session: LibpcapSession): LibpcapFacts;
  linkTypes(session: LibpcapSession): LibpcapChoice[];
  /** Throws when {@link LibpcapAddon.start} would not take the filter. */
  checkFilter(session: LibpcapSession, expression: string): void;
  start(
    session: LibpcapSession,
    filter: string,
    exclusion: string,
    delivery: LibpcapDelivery,
  ): void;
  /** Hands a buffer to the capture's thread; it may not be touched until it comes back. */
  give(session: LibpcapSession, buffer: Uint8Array): void;
  exclude(session: LibpcapSession, expression: string): void;
  /** Since the start: received, dropped by the kernel, by the interface, filtered here. */
  stats(session: LibpcapSession): [number, number, number, number];
  /** Closes the device. What was captured is still delivered. Safe repeatedly. */
  stop(session: LibpcapSession): void;
  compileFilter(dlt: number, snapLengthBytes: number, expression: string): LibpcapProgram;
  /** Writes 1 or 0 for each frame; returns how many match. */
  matchFilter(
    program: LibpcapProgram,
    bytes: Uint8Array,
    frameCount: number,
    bigEndian: boolean,
    verdicts: Uint8Array,
  ): number;
}

let loaded: LibpcapAddon | undefined;

/**
 * Loads the addon, and libpcap with it.
 *
 * @param load for tests; by default the build of a clone or the package's prebuild, once
 * @throws PcaptsError ENGINE_UNAVAILABLE
 */
export function loadLibpcap(load?: () => LibpcapAddon): LibpcapAddon {
  if (load === undefined && loaded !== undefined) return loaded;
  let addon: LibpcapAddon;
  try {
    addon = load?.() ?? (loadNativeAddon() as LibpcapAddon);
  } catch (cause) {
    throw unavailable(
      /No native build was found/.test(messageOf(cause))
        ? "there is no build for this machine (scripts/setup makes one in a clone)"
        : messageOf(cause),
      cause,
    );
  }
  try {
    addon.libraryVersion();
  } catch (cause) {
    throw unavailable(
      `${messageOf(cause)} (install libpcap: apt-get install libpcap0.8, dnf install libpcap, ` +
        "apk add libpcap)",
      cause,
    );
  }
  if (load === undefined) loaded = addon;
  return addon;
}

/** The version in libpcap's line about itself: "1.10.3" of "libpcap version 1.10.3 (with TPACKET_V3)". */
export function libpcapVersion(addon: LibpcapAddon): string {
  const line = addon.libraryVersion();
  return /version ([\w.-]+)/.exec(line)?.[1] ?? line;
}

function unavailable(reason: string, cause: unknown): PcaptsError {
  return new PcaptsError(
    "ENGINE_UNAVAILABLE",
    `Cannot load the capture engine "libpcap": ${reason}`,
    { cause },
  );
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0]!;
}
