import { PcaptsError } from "../errors.ts";
import { requirePackage } from "../require-package.ts";

/** A device as libpcap lists it. */
export interface CapDevice {
  readonly name: string;
  readonly description?: string;
  readonly addresses: readonly { readonly addr?: string; readonly netmask?: string }[];
  readonly flags?: "PCAP_IF_LOOPBACK";
}

/** An open capture. */
export interface CapSession {
  /**
   * @param bufferBytes the kernel's ring
   * @param frame every frame is copied to its start
   * @returns the link type in words
   */
  open(device: string, filter: string, bufferBytes: number, frame: Buffer): string;
  close(): boolean;
  on(event: "packet", listener: (capturedLength: number, isTruncated: boolean) => void): this;
}

/** What is used of the npm package `cap` 0.2. */
export interface CapModule {
  readonly Cap: { new (): CapSession; deviceList(): CapDevice[] };
}

/**
 * Loads the optional package `cap`, which is built for one version of Node.
 *
 * @param load for tests; by default `require`
 * @throws PcaptsError ENGINE_UNAVAILABLE
 */
export function loadCap(load: (name: string) => unknown = requirePackage): CapModule {
  try {
    return load("cap") as CapModule;
  } catch (cause) {
    throw new PcaptsError(
      "ENGINE_UNAVAILABLE",
      `Cannot load the capture engine "cap": ${reasonOf(cause)} ` +
        "(scripts/setup installs it, npm rebuild cap builds it for this Node)",
      { cause },
    );
  }
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  if ("code" in cause && cause.code === "MODULE_NOT_FOUND")
    return "it is not installed or not built";
  if (/different Node\.js version/.test(cause.message))
    return "it was built for another Node version";
  return cause.message.split("\n", 1)[0]!;
}
