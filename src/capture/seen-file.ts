import type { Stats } from "node:fs";
import { open, stat } from "node:fs/promises";
import { beginsWith, readHead } from "./growing-file.ts";

/** What is seen of a file from outside. */
export interface SeenFile {
  /** What it begins with, up to 64 bytes: whether it is the same can be told by that. */
  head: Uint8Array;
  sizeBytes: number;
  mtimeMs: number;
}

/**
 * Looks at a file.
 *
 * @param path of it
 * @throws Error of the operating system
 */
export async function seeFile(path: string): Promise<SeenFile> {
  const file = await open(path, "r");
  try {
    const { size, mtimeMs } = await file.stat();
    return { head: await readHead(file), sizeBytes: size, mtimeMs };
  } finally {
    await file.close();
  }
}

/**
 * What has become of a file since it was last seen.
 *
 * @returns `rewritten` when it was begun anew under the same name
 */
export function compareSeen(before: SeenFile, now: SeenFile): "same" | "grown" | "rewritten" {
  if (now.sizeBytes < before.sizeBytes || !beginsWith(now.head, before.head)) return "rewritten";
  return now.sizeBytes > before.sizeBytes ? "grown" : "same";
}

/**
 * Which file a path stands for, whatever it is called.
 *
 * @returns "other" for what is no file, undefined where nothing is
 */
export async function identifyFile(path: string): Promise<string | undefined> {
  try {
    const found = await stat(path);
    return found.isFile() ? idOf(found) : "other";
  } catch {
    return undefined;
  }
}

/**
 * What a file is known by.
 *
 * @param found what the system says of it
 */
export function idOf({ dev, ino }: Stats): string {
  return `${dev}:${ino}`;
}

/**
 * Whether a file is not there any more.
 *
 * @param error of the operating system
 */
export function isGone(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
