import { fileURLToPath } from "node:url";
import { packageFile } from "./package-file.ts";
import { requirePackage } from "./require-package.ts";

/** What of the addon in `native/` needs no libpcap. Both throw what the system says. */
export interface NativeAddon {
  /** Sends one datagram to a Unix socket, as $NOTIFY_SOCKET names it. */
  notify(address: string, text: string): void;
  /**
   * Locks a directory until the descriptor is closed, or the process is gone.
   *
   * @returns a file descriptor; undefined when another process has it
   */
  lockDirectory(path: string): number | undefined;
}

/**
 * Loads the build of a clone, or the package's prebuild.
 *
 * @throws Error when there is none for this machine
 */
export function loadNativeAddon(): NativeAddon {
  const find = requirePackage("node-gyp-build") as (directory: string) => NativeAddon;
  return find(fileURLToPath(packageFile("native")));
}
