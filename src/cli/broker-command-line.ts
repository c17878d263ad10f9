import { BROKER_OPTION_TABLE, type BrokerOptionValues } from "../config/broker-option-table.ts";
import { formatFlag, type OptionRow } from "../config/option-table.ts";
import { parseValue } from "../config/value-kind.ts";
import { readFlags } from "./read-flags.ts";

const ROWS: readonly OptionRow[] = BROKER_OPTION_TABLE;

/**
 * Reads the command line of `pcapts broker`.
 *
 * @param argv arguments behind the word broker
 * @returns the value of every flag
 * @throws PcaptsError USAGE
 */
export function parseBrokerCommandLine(argv: readonly string[]): BrokerOptionValues {
  const given = readFlags(argv, ROWS, "pcapts broker");
  const values = ROWS.map((row): [string, unknown] => {
    if (row.value.type === "switch") return [row.long, given.has(row.long)];
    const text = given.get(row.long)?.[0] ?? row.default;
    return [
      row.long,
      text === undefined ? undefined : parseValue(row.value, text, formatFlag(row)),
    ];
  });
  return Object.fromEntries(values) as unknown as BrokerOptionValues;
}
