import { OPTION_TABLE, type OptionRow } from "./option-table.ts";

/** Flags of the program itself that `pcapts audit` reads, too. */
const SHARED = new Set([
  "kafka-broker",
  "kafka-topic",
  "kafka-property",
  "config",
  "ledger-topic",
  "sensor",
  "connect-timeout",
  "log-level",
  "log-format",
]);

/** What these mean for an audit, where it is not the same. */
const HELP: Readonly<Record<string, string>> = {
  "kafka-topic": "topic of the frames",
  "ledger-topic": "topic of the ledger, as producers were told it",
  sensor: "only runs of this probe",
};

/** Every flag of `pcapts audit`, one row each. */
export const AUDIT_OPTION_TABLE: readonly OptionRow[] = [
  ...OPTION_TABLE.filter((row: OptionRow) => SHARED.has(row.long)).map(
    (row: OptionRow): OptionRow => ({ ...row, help: HELP[row.long] ?? row.help }),
  ),
  {
    long: "json",
    mode: "both",
    value: { type: "switch" },
    help: "what was found as JSON, for programs",
  },
  {
    long: "help",
    short: "-h",
    mode: "both",
    value: { type: "switch" },
    help: "print this and exit",
  },
];
