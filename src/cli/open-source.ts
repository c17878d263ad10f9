import { hostname } from "node:os";
import type { ProcessUser } from "../capture/process-user.ts";
import type { CaptureEngine } from "../capture/live-source.ts";
import type { FrameSource } from "../capture/frame-source.ts";
import type { CommandLine } from "../config/option-rules.ts";
import type { Logger } from "../logger.ts";
import { MAX_FRAME_BYTES } from "../packet/frame-chunk.ts";

/**
 * Opens what a producer reads: `-r` or `-i`.
 *
 * @param line the command line
 * @param processUser who a process of the engine's changes to once the interface is open
 * @param logger told what an interface cannot do as asked
 * @throws PcaptsError what keeps the file or the interface from being read
 */
export async function openSource(
  line: CommandLine,
  processUser: ProcessUser | undefined,
  logger: Logger,
): Promise<FrameSource> {
  const { values, given } = line;
  if (values.read !== undefined) {
    const { openFileSource } = await import("../capture/file-source.ts");
    return openFileSource(values.read, {
      stdin: process.stdin,
      sensor: values.sensor ?? hostname(),
    });
  }
  const [{ findInterface }, { openLiveSource }] = await Promise.all([
    import("../capture/interfaces.ts"),
    import("../capture/open-live-source.ts"),
  ]);
  const { name } = await findInterface(values.interface[0] ?? "");
  const source = await openLiveSource(
    {
      interfaceName: name,
      snapLengthBytes: snapLengthOf(values.snaplen),
      bufferBytes: values["buffer-size"] * 1024,
      sensor: values.sensor ?? hostname(),
      filter: "",
      promiscuous: !values["no-promiscuous-mode"],
      immediate: values["immediate-mode"],
      nanosecond: false,
      linkType: undefined,
      timeStampType: undefined,
      processUser,
    },
    given.has("engine") ? (values.engine as CaptureEngine) : undefined,
    logger,
  );
  logger.info(`Interface "${name}" is open, engine ${source.description}`);
  return source;
}

/**
 * The snaplen that `-s` means.
 *
 * @param given its value; 0 is the longest frame that is carried
 */
export function snapLengthOf(given: number): number {
  return given === 0 ? MAX_FRAME_BYTES : given;
}
