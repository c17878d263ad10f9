import { AUDIT_OPTION_TABLE } from "./audit-option-table.ts";
import { BROKER_OPTION_TABLE } from "./broker-option-table.ts";
import { EXTCAP_OPTION_TABLE } from "./extcap-option-table.ts";
import { PROPERTY_TABLE, type PropertyRow } from "./kafka-properties.ts";
import { OPTION_TABLE, type OptionRow } from "./option-table.ts";
import { describeValue } from "./value-kind.ts";

const SECTIONS: readonly (readonly [OptionRow["mode"], string])[] = [
  ["alone", "What to do"],
  ["both", "Producer and consumer"],
  ["producer", "Producer"],
  ["consumer", "Consumer"],
];

const HEAD = String.raw`.\" Made from the option table by scripts/make-docs.js: change it there.
.TH PCAPTS 1 2026-11-21 pcapts "User commands"
.SH NAME
pcapts \- capture frames into a Kafka topic and stream them back out as pcap
.SH SYNOPSIS
.B pcapts \-p
.RB { \-i
.IR X " |"
.B \-r
.IR FILE }
.RI [ flags ]
.br
.B pcapts \-c
.RI [ flags ]
.br
.B pcapts broker
.RI [ flags ]
.br
.B pcapts extcap
.RB { \-\-install " | " \-\-uninstall }
.RI [ flags ]
.br
.B pcapts audit \-\-ledger\-topic
.IR NAME " [" flags ]
.SH DESCRIPTION
As a producer
.B pcapts
publishes each frame of a network interface or of a capture file as one Kafka record: the key is the
capture time in microseconds, the value the frame.
As a consumer it reads such records and writes them as a pcap file or stream.
.PP
Of a flag given twice the last counts.
A long name may be cut where it stays unique.
Short flags are not grouped, because
.B \-pp
and
.B \-ll
are names.
A value that begins with a dash and is no number needs
.BI \-\-name= VALUE \fR.
`;

const TAIL = String.raw`.SH ENVIRONMENT
A flag may be given as
.B PCAPTS_
and its long name in capitals with underscores
.RB ( PCAPTS_KAFKA_BROKER ),
a property as
.B PCAPTS_X_
and its name in the same way
.RB ( PCAPTS_X_LINGER_MS ).
The command line wins over the environment, the environment over the file of
.BR \-\-config .
.SH SIGNALS
.TP
.BR SIGINT ", " SIGTERM
take no more frames, wait for acknowledgements, print the summary and exit; a second one exits at once
.TP
.B SIGUSR1
print the counters and go on
.SH "EXIT STATUS"
.TP
.B 0
a producer: every captured frame was acknowledged; a consumer: it ended in order
.TP
.B 1
a failure, frames lost, or frames left out for their link type
.TP
.B 2
wrong use
.TP
.B 130
a second signal
.SH EXAMPLES
.TP
.B pcapts \-p \-i eth0 \-k kafka1:9092
capture eth0 into the topic pcap
.TP
.B pcapts \-c \-o begin \-e > out.pcap
everything the topic holds, as a file
.TP
.B pcapts \-c | wireshark \-k \-i \-
watch frames as they come in
.SH "SEE ALSO"
.BR tcpdump (1),
.BR wireshark (1),
.BR kcat (1),
.BR pcap\-filter (7)
`;

/**
 * docs/pcapts.1, from the option table and the property table.
 *
 * @returns the page in roff, for man(1)
 */
export function formatManualPage(): string {
  const rows: readonly OptionRow[] = OPTION_TABLE;
  const present = rows.filter((row) => row.comesLater === undefined);
  const later = rows.filter((row) => row.comesLater !== undefined);
  const properties: readonly PropertyRow[] = PROPERTY_TABLE;
  return [
    HEAD,
    ".SH OPTIONS\n",
    ...SECTIONS.map(
      ([mode, title]) =>
        `.SS "${title}"\n${present
          .filter((row) => row.mode === mode)
          .map((row) => formatOption(row, row.help))
          .join("")}`,
    ),
    ...(later.length === 0 ? [] : ['.SS "Not there yet"\n']),
    ...later.map((row) => formatOption(row, `${row.help}; meanwhile: ${row.comesLater}`)),
    '.SH "PCAPTS BROKER"\n',
    ".B pcapts broker\nis a Kafka broker of one node: topics on disk, groups, idempotent producers;\n",
    "no replication, no transactions, no security.\n",
    ...BROKER_OPTION_TABLE.map((row: OptionRow) => formatOption(row, row.help)),
    '.SH "PCAPTS EXTCAP"\n',
    ".B pcapts extcap\nmakes topics interfaces of Wireshark and tshark.\n",
    ...EXTCAP_OPTION_TABLE.filter(({ role }) => role !== "wireshark").map((row) =>
      formatOption(row, row.help),
    ),
    '.SH "PCAPTS AUDIT"\n',
    ".B pcapts audit\nreads the ledger of a topic back: complete, exit status 0, or what is missing, exit status 1.\n",
    ...AUDIT_OPTION_TABLE.map((row) => formatOption(row, row.help)),
    ".SH PROPERTIES\n",
    "Properties of\n.B \\-X\nand\n.B \\-\\-config\nhave librdkafka's names.\n",
    "Those that have a meaning:\n",
    ...properties.map(formatProperty),
    TAIL,
  ].join("");
}

function formatOption(row: OptionRow, help: string): string {
  const names = [...(row.short === undefined ? [] : [row.short]), `--${row.long}`]
    .map((name) => String.raw`\fB${escape(name)}\fR`)
    .join(", ");
  const value = row.valueName === undefined ? "" : String.raw` \fI${escape(row.valueName)}\fR`;
  return formatItem(names + value, row, help);
}

function formatProperty(row: PropertyRow): string {
  const names = [row.name, ...(row.aliases ?? [])]
    .map((name) => String.raw`\fB${escape(name)}\fR`)
    .join(", ");
  return formatItem(names, row, row.help);
}

function formatItem(
  title: string,
  row: Pick<OptionRow, "value" | "default">,
  help: string,
): string {
  const assumed = row.default === undefined ? "" : `default ${row.default}`;
  const parts = [help, describeValue(row.value), assumed].filter((part) => part !== "");
  return `.TP\n${title}\n${wrap(escape(parts.join("; ")))}`;
}

/** A dash that is typed, a backslash, and quotes as they are. */
function escape(text: string): string {
  return text
    .replaceAll("\\", String.raw`\e`)
    .replaceAll("-", String.raw`\-`)
    .replaceAll("'", String.raw`\(aq`);
}

/** Lines of at most 100 characters, none of which begins like a request. */
function wrap(text: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > 100) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].map((each) => `${each.replace(/^[.']/, String.raw`\&$&`)}\n`).join("");
}
