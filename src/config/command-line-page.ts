import { AUDIT_OPTION_TABLE } from "./audit-option-table.ts";
import { BROKER_OPTION_TABLE } from "./broker-option-table.ts";
import { EXTCAP_OPTION_TABLE } from "./extcap-option-table.ts";
import { formatTable } from "./markdown-table.ts";
import { OPTION_TABLE, type OptionRow } from "./option-table.ts";
import { describeValue } from "./value-kind.ts";

const SECTIONS: readonly (readonly [OptionRow["mode"], string])[] = [
  ["alone", "What to do"],
  ["both", "Producer and consumer"],
  ["producer", "Producer"],
  ["consumer", "Consumer"],
];

const INTRODUCTION = `# Command line

Made from the option table (\`src/config/option-table.ts\`) by \`scripts/make-docs.js\`: change it there.

\`pcapts --producer -i eth0\` and \`pcapts --consumer > out.pcap\` work with nothing else said.

- Flags may stand in any order; of a flag given twice the last counts.
- \`--name VALUE\` and \`--name=VALUE\`, \`-s 0\`, \`-s0\` and \`-s=0\` are the same. \`-pp\` and \`-ll\` are names, so
  short flags are not grouped: \`-p -i eth0\`, not \`-pi eth0\`.
- A long name may be cut where it stays unique (\`--interf\`). What was unique in Pycapa still means
  what it meant there (\`--log\` is \`--log-level\`).
- A value may begin with a dash and a digit (\`-o -5m\`); another that begins with a dash needs
  \`--name=VALUE\`.
- A flag that only the other mode reads is accepted and changes nothing.
- Wrong use prints to standard error and exits 2.
`;

const PROPERTIES = `## Elsewhere than on the command line

The properties of \`-X\` and \`--config\`, and the environment variables that stand for flags and
properties, are in [configuration.md](configuration.md).
`;

const AUDIT = `## pcapts audit

\`pcapts audit\` reads a ledger back, as [ledger.md](ledger.md) describes. It has these flags and no others.

`;

const BROKER = `## pcapts broker

\`pcapts broker\` is a Kafka broker of one node, described in [broker.md](broker.md). It has these flags and no
others, and no environment variables stand for them.

`;

const NOT_THERE_YET = `## Not there yet

These are known, and refused with what to do meanwhile.

`;

const EXTCAP = `## pcapts extcap

\`pcapts extcap\` makes topics interfaces of Wireshark and tshark, as [wireshark.md](wireshark.md) tells. It has these
flags; variables of the environment stand for settings that a consumer has, too.

`;

/**
 * docs/command-line.md, from the option table.
 *
 * @returns Markdown, its tables not yet aligned
 */
export function formatCommandLinePage(): string {
  const rows: readonly OptionRow[] = OPTION_TABLE;
  const present = rows.filter((row) => row.comesLater === undefined);
  const later = rows.filter((row) => row.comesLater !== undefined);
  const sections = SECTIONS.map(
    ([mode, title]) =>
      `## ${title}\n\n${formatOptions(present.filter((row) => row.mode === mode))}`,
  );
  return [
    INTRODUCTION,
    ...sections,
    ...(later.length === 0 ? [] : [`${NOT_THERE_YET}${formatLater(later)}`]),
    `${BROKER}${formatOptions(BROKER_OPTION_TABLE)}`,
    `${EXTCAP}${formatOptions(EXTCAP_OPTION_TABLE)}`,
    `${AUDIT}${formatOptions(AUDIT_OPTION_TABLE)}`,
    PROPERTIES,
  ].join("\n");
}

function formatOptions(rows: readonly OptionRow[]): string {
  return formatTable(
    ["flag", "default", "meaning"],
    rows.map((row) => [
      formatNames(row),
      row.default === undefined ? "" : `\`${row.default}\``,
      [row.help, describeValue(row.value)].filter((text) => text !== "").join("; "),
    ]),
  );
}

function formatLater(rows: readonly OptionRow[]): string {
  return formatTable(
    ["flag", "meaning", "meanwhile"],
    rows.map((row) => [formatNames(row), row.help, row.comesLater ?? ""]),
  );
}

function formatNames({ short, long, valueName }: OptionRow): string {
  const value = valueName === undefined ? "" : ` ${valueName}`;
  return `\`${short === undefined ? "" : `${short}, `}--${long}${value}\``;
}
