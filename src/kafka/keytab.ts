import { readFileSync } from "node:fs";
import { ByteReader } from "../bytes/byte-reader.ts";

/**
 * Principals of a keytab, in its order, each once.
 *
 * ```
 *   version  UINT16   0x0502; 0x0501 is in the machine's byte order and not read here
 *   entries, each:
 *     size        INT32    negative: a hole of as many bytes
 *     components  UINT16   then realm and components, each a UINT16 length and its bytes
 *     …                    name type, time, key: not read
 * ```
 *
 * Source: MIT Kerberos, "Keytab file format".
 *
 * @returns empty when the file cannot be read, or not as a keytab
 */
export function listKeytabPrincipals(path: string): readonly string[] {
  const principals = new Set<string>();
  try {
    const bytes = readFileSync(path.replace(/^(WR)?FILE:/, ""));
    if (bytes.readUInt16BE(0) !== 0x0502) return [];
    for (let at = 2; at + 4 <= bytes.length;) {
      const size = bytes.readInt32BE(at);
      at += 4;
      if (size > 0) principals.add(readPrincipal(bytes.subarray(at, at + size)));
      if (size === 0) break;
      at += Math.abs(size);
    }
  } catch {
    // What was found so far has to do: this is for messages.
  }
  return [...principals];
}

function readPrincipal(entry: Buffer): string {
  const reader = new ByteReader(entry);
  const count = reader.readInt16();
  const [realm, ...components] = Array.from({ length: count + 1 }, () => reader.readString());
  return `${components.join("/")}@${realm}`;
}
