import { readEnvironment, variableOfFlag } from "../config/environment.ts";
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

/** Flags as they were written, by their long names: strings, lists of strings, and true. */
export interface RawFlags {
  readonly [name: string]: unknown;
  /** Words that belong to no flag. */
  readonly _: readonly (string | number)[];
}

/**
 * Makes a command line of flags as they were written: their values are read, the environment and
 * the table's defaults fill in what is left out.
 *
 * @param raw flags of the line
 * @param variables the environment, whose `PCAPTS_…` stand for flags and properties
 * @returns the value of every flag
 * @throws PcaptsError USAGE: the first thing that is wrong, in the order of the table and of the
 *   rules between flags
 */
export function completeCommandLine(
  raw: RawFlags,
  variables: Readonly<Record<string, string | undefined>>,
): CommandLine {
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
