import type { FrameSource } from "../capture/frame-source.ts";
import type { CommandLine } from "../config/option-rules.ts";
import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { MAX_FRAME_BYTES } from "../packet/frame-chunk.ts";

/**
 * Opens what a producer reads: `-r` or `-i`.
 *
 * @param line the command line
 * @throws PcaptsError what keeps the file or the interface from being read
 */
export async function openSource({ values }: CommandLine, logger: Logger): Promise<FrameSource> {
  void logger;
  if (values.read !== undefined) {
    const { openFileSource } = await import("../capture/file-source.ts");
    return openFileSource(values.read, { stdin: process.stdin });
  }
  throw new PcaptsError("ENGINE_UNAVAILABLE", "Cannot open an interface");
}

/**
 * The snaplen that `-s` means.
 *
 * @param given its value; 0 is the longest frame that is carried
 */
export function snapLengthOf(given: number): number {
  return given === 0 ? MAX_FRAME_BYTES : given;
}
