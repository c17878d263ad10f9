import type * as Zstd from "@bokuweb/zstd-wasm";

/** libzstd as WebAssembly, for Node before 22.15, which has no zstd of its own. */
type ZstdPackage = Omit<typeof Zstd, "default">;

/** Settled once: a second `init()` of the package would take the memory away from under the first. */
let initialised: Promise<ZstdPackage> | undefined;

/**
 * Loads the package; there is one in the process, for whoever asks.
 *
 * @throws when it is not installed
 */
export function loadZstdPackage(): Promise<ZstdPackage> {
  return (initialised ??= initialise());
}

async function initialise(): Promise<ZstdPackage> {
  const { default: zstd } = await import("@bokuweb/zstd-wasm");
  await zstd.init();
  return zstd;
}
