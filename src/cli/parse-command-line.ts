import yargs from "yargs";
import { readEnvironment, variableOfFlag } from "../config/environment.ts";
import { normaliseArgv } from "../config/normalise-argv.ts";
import { checkOptionRules, type CommandLine } from "../config/option-rules.ts";
import {
  formatFlag,
  OPTION_TABLE,
  type OptionRow,
  type OptionValues,
} from "../config/option-table.ts";
import { parseValue } from "../config/value-kind.ts";
import { PcaptsError } from "../errors.ts";

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
  const raw = readFlags(normaliseArgv(argv));
  const onLine = new Set(ROWS.map((row) => row.long).filter((name) => raw[name] !== undefined));
  const words = raw._.map(String);
  // Words are a filter on the line, which wins over one in the environment.
  const said = words.length > 0 ? new Set([...onLine, "filter"]) : onLine;
  const environment = readEnvironment(variables, said);
  const given = new Set([...onLine, ...environment.flags]);
  for (const row of ROWS) {
    if (row.comesLater === undefined || !given.has(row.long)) continue;
    const subject = environment.flags.has(row.long) ? variableOfFlag(row.long) : formatFlag(row);
    throw new PcaptsError("USAGE", `${subject} is not there yet: ${row.comesLater}`);
  }
  const values = Object.fromEntries(
    ROWS.map((row) => {
      const text = environment.values.get(row.long);
      return [
        row.long,
        text === undefined ? readValue(row, raw[row.long]) : readVariable(row, text),
      ];
    }),
  );
  const line = { values: values as unknown as OptionValues, given, words, environment };
  checkOptionRules(line);
  return line;
}

/** What yargs makes of an argv in normal form: strings, lists of strings, and true. */
interface RawFlags {
  readonly [name: string]: unknown;
  readonly _: readonly (string | number)[];
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

/** A variable stands for several of a flag that may be repeated, with blanks between them. */
function readVariable(row: OptionRow, text: string): unknown {
  const subject = variableOfFlag(row.long);
  if (row.repeat !== "all") return parseValue(row.value, text, subject);
  return text
    .split(/\s+/)
    .filter((part) => part !== "")
    .map((part) => parseValue(row.value, part, subject));
}

function readValue(row: OptionRow, raw: unknown): unknown {
  if (row.value.type === "switch") return raw === true;
  if (row.repeat === "all") {
    const texts = (raw ?? []) as readonly string[];
    return texts.map((text) => parseValue(row.value, text, formatFlag(row)));
  }
  const text = (raw as string | undefined) ?? row.default;
  return text === undefined ? undefined : parseValue(row.value, text, formatFlag(row));
}
