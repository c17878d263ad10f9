import { AUDIT_OPTION_TABLE } from "../config/audit-option-table.ts";
import { normaliseArgv } from "../config/normalise-argv.ts";
import type { CommandLine } from "../config/option-rules.ts";
import { PcaptsError } from "../errors.ts";
import { parseCommandLine } from "./parse-command-line.ts";

/** The command line of `pcapts audit`. */
export interface AuditCommandLine {
  /** As a consumer's, whose flags for Kafka an audit has. */
  readonly line: CommandLine;
  readonly ledgerTopic: string;
  readonly json: boolean;
}

/**
 * Reads the command line of `pcapts audit`; environment variables stand for its
 * flags as they do for the program's own.
 *
 * @param argv arguments behind the word audit
 * @param variables the environment
 * @throws PcaptsError USAGE
 */
export function parseAuditCommandLine(
  argv: readonly string[],
  variables: Readonly<Record<string, string | undefined>> = {},
): AuditCommandLine {
  const tokens = normaliseArgv(argv, AUDIT_OPTION_TABLE);
  const first = tokens.findIndex((token) => token === "--" || !token.startsWith("--"));
  if (first !== -1) {
    const said = tokens.slice(first).find((token) => token !== "--") ?? "--";
    throw new PcaptsError("USAGE", `pcapts audit takes flags alone, not "${said}"`);
  }
  const shared = tokens.filter((token) => token !== "--json");
  const line = parseCommandLine(["--consumer", ...shared], onlyShared(variables));
  const ledgerTopic = line.values["ledger-topic"];
  if (ledgerTopic === undefined) {
    throw new PcaptsError(
      "USAGE",
      "pcapts audit needs --ledger-topic NAME: the topic that the producers were told",
    );
  }
  return { line, ledgerTopic, json: tokens.includes("--json") };
}

/** Variables of other flags may contradict --consumer, and say nothing here. */
function onlyShared(
  variables: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string | undefined>> {
  const names = new Set(
    AUDIT_OPTION_TABLE.map(({ long }) => `PCAPTS_${long.toUpperCase().replaceAll("-", "_")}`),
  );
  return Object.fromEntries(
    Object.entries(variables).filter(
      ([name]) => names.has(name) || name.startsWith("PCAPTS_X_") || !name.startsWith("PCAPTS_"),
    ),
  );
}
