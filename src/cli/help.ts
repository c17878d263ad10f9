import { AUDIT_OPTION_TABLE } from "../config/audit-option-table.ts";
import { BROKER_OPTION_TABLE } from "../config/broker-option-table.ts";
import { EXTCAP_OPTION_TABLE } from "../config/extcap-option-table.ts";
import { OPTION_TABLE, type OptionRow } from "../config/option-table.ts";

const WIDTH = 80;
const HELP_COLUMN = 26;

/** One line for usage errors and the head of the help, by the command; "" is pcapts itself. */
export const USAGE_LINES = {
  "": "usage: pcapts -p (-i X | -r FILE) [flags]   or   pcapts -c [flags]",
  broker: "usage: pcapts broker [flags]",
  audit: "usage: pcapts audit --ledger-topic NAME [flags]",
  extcap: "usage: pcapts extcap (--install | --uninstall) [flags]",
} as const;

const EXAMPLES = `examples:
  pcapts -p -i eth0 -k kafka1:9092     capture eth0 into the topic "pcap"
  pcapts -c -o begin -e > out.pcap     everything the topic holds, as a file
  pcapts -c | wireshark -k -i -        watch frames as they come in
`;

const ENVIRONMENT = `pcapts broker is a Kafka broker of one node, pcapts extcap brings topics into
Wireshark, pcapts audit reads a ledger back; each has a --help of its own.
environment:
  PCAPTS_KAFKA_BROKER=HOST:PORT and the like stand for flags,
  PCAPTS_X_LINGER_MS=20 and the like for properties; the command line wins
`;

const SECTIONS: readonly (readonly [OptionRow["mode"], string])[] = [
  ["alone", "what to do:"],
  ["both", "both:"],
  ["producer", "producer:"],
  ["consumer", "consumer:"],
];

/**
 * The help, from the option table, at most 80 columns wide.
 *
 * @param amount `brief` fits a screen of 50 lines; `all` has every flag
 * @returns whole lines
 */
export function formatHelp(amount: "brief" | "all"): string {
  const rows: readonly OptionRow[] = OPTION_TABLE;
  const present = rows.filter((row) => row.comesLater === undefined);
  const shown = amount === "all" ? present : present.filter((row) => row.brief);
  const sections = SECTIONS.map(
    ([mode, title]) =>
      `${title}\n${shown
        .filter((row) => row.mode === mode)
        .map(formatRow)
        .join("")}`,
  );
  if (amount === "all") {
    const later = rows.filter((row) => row.comesLater !== undefined);
    if (later.length > 0) sections.push(`not there yet:\n${later.map(formatRow).join("")}`);
  }
  const more =
    amount === "all"
      ? ENVIRONMENT
      : "pcapts --help all shows the rest; pcapts broker, audit and extcap have a --help.\n";
  return `${USAGE_LINES[""]}\n\n${sections.join("")}${EXAMPLES}${more}`;
}

const BROKER_HEAD = `${USAGE_LINES.broker}

A Kafka broker of one node for this machine: topics on disk, consumer groups,
idempotent producers. It is no cluster: there is one copy of everything, no
transactions, and no security beyond loopback. For more, run Apache Kafka.

`;

const BROKER_EXAMPLES = `examples:
  pcapts broker                                      at 127.0.0.1:9092, until Ctrl-C
  pcapts broker --listen 127.0.0.1:19092 --data-dir ./kafka --fsync every
`;

/**
 * The help of `pcapts broker`, from its option table.
 *
 * @returns whole lines
 */
export function formatBrokerHelp(): string {
  const rows: readonly OptionRow[] = BROKER_OPTION_TABLE;
  return `${BROKER_HEAD}flags:\n${rows.map(formatRow).join("")}${BROKER_EXAMPLES}`;
}

const EXTCAP_HEAD = `${USAGE_LINES.extcap}

Topics as interfaces of Wireshark and tshark. What is set with --install is the
default of every interface; Wireshark asks for the same and wins over it.

`;

const EXTCAP_EXAMPLES = `examples:
  pcapts extcap --install -k kafka1:9092     topics of kafka1, in Wireshark's list
  pcapts extcap --install --topics 'pcap*,web' --config kafka.conf
`;

/**
 * The help of `pcapts extcap`, from its option table.
 *
 * @returns whole lines
 */
export function formatExtcapHelp(): string {
  const rowsOf = (...roles: string[]): string =>
    EXTCAP_OPTION_TABLE.filter(({ role }) => roles.includes(role))
      .map(formatRow)
      .join("");
  return (
    `${EXTCAP_HEAD}what to do:\n${rowsOf("person")}settings:\n${rowsOf("setting")}` +
    `said by Wireshark:\n${rowsOf("wireshark")}${EXTCAP_EXAMPLES}`
  );
}

const AUDIT_HEAD = `${USAGE_LINES.audit}

Reads back what producers with --ledger-topic NAME wrote of a topic: "complete",
exit status 0, or what is missing, exit status 1.

`;

/** The help of `pcapts audit`, from its option table; whole lines. */
export function formatAuditHelp(): string {
  return `${AUDIT_HEAD}flags:\n${AUDIT_OPTION_TABLE.map(formatRow).join("")}`;
}

function formatRow(row: OptionRow): string {
  const names = row.short === undefined ? `    --${row.long}` : `${row.short}, --${row.long}`;
  const left = `  ${names}${row.valueName === undefined ? "" : ` ${row.valueName}`}`;
  const assumed = row.default === undefined ? "" : ` (${row.default})`;
  const lines = wrap(row.help + assumed, WIDTH - HELP_COLUMN);
  const head =
    left.length < HELP_COLUMN - 1 ? left.padEnd(HELP_COLUMN) + (lines.shift() ?? "") : left;
  return [head, ...lines.map((line) => " ".repeat(HELP_COLUMN) + line)].join("\n") + "\n";
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
