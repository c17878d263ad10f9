import { BROKER_OPTION_TABLE, type BrokerOptionValues } from "../config/broker-option-table.ts";
import { normaliseArgv } from "../config/normalise-argv.ts";
import { formatFlag, type OptionRow } from "../config/option-table.ts";
import { parseValue } from "../config/value-kind.ts";
import { PcaptsError } from "../errors.ts";

const ROWS: readonly OptionRow[] = BROKER_OPTION_TABLE;

/**
 * Reads the command line of `pcapts broker`.
 *
 * @param argv arguments behind the word broker
 * @returns the value of every flag
 * @throws PcaptsError USAGE
 */
export function parseBrokerCommandLine(argv: readonly string[]): BrokerOptionValues {
  const given = new Map<string, string | undefined>();
  for (const token of normaliseArgv(argv, ROWS)) {
    if (token === "--" || !token.startsWith("--")) {
      const word = argv.find((each) => !each.startsWith("-")) ?? token;
      throw new PcaptsError("USAGE", `pcapts broker takes flags alone, not "${word}"`);
    }
    const equals = token.indexOf("=");
    if (equals === -1) given.set(token.slice(2), undefined);
    else given.set(token.slice(2, equals), token.slice(equals + 1));
  }
  const values = ROWS.map((row): [string, unknown] => {
    if (row.value.type === "switch") return [row.long, given.has(row.long)];
    const text = given.get(row.long) ?? row.default;
    return [
      row.long,
      text === undefined ? undefined : parseValue(row.value, text, formatFlag(row)),
    ];
  });
  return Object.fromEntries(values) as unknown as BrokerOptionValues;
}
