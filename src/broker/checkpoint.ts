import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "../storage/file-io.ts";
import type { ProducerSnapshot } from "./producer-states.ts";

/**
 * How far a partition's log is known to be good, with what its producers had
 * sent by then. There are two: up to "written" everything is in the log as long
 * as the machine has not gone down since, whatever became of the process; up to
 * "synced" also after a power failure.
 */
export interface Checkpoint {
  /** Linux names each start of the machine. */
  readonly bootId: string;
  readonly segment: number;
  readonly position: number;
  readonly nextOffset: number;
  /** Latest time in the segment; null for none, which JSON has no number for. */
  readonly latestMs: number | null;
  readonly producers: ProducerSnapshot;
}

/** Which of the two. */
export type CheckpointKind = "written" | "synced";

/** Replaces the checkpoint of a partition. */
export async function saveCheckpoint(
  directory: string,
  kind: CheckpointKind,
  checkpoint: Checkpoint,
): Promise<void> {
  const path = join(directory, `${kind}.json`);
  await replaceFile(path, `${JSON.stringify(checkpoint)}\n`, kind === "synced");
}

/**
 * The best checkpoint of a partition that may be trusted.
 *
 * @param bootId of the machine now
 * @returns undefined when there is none: the whole log is to be checked
 */
export async function loadCheckpoint(
  directory: string,
  bootId: string,
): Promise<Checkpoint | undefined> {
  const written = await readCheckpoint(directory, "written");
  if (written?.bootId === bootId) return written;
  return readCheckpoint(directory, "synced");
}

/** A partition's checkpoint of a kind, whoever may trust it; undefined when there is none. */
export async function readCheckpoint(
  directory: string,
  kind: CheckpointKind,
): Promise<Checkpoint | undefined> {
  try {
    return JSON.parse(await readFile(join(directory, `${kind}.json`), "utf8")) as Checkpoint;
  } catch {
    // Not there, or cut: the log itself says everything, only more slowly.
    return undefined;
  }
}
