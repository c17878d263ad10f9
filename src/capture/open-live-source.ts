import type { Logger } from "../logger.ts";
import { PcaptsError } from "../errors.ts";
import type { CaptureEngine, LiveSource, LiveSourceOptions } from "./live-source.ts";

/**
 * Opens an interface.
 *
 * @param engine undefined takes the one that gives most: libpcap where it loads, else cap, with a
 *   warning that says why and what is lost
 * @param logger told what the engine cannot do as asked
 * @throws PcaptsError INTERFACE_NOT_FOUND, INTERFACE_PERMISSION, FILTER_INVALID, CAPTURE_FAILED,
 *   PRIVILEGES_NOT_DROPPED, ENGINE_UNAVAILABLE
 */
export async function openLiveSource(
  options: LiveSourceOptions,
  engine: CaptureEngine | undefined,
  logger: Logger,
): Promise<LiveSource> {
  if (engine === "cap") return openByCap(options, logger);
  const { openLibpcapSource } = await import("./libpcap-engine.ts");
  try {
    return await openLibpcapSource(options, logger);
  } catch (error) {
    if (engine === "libpcap" || !isUnavailable(error)) throw error;
    const source = await openByCap(options, logger).catch((second: unknown) => {
      // Neither loads: the first is the one to have.
      throw isUnavailable(second) ? error : second;
    });
    logger.warn(`Interface "${options.interfaceName}" is captured by engine cap: ${error.message}`);
    return source;
  }
}

async function openByCap(options: LiveSourceOptions, logger: Logger): Promise<LiveSource> {
  const { openCapSource } = await import("./cap-engine.ts");
  return openCapSource(options, logger);
}

function isUnavailable(error: unknown): error is PcaptsError {
  return error instanceof PcaptsError && error.code === "ENGINE_UNAVAILABLE";
}
