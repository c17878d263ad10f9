import type { crc32c as Checksum } from "@node-rs/crc32";
import { requirePackage } from "../require-package.ts";

const { crc32c: checksum } = requirePackage("@node-rs/crc32") as { crc32c: typeof Checksum };

/**
 * CRC-32C (Castagnoli), RFC 3720 appendix B.4, as record batches carry it.
 *
 * @param bytes what to sum
 * @param before checksum of what stands before them, if they go on with it
 * @returns unsigned 32-bit checksum
 */
export function crc32c(bytes: Buffer, before = 0): number {
  return checksum(bytes, before);
}
