import { normaliseArgv } from "../config/normalise-argv.ts";
import type { OptionRow } from "../config/option-table.ts";
import { PcaptsError } from "../errors.ts";

/**
 * Reads the flags of a command that takes nothing else.
 *
 * @param argv arguments behind the command's name
 * @param rows the flags that it has
 * @param command its name, for messages: "pcapts broker"
 * @returns what was written for each flag, in order; nothing for a switch
 * @throws PcaptsError USAGE
 */
export function readFlags(
  argv: readonly string[],
  rows: readonly OptionRow[],
  command: string,
): ReadonlyMap<string, readonly string[]> {
  const given = new Map<string, string[]>();
  for (const token of normaliseArgv(argv, rows)) {
    if (token === "--" || !token.startsWith("--")) {
      const word = argv.find((each) => !each.startsWith("-")) ?? token;
      throw new PcaptsError("USAGE", `${command} takes flags alone, not "${word}"`);
    }
    const equals = token.indexOf("=");
    const name = token.slice(2, equals === -1 ? undefined : equals);
    const texts = given.get(name) ?? [];
    if (equals !== -1) texts.push(token.slice(equals + 1));
    given.set(name, texts);
  }
  return given;
}
