import { PcaptsError } from "../errors.ts";
import { MAX_FRAME_BYTES } from "../packet/frame-chunk.ts";
import type { OverloadPolicy } from "../packet/overload-policy.ts";

/**
 * Reads `--overload`.
 *
 * @param subject what it was written for, as messages name it
 * @throws PcaptsError USAGE
 */
export function parseOverload(text: string, subject = "--overload"): OverloadPolicy {
  if (text === "drop-new") return { kind: "drop-new" };
  const [, word, digits] = /^(truncate|sample):(\d+)$/.exec(text) ?? [];
  const number = Number(digits);
  if (word === "truncate" && number >= 1 && number <= MAX_FRAME_BYTES) {
    return { kind: "truncate", bytes: number };
  }
  if (word === "sample" && number >= 2 && number <= 1_000_000) {
    return { kind: "sample", oneOf: number };
  }
  throw new PcaptsError(
    "USAGE",
    `${subject} expects drop-new, truncate:N (bytes from 1 to ${MAX_FRAME_BYTES}) or ` +
      `sample:K (one conversation of K, 2 to 1000000), not "${text}"`,
  );
}
