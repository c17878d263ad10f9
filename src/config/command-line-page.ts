import { PROPERTY_TABLE, type PropertyRow } from "./kafka-properties.ts";
import { OPTION_TABLE, type OptionRow } from "./option-table.ts";
import { formatChoices, formatRange, type ValueKind } from "./value-kind.ts";

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

/**
 * docs/command-line.md, from the option table and the property table.
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
    `## Not there yet\n\nThese are known, and refused with what to do meanwhile.\n\n${formatLater(later)}`,
    `## Kafka properties (-X, --config)\n\nlibrdkafka's names. A property that librdkafka knows and that is not in this table is\n` +
      `accepted and changes nothing, except those of encryption, authentication, groups and\n` +
      `transactions, which are refused; an unknown name is an error.\n\n${formatProperties(PROPERTY_TABLE)}`,
  ].join("\n");
}

function formatOptions(rows: readonly OptionRow[]): string {
  return formatTable(
    ["flag", "default", "meaning"],
    rows.map((row) => [
      formatNames(row),
      row.default === undefined ? "" : `\`${row.default}\``,
      [row.help, ...describeValues(row.value)].join("; "),
    ]),
  );
}

function formatLater(rows: readonly OptionRow[]): string {
  return formatTable(
    ["flag", "meaning", "meanwhile"],
    rows.map((row) => [formatNames(row), row.help, row.comesLater ?? ""]),
  );
}

function formatProperties(rows: readonly PropertyRow[]): string {
  return formatTable(
    ["property", "read by", "default", "meaning"],
    rows.map((row) => [
      [row.name, ...(row.aliases ?? [])].map((name) => `\`${name}\``).join(", "),
      row.mode,
      row.default === undefined ? "" : `\`${row.default}\``,
      [row.help, ...describeValues(row.value)].join("; "),
    ]),
  );
}

function formatNames({ short, long, valueName }: OptionRow): string {
  const value = valueName === undefined ? "" : ` ${valueName}`;
  return `\`${short === undefined ? "" : `${short}, `}--${long}${value}\``;
}

function describeValues(kind: ValueKind): string[] {
  switch (kind.type) {
    case "integer":
    case "decimal":
      return [formatRange(kind)];
    case "boolean":
      return ["true or false"];
    case "choice": {
      const later = Object.keys(kind.later ?? {});
      const present = kind.choices.length < 2 ? [] : [formatChoices(kind.choices)];
      return later.length === 0 ? present : [...present, `not there yet: ${later.join(", ")}`];
    }
    default:
      return [];
  }
}

function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
  return line(head) + line(head.map(() => "---")) + rows.map(line).join("");
}
