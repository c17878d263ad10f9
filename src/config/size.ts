import { PcaptsError } from "../errors.ts";

const BYTES_OF_LETTER: Readonly<Record<string, number>> = {
  "": 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

/**
 * Reads a size.
 *
 * @param text "10G": bytes, or with K, M, G or T behind the number, which are powers of 1024
 * @param subject what it was written for, as messages name it
 * @returns bytes
 * @throws PcaptsError USAGE
 */
export function parseSize(text: string, subject: string): number {
  const [, digits = "", letter = ""] = /^(\d+)([kmgt]?)(?:i?b)?$/i.exec(text) ?? [];
  const bytes = Number(digits) * BYTES_OF_LETTER[letter.toLowerCase()]!;
  if (digits !== "" && bytes > 0 && bytes <= Number.MAX_SAFE_INTEGER) return bytes;
  throw new PcaptsError(
    "USAGE",
    `${subject} expects bytes, or a number with K, M, G or T behind it, above 0, not "${text}"`,
  );
}
