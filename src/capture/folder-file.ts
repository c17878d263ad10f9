import type { FrameTime } from "./first-time.ts";
import type { SeenFile } from "./seen-file.ts";

/** A file of a folder that is followed, from when it is first seen to when it is gone. */
export interface FolderFile extends SeenFile {
  /** Device and inode: it keeps them when it is renamed. */
  readonly id: string;
  name: string;
  /** `waiting` for its turn, or to be read on; `open`; `read` as far as it went. */
  state: "waiting" | "open" | "read";
  /** Of its first frame; undefined when there is none yet. */
  firstTime: FrameTime | undefined;
  /** Frames that were taken from it. */
  frames: number;
  /** It ended within a frame, as far as it was read. */
  isTorn: boolean;
  /** It cannot be read on: it is no capture, or damaged. */
  isGivenUp: boolean;
}

/** By the first frame, as the files of a directory are read; those without one last, as they were written. */
export function compareOrder(a: FolderFile, b: FolderFile): number {
  const { seconds: ofA = Infinity, nanoseconds: restOfA = 0 } = a.firstTime ?? {};
  const { seconds: ofB = Infinity, nanoseconds: restOfB = 0 } = b.firstTime ?? {};
  if (ofA !== ofB) return ofA - ofB;
  return restOfA - restOfB || a.mtimeMs - b.mtimeMs || (a.name < b.name ? -1 : 1);
}

/** What programs put behind a name when they compress a file. */
const ENDINGS = [".gz", ".zst", ".lz4", ".bz2", ".xz"];

/** @returns the name of the file that one was compressed from; undefined when it does not look like one */
export function uncompressedName(name: string): string | undefined {
  const ending = ENDINGS.find((each) => name.endsWith(each));
  return ending === undefined ? undefined : name.slice(0, -ending.length);
}

/** Names under which a file may be found when it has been compressed. */
export function compressedNames(name: string): string[] {
  return ENDINGS.map((ending) => name + ending);
}
