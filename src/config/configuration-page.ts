import { ACCEPTED_PROPERTIES } from "./accepted-properties.ts";
import { PROPERTY_TABLE, type PropertyRow } from "./kafka-properties.ts";
import { formatTable } from "./markdown-table.ts";
import {
  ASSERTION_PROPERTIES,
  OPENSSL_PROPERTIES,
  PROGRAM_PROPERTIES,
  REFUSED_PROPERTIES,
} from "./refused-properties.ts";
import type { ValueKind } from "./value-kind.ts";

const INTRODUCTION = `# Configuration

Made from the property tables (\`src/config/\`) by \`scripts/make-docs.js\`: change it there.

Everything that is set is a flag ([command-line.md](command-line.md)) or a property of Kafka's client under
librdkafka's name. The first of these that names it wins:

1. the command line: \`-k kafka1:9092\`, \`-X linger.ms=20\`,
2. the environment: \`PCAPTS_KAFKA_BROKER=kafka1:9092\`, \`PCAPTS_X_LINGER_MS=20\`,
3. the file of \`--config\`: \`linger.ms=20\`,
4. the default.

Where \`-k\` and \`bootstrap.servers\` are given in the same place, \`bootstrap.servers\` wins.

## On the command line

\`-X KEY=VALUE\`, as often as needed; of a property given twice the last counts. The value is all that follows the first
\`=\`. Properties that librdkafka has for a topic are given in the same way, with kcat's \`topic.\` in front or without.
Booleans are \`true\` or \`false\`, \`t\` or \`f\`, \`1\` or \`0\`; choices are taken in any case. A value out of range is a
usage error, and so is an unknown name, with the nearest one that is known. Secrets are never printed, but
other users of a machine can read a command line: give them in the environment or in a file.

## In the environment

A name in capitals, with \`_\` for whatever is no letter or digit: behind \`PCAPTS_\` it stands for a flag, behind
\`PCAPTS_X_\` for a property.

| variable                      | is                          |
| ----------------------------- | --------------------------- |
| \`PCAPTS_KAFKA_BROKER=k1:9092\` | \`--kafka-broker k1:9092\`    |
| \`PCAPTS_CONFIG=/etc/pcapts\`   | \`--config /etc/pcapts\`      |
| \`PCAPTS_HEADER_NOW=true\`      | \`--header-now\`              |
| \`PCAPTS_INTERFACE="eth0 eth1"\` | \`-i eth0 -i eth1\`         |
| \`PCAPTS_X_GROUP_ID=probes\`    | \`-X group.id=probes\`        |

What to do (\`--producer\`, \`--consumer\`, the lists, \`--completion\`, \`--version\`, \`--help\`) is said on the command
line alone. An empty variable counts for nothing. One for a flag that may be repeated
takes several values with blanks between them. \`PCAPTS_INTERFACE\` gives way to a \`-r\` on the line, \`PCAPTS_READ\`
to an \`-i\`, \`PCAPTS_WRITE\` to a \`-pp\`, \`PCAPTS_FILTER\` to words after the flags. A \`PCAPTS_\` variable that stands for nothing is named in a warning.

## In a file

\`--config FILE\`: a \`KEY=VALUE\` on each line, properties only; blank lines and lines that begin with \`#\` are skipped,
blanks around key and value are cut.

## Properties with a meaning
`;

/**
 * docs/configuration.md, from the property tables.
 *
 * @returns Markdown, its tables not yet aligned
 */
export function formatConfigurationPage(): string {
  return [
    INTRODUCTION,
    formatTable(
      ["property", "read by", "type", "values", "default", "meaning"],
      PROPERTY_TABLE.map((row) => formatRow(row, formatMeaning(row))),
    ),
    "## Accepted, without a meaning here\n\nScripts carry them; a DEBUG line says why they change nothing.\n",
    formatTable(
      ["property", "read by", "type", "values", "why it changes nothing"],
      ACCEPTED_PROPERTIES.map((row) => formatRow(row, row.help).filter((_, index) => index !== 4)),
    ),
    `## Refused

To ignore these would be to promise what is not done: each is a usage error.
`,
    formatTable(
      ["property", "why"],
      [
        ...[...REFUSED_PROPERTIES]
          .filter(([name]) => !inLists(name))
          .map(([name, reason]) => [`\`${name}\``, reason]),
        ...LISTS.map((names) => [listNames(names), reasonOf(names)]),
      ],
    ),
  ].join("\n");
}

function formatRow(row: Omit<PropertyRow, "differs">, meaning: string): string[] {
  const { type, values } = describeType(row.value);
  return [
    [row.name, ...(row.aliases ?? [])].map((name) => `\`${name}\``).join(", "),
    row.mode,
    type,
    values,
    row.default === undefined ? "" : `\`${row.default}\``,
    meaning,
  ];
}

function formatMeaning(row: PropertyRow): string {
  return row.differs === undefined ? row.help : `${row.help}. Not as in librdkafka: ${row.differs}`;
}

/** "integer, ms" and "1 to 900000"; "choice" and "range, roundrobin". */
function describeType(kind: ValueKind): { type: string; values: string } {
  switch (kind.type) {
    case "integer":
    case "decimal":
      return {
        type: kind.unit === undefined ? kind.type : `${kind.type}, ${kind.unit}`,
        values: `${kind.min} to ${kind.max}`,
      };
    case "boolean":
      return { type: "boolean", values: "true, false" };
    case "choice":
    case "list": {
      const later = Object.keys(kind.later ?? {});
      const notYet = later.length === 0 ? "" : `; not there yet: ${later.join(", ")}`;
      return { type: kind.type, values: kind.choices.join(", ") + notYet };
    }
    default:
      return { type: "text", values: "" };
  }
}

/** Refused for one reason. */
const LISTS = [ASSERTION_PROPERTIES, OPENSSL_PROPERTIES, PROGRAM_PROPERTIES];

function inLists(name: string): boolean {
  return LISTS.some((names) => names.includes(name));
}

function reasonOf(names: readonly string[]): string {
  return REFUSED_PROPERTIES.get(names[0] ?? "") ?? "";
}

function listNames(names: readonly string[]): string {
  return names.map((name) => `\`${name}\``).join(", ");
}
