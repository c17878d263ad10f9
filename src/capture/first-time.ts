import { PcaptsError } from "../errors.ts";
import { readHeaderWord } from "../packet/frame-chunk.ts";
import { openFileSource, type FileSourceOptions } from "./file-source.ts";

/** A capture time. */
export interface FrameTime {
  /** Since the epoch. */
  readonly seconds: number;
  readonly nanoseconds: number;
}

/**
 * The time of the first frame of a capture file.
 *
 * @param file its path
 * @returns undefined when it has none, or is damaged before it
 * @throws PcaptsError as {@link openFileSource}
 */
export async function readFirstTime(
  file: string,
  options: FileSourceOptions = {},
): Promise<FrameTime | undefined> {
  const source = await openFileSource(file, options);
  try {
    for await (const { bytes, frameCount, bigEndian, nanosecond } of source.chunks()) {
      if (frameCount === 0) continue;
      const fraction = readHeaderWord(bytes, 4, bigEndian);
      return {
        seconds: readHeaderWord(bytes, 0, bigEndian),
        nanoseconds: nanosecond ? fraction : fraction * 1000,
      };
    }
  } catch (error) {
    // What is damaged says so when its turn comes.
    if (!(error instanceof PcaptsError)) throw error;
  } finally {
    await source.stop();
  }
  return undefined;
}
