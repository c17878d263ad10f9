import { PcaptsError } from "../errors.ts";

/** Longest time that `--fsync` may be, a day. */
const LONGEST_MS = 86_400_000;

/**
 * Reads `--fsync`.
 *
 * @param text "never", "every" or a number of milliseconds
 * @throws PcaptsError USAGE
 */
export function parseFsyncPolicy(text: string): "never" | "every" | { intervalMs: number } {
  const word = text.toLowerCase();
  if (word === "never" || word === "every") return word;
  const intervalMs = Number(text);
  if (/^\d+$/.test(text) && intervalMs >= 1 && intervalMs <= LONGEST_MS) return { intervalMs };
  throw new PcaptsError(
    "USAGE",
    `--fsync expects never, every or milliseconds from 1 to ${LONGEST_MS}, not "${text}"`,
  );
}
