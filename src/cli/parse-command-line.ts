import yargs from "yargs";
import { normaliseArgv } from "../config/normalise-argv.ts";
import type { CommandLine } from "../config/option-rules.ts";
import { OPTION_TABLE, type OptionRow } from "../config/option-table.ts";
import { PcaptsError } from "../errors.ts";
import { completeCommandLine, type RawFlags } from "./complete-command-line.ts";

const ROWS: readonly OptionRow[] = OPTION_TABLE;

/** Whatever yargs would make of a value is switched off: the table says what it is. */
const AS_WRITTEN = {
  "boolean-negation": false,
  "camel-case-expansion": false,
  "dot-notation": false,
  "parse-numbers": false,
  "parse-positional-numbers": false,
  "short-option-groups": false,
  "greedy-arrays": false,
};

/**
 * Reads a command line.
 *
 * @param argv arguments without the program's name
 * @param variables the environment, whose `PCAPTS_…` stand for flags and properties
 * @returns the value of every flag
 * @throws PcaptsError USAGE: the first thing that is wrong, in the order of the line, of the
 *   table and of the rules between flags
 */
export function parseCommandLine(
  argv: readonly string[],
  variables: Readonly<Record<string, string | undefined>> = {},
): CommandLine {
  return completeCommandLine(readFlags(normaliseArgv(argv)), variables);
}

function readFlags(normal: readonly string[]): RawFlags {
  const parser = yargs()
    .parserConfiguration(AS_WRITTEN)
    .help(false)
    .version(false)
    .exitProcess(false)
    .strictOptions()
    .fail((message, error) => {
      throw new PcaptsError("USAGE", message, { cause: error });
    });
  for (const row of ROWS) {
    parser.option(row.long, {
      type: row.value.type === "switch" ? "boolean" : "string",
      array: row.repeat === "all",
    });
  }
  const end = normal.indexOf("--");
  const flags = end === -1 ? normal : normal.slice(0, end);
  return parser.parseSync([...flags.map(quoteValue), ...normal.slice(flags.length)]);
}

/** yargs takes one pair of quotes off a value, as a shell does; this gives it one to take. */
function quoteValue(token: string): string {
  const equals = token.indexOf("=");
  if (equals === -1) return token;
  return `${token.slice(0, equals)}="${token.slice(equals + 1)}"`;
}
