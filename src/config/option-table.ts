import type { TypedValue, ValueKind } from "./value-kind.ts";

/**
 * Every flag of the command line, one row each. The parser, the validation,
 * `--help` and docs/command-line.md are made from this table and from nothing
 * else. What holds between several flags stands in option-rules.ts.
 */

/** One flag. */
export interface OptionRow {
  /** Name behind `--`; also the key of the parsed value. */
  readonly long: string;
  /** With its dash: "-p", "-pp", "-X". */
  readonly short?: string;
  /** Who reads it; a flag of the other mode is accepted and changes nothing. */
  readonly mode: "both" | "producer" | "consumer" | "alone" | "broker" | "extcap";
  readonly value: ValueKind;
  /** How the value is called in help: "HOST:PORT". */
  readonly valueName?: string;
  /** As it would be typed; absent: nothing is assumed. */
  readonly default?: string;
  /** One sentence without its full stop. */
  readonly help: string;
  /** The value of a flag that is written without one; a value then stands behind an equals sign. */
  readonly optionalValue?: string;
  /** Known already, but refused: what to do meanwhile. */
  readonly comesLater?: string;
  /** A flag given twice: the last counts unless said otherwise here. */
  readonly repeat?: "all";
  /** Shown by `--help`, not only by `--help all`. */
  readonly brief?: true;
  /** What a shell completes its value with, where `value` does not say. */
  readonly completes?: "file" | "interface";
  /** Existed in Pycapa: keeps the abbreviations it had there. */
  readonly pycapa?: true;
}

/** All flags, in the order in which help and docs show them. */
export const OPTION_TABLE = [
  {
    long: "producer",
    short: "-p",
    mode: "alone",
    value: { type: "switch" },
    help: "publish frames to Kafka",
    brief: true,
    pycapa: true,
  },
  {
    long: "consumer",
    short: "-c",
    mode: "alone",
    value: { type: "switch" },
    help: "stream frames out of Kafka",
    brief: true,
    pycapa: true,
  },
  {
    long: "list-interfaces",
    short: "-D",
    mode: "alone",
    value: { type: "switch" },
    help: "list the interfaces that can be captured from, and exit",
    brief: true,
  },
  {
    long: "list-data-link-types",
    short: "-L",
    mode: "alone",
    value: { type: "switch" },
    help: "list the link types that -i can be opened with (-y), and exit",
  },
  {
    long: "list-time-stamp-types",
    short: "-J",
    mode: "alone",
    value: { type: "switch" },
    help: "list the time stamp types that -i can be opened with (-j), and exit",
  },
  {
    long: "json",
    mode: "alone",
    value: { type: "switch" },
    help: "with -D: the list as JSON, for programs",
  },
  {
    long: "completion",
    mode: "alone",
    value: { type: "choice", choices: ["bash", "zsh", "fish"] },
    valueName: "SHELL",
    help: "print the completion script of a shell: source <(pcapts --completion bash)",
  },
  {
    long: "version",
    mode: "alone",
    value: { type: "switch" },
    help: "print the versions of pcapts, Node, libpcap and kafkajs, and exit",
    brief: true,
  },
  {
    long: "help",
    short: "-h",
    mode: "alone",
    value: { type: "switch" },
    help: "print help and exit; --help all prints every flag",
    brief: true,
    pycapa: true,
  },

  {
    long: "kafka-broker",
    short: "-k",
    mode: "both",
    value: { type: "text" },
    valueName: "HOST:PORT",
    default: "localhost:9092",
    help: "brokers to start from, separated by commas",
    brief: true,
    pycapa: true,
  },
  {
    long: "kafka-topic",
    short: "-t",
    mode: "both",
    value: { type: "topic" },
    valueName: "NAME",
    default: "pcap",
    help: "topic",
    brief: true,
    pycapa: true,
  },
  {
    long: "kafka-property",
    short: "-X",
    mode: "both",
    value: { type: "property" },
    valueName: "KEY=VALUE",
    repeat: "all",
    help: "librdkafka property; may be given many times",
    brief: true,
    pycapa: true,
  },
  {
    long: "config",
    mode: "both",
    value: { type: "text" },
    valueName: "FILE",
    completes: "file",
    help: "file of librdkafka properties, a KEY=VALUE on each line; -X wins over it",
    brief: true,
  },
  {
    long: "max-packets",
    short: "-m",
    mode: "both",
    value: { type: "integer", min: 0, max: Number.MAX_SAFE_INTEGER },
    valueName: "N",
    default: "0",
    help: "stop after N frames; 0 is no limit",
    brief: true,
    pycapa: true,
  },
  {
    long: "pretty-print",
    short: "-pp",
    mode: "both",
    value: { type: "integer", min: 0, max: Number.MAX_SAFE_INTEGER },
    valueName: "N",
    default: "0",
    help: "print every Nth frame as text; a consumer then writes no pcap",
    brief: true,
    pycapa: true,
  },
  {
    long: "pretty-print-format",
    mode: "both",
    value: {
      type: "choice",
      choices: ["hex", "line", "summary"],
    },
    valueName: "F",
    default: "hex",
    help: "hex dump as Pycapa printed in 2017, line as in 2020, or summary as tcpdump's",
  },
  {
    long: "log-level",
    short: "-ll",
    mode: "both",
    value: {
      type: "choice",
      choices: ["DEBUG", "INFO", "WARN", "ERROR"],
      aliases: { warning: "WARN", critical: "ERROR", fatal: "ERROR" },
    },
    valueName: "L",
    default: "INFO",
    help: "least level of messages printed, in any case",
    brief: true,
    pycapa: true,
  },
  {
    long: "log-format",
    mode: "both",
    value: { type: "choice", choices: ["text", "json", "journal"] },
    valueName: "F",
    default: "text",
    help: "how messages are written on stderr; journal has systemd's levels instead of times",
    brief: true,
  },
  {
    long: "connect-timeout",
    mode: "both",
    value: { type: "decimal", min: 0.1, max: 86_400, unit: "seconds" },
    valueName: "S",
    default: "30",
    help: "seconds to wait for a first broker",
  },
  {
    long: "flush-timeout",
    mode: "both",
    value: { type: "decimal", min: 0, max: 86_400, unit: "seconds" },
    valueName: "S",
    default: "10",
    help: "seconds after a signal for acknowledgements, or the output and a group's last commit",
  },
  {
    long: "stats-interval",
    mode: "both",
    value: { type: "decimal", min: 0, max: 86_400, unit: "seconds" },
    valueName: "S",
    default: "0",
    help: "print the counters every S seconds, as on SIGUSR1; 0 prints none",
  },
  {
    long: "metrics",
    mode: "both",
    value: { type: "text" },
    valueName: "HOST:PORT",
    help: "serve metrics for Prometheus there, /healthz and /readyz; port 0 takes a free one",
  },
  {
    long: "stall-timeout",
    mode: "both",
    value: { type: "decimal", min: 0.1, max: 86_400, unit: "seconds" },
    valueName: "S",
    default: "15",
    help: "seconds until frames that go in and do not come out are trouble, for --metrics and systemd",
  },
  {
    long: "no-progress",
    short: "-q",
    mode: "both",
    value: { type: "switch" },
    help: "show no progress on a terminal, as -q of dumpcap and tcpreplay",
  },
  {
    long: "linktype",
    short: "-y",
    mode: "both",
    value: { type: "linktype" },
    valueName: "T",
    help: "link type, by name or number: to open an interface with, or to write in the output's header",
  },
  {
    long: "filter",
    short: "-f",
    mode: "both",
    value: { type: "text" },
    valueName: "EXPR",
    help: "only frames that match a libpcap filter; words after the flags are one too",
    brief: true,
  },
  {
    long: "insecure-listen",
    mode: "both",
    value: { type: "switch" },
    help: "with --listen, --read-listen: take an address that others reach, although nothing is protected",
  },
  {
    long: "listen-tls-cert",
    mode: "both",
    value: { type: "text" },
    valueName: "FILE",
    completes: "file",
    help: "with --listen, --read-listen: over TLS with this certificate, PEM",
  },
  {
    long: "listen-tls-key",
    mode: "both",
    value: { type: "text" },
    valueName: "FILE",
    completes: "file",
    help: "private key of --listen-tls-cert, PEM",
  },
  {
    long: "listen-tls-ca",
    mode: "both",
    value: { type: "text" },
    valueName: "FILE",
    completes: "file",
    help: "take only those whose certificate one of these authorities has signed, PEM",
  },

  {
    long: "interface",
    short: "-i",
    mode: "producer",
    value: { type: "text" },
    valueName: "X",
    repeat: "all",
    completes: "interface",
    help: "capture from an interface: name, number in -D, address, or TCP@HOST:PORT; may be repeated",
    brief: true,
    pycapa: true,
  },
  {
    long: "read",
    short: "-r",
    mode: "producer",
    value: { type: "text" },
    valueName: "FILE",
    repeat: "all",
    completes: "file",
    help: "publish a capture file or a directory of them; - is standard input; may be repeated",
    brief: true,
  },
  {
    long: "monitor",
    mode: "producer",
    value: { type: "switch" },
    help: "with -r DIR: follow a folder into which a capture program rotates files, until a signal",
  },
  {
    long: "read-listen",
    mode: "producer",
    value: { type: "text" },
    valueName: "[HOST:]PORT",
    help: "take captures that others send over TCP (tcpdump -w - | nc), each an interface of its own; 0 a free port",
  },
  {
    long: "max-senders",
    mode: "producer",
    value: { type: "integer", min: 1, max: 1000 },
    valueName: "N",
    default: "32",
    help: "with --read-listen: senders at a time; more are turned away",
  },
  {
    long: "snaplen",
    short: "-s",
    mode: "producer",
    value: { type: "integer", min: 0, max: 262_144, unit: "bytes" },
    valueName: "N",
    default: "262144",
    help: "keep at most N bytes of a frame, 0 is 262144; cuts frames of -r only when given",
    brief: true,
    pycapa: true,
  },
  {
    long: "embedded",
    mode: "producer",
    value: { type: "switch" },
    help: "start a broker in this process, at the address of -k; see pcapts broker --help",
  },
  {
    long: "partitions",
    mode: "producer",
    value: { type: "integer", min: 1, max: 100_000 },
    valueName: "N",
    default: "4",
    help: "partitions of a topic that has to be created",
    brief: true,
  },
  {
    long: "partitioner",
    mode: "producer",
    value: { type: "choice", choices: ["flow", "random"] },
    valueName: "P",
    default: "flow",
    help: "flow keeps both directions of a conversation in one partition, in order",
  },
  {
    long: "headers",
    mode: "producer",
    value: { type: "choice", choices: ["auto", "all"] },
    valueName: "H",
    default: "auto",
    help: "record headers: auto only where a frame needs them, all on every record",
  },
  {
    long: "record-timestamp",
    mode: "producer",
    value: { type: "choice", choices: ["publish", "capture"] },
    valueName: "T",
    default: "publish",
    help: "with -r: Kafka's timestamp is the time of publishing or of capture",
  },
  {
    long: "sensor",
    mode: "producer",
    value: { type: "text" },
    valueName: "NAME",
    help: "name of this probe in record headers; default the host name",
  },
  {
    long: "ledger-topic",
    mode: "producer",
    value: { type: "topic" },
    valueName: "NAME",
    help: "keep the books in this topic: a record for each interval, which pcapts audit reads",
  },
  {
    long: "ledger-interval",
    mode: "producer",
    value: { type: "decimal", min: 0.1, max: 86_400, unit: "seconds" },
    valueName: "S",
    default: "10",
    help: "seconds between two records of --ledger-topic",
  },
  {
    long: "buffer-size",
    short: "-B",
    mode: "producer",
    value: { type: "integer", min: 1, max: 2_097_151, unit: "KiB" },
    valueName: "KIB",
    default: "65536",
    help: "kernel capture buffer in KiB",
  },
  {
    long: "engine",
    mode: "producer",
    value: {
      type: "choice",
      choices: ["libpcap", "cap"],
    },
    valueName: "E",
    help: "how frames are taken from an interface; default libpcap, and cap where that does not load",
  },
  {
    long: "time-stamp-type",
    short: "-j",
    mode: "producer",
    value: { type: "text" },
    valueName: "T",
    help: "who stamps frames, such as host or adapter: -J lists them",
  },
  {
    long: "time-stamp-precision",
    mode: "producer",
    value: { type: "choice", choices: ["micro", "nano"] },
    valueName: "P",
    default: "micro",
    help: "of an interface's capture times: microseconds, or nanoseconds where it has them",
  },
  {
    long: "autostop",
    short: "-a",
    mode: "producer",
    value: { type: "autostop" },
    valueName: "COND",
    repeat: "all",
    help: "stop by duration:S, filesize:KB or packets:N, as dumpcap; may be repeated",
  },
  {
    long: "relinquish-privileges",
    short: "-Z",
    mode: "producer",
    value: { type: "text" },
    valueName: "USER",
    help: "change from root to this user once the source is open, before Kafka is contacted",
  },
  {
    long: "immediate-mode",
    mode: "producer",
    value: { type: "switch" },
    help: "hand frames over as they arrive instead of a buffer at a time",
  },
  {
    long: "no-promiscuous-mode",
    mode: "producer",
    value: { type: "switch" },
    help: "leave the interface out of promiscuous mode",
  },
  {
    long: "topspeed",
    mode: "producer",
    value: { type: "switch" },
    help: "with -r: publish as fast as Kafka takes it, which is what is done anyway",
  },
  {
    long: "multiplier",
    mode: "producer",
    value: { type: "decimal", min: 0.000001, max: 1_000_000 },
    valueName: "X",
    help: "with -r: replay X times as fast as it was captured; 1 is the recorded speed",
  },
  {
    long: "pps",
    mode: "producer",
    value: { type: "decimal", min: 0.000001, max: 1_000_000_000 },
    valueName: "N",
    help: "with -r: publish N frames a second",
  },
  {
    long: "mbps",
    mode: "producer",
    value: { type: "decimal", min: 0.000001, max: 1_000_000 },
    valueName: "N",
    help: "with -r: publish N million bits of frames a second",
  },
  {
    long: "loop",
    mode: "producer",
    value: { type: "integer", min: 0, max: Number.MAX_SAFE_INTEGER },
    valueName: "N",
    default: "1",
    help: "with -r: publish the files N times; 0 is until a signal",
  },

  {
    long: "kafka-offset",
    short: "-o",
    mode: "consumer",
    value: { type: "position" },
    valueName: "WHERE",
    default: "end",
    help: "begin, end, an ISO 8601 time, or -5m (s, m, h, d); in a group stored, its default",
    brief: true,
    pycapa: true,
  },
  {
    long: "exit-at-end",
    short: "-e",
    mode: "consumer",
    value: { type: "switch" },
    help: "stop where the topic ended when the run began",
    brief: true,
  },
  {
    long: "write",
    short: "-w",
    mode: "consumer",
    value: { type: "text" },
    valueName: "FILE",
    default: "-",
    completes: "file",
    help: "file to write; - is standard output",
    brief: true,
  },
  {
    long: "file-type",
    short: "-F",
    mode: "consumer",
    value: {
      type: "choice",
      choices: ["pcap", "nsecpcap", "pcapng"],
    },
    valueName: "T",
    default: "pcap",
    help: "pcap, nsecpcap for nanoseconds, pcapng for all link types and interfaces",
    brief: true,
  },
  {
    long: "from",
    mode: "consumer",
    value: { type: "time" },
    valueName: "TIME",
    help: "only frames captured at or after TIME, ISO 8601 or -5m; starts there without -o",
  },
  {
    long: "to",
    mode: "consumer",
    value: { type: "time" },
    valueName: "TIME",
    help: "only frames captured before TIME; stops when nothing more of them can come; starts at the begin if TIME is past, without -o and --from",
  },
  {
    long: "ordered",
    mode: "consumer",
    value: { type: "decimal", min: 0, max: 60_000, unit: "ms" },
    valueName: "MS",
    optionalValue: "100",
    help: "frames of partitions wait up to MS for each other, to be in order of capture time",
  },
  {
    long: "unordered",
    mode: "consumer",
    value: { type: "switch" },
    help: "write frames as partitions give them, with the least delay",
  },
  {
    long: "ring-buffer",
    short: "-b",
    mode: "consumer",
    value: { type: "text" },
    valueName: "COND",
    repeat: "all",
    help: "next file of -w at filesize:KB, duration:S, interval:S, packets:N; files:N are kept",
  },
  {
    long: "rotate-size",
    short: "-C",
    mode: "consumer",
    value: { type: "text" },
    valueName: "SIZE",
    help: "next file of -w after so many million bytes, or a size with K, M or G",
  },
  {
    long: "rotate-seconds",
    short: "-G",
    mode: "consumer",
    value: { type: "integer", min: 1, max: Number.MAX_SAFE_INTEGER, unit: "seconds" },
    valueName: "S",
    help: "next file of -w after so many seconds of capture time; -w may have %H as strftime",
  },
  {
    long: "rotate-count",
    short: "-W",
    mode: "consumer",
    value: { type: "integer", min: 1, max: Number.MAX_SAFE_INTEGER },
    valueName: "N",
    help: "keep the newest N files; with -G alone stop after N",
  },
  {
    long: "compress-output",
    mode: "consumer",
    value: { type: "choice", choices: ["gzip", "zstd"] },
    valueName: "C",
    help: "compress what -w writes",
  },
  {
    long: "listen",
    mode: "consumer",
    value: { type: "text" },
    valueName: "HOST:PORT",
    help: "serve the frames to whoever connects there, as pcap-over-IP; port 57012 if none, 0 a free one",
  },
  {
    long: "max-readers",
    mode: "consumer",
    value: { type: "integer", min: 1, max: 1000 },
    valueName: "N",
    default: "32",
    help: "with --listen: readers at a time; more are turned away",
  },
  {
    long: "header-now",
    mode: "consumer",
    value: { type: "switch" },
    help: "in an empty topic write the file header at once: Ethernet unless --linktype",
  },

  {
    long: "spool-dir",
    mode: "producer",
    value: { type: "text" },
    valueName: "DIR",
    completes: "file",
    help: "keep in DIR what neither memory nor Kafka takes, and send it when it does, or the next run",
  },
  {
    long: "spool-size",
    mode: "producer",
    value: { type: "size" },
    valueName: "SIZE",
    default: "1G",
    help: "most bytes in --spool-dir; K, M, G or T may stand behind the number",
  },
  {
    long: "overload",
    mode: "producer",
    value: { type: "overload" },
    valueName: "POLICY",
    help: "with -i, when memory and spool are full: drop-new, truncate:N bytes, sample:K keeps 1 of K flows",
  },
  {
    long: "capture-self",
    mode: "producer",
    value: { type: "switch" },
    help: "keep this host's own traffic to the brokers, which is left out of a capture otherwise",
  },
] as const satisfies readonly OptionRow[];

/** The value of every flag of a table: what was given, else the default, else undefined. */
export type ValuesOf<Row extends OptionRow> = {
  readonly [R in Row as R["long"]]:
    | (R extends { repeat: "all" } ? readonly TypedValue<R["value"]>[] : TypedValue<R["value"]>)
    | (R extends { default: string } | { value: { type: "switch" } } | { repeat: "all" }
        ? never
        : undefined);
};

/** The value of every flag of {@link OPTION_TABLE}. */
export type OptionValues = ValuesOf<(typeof OPTION_TABLE)[number]>;

/**
 * A flag as messages name it.
 *
 * @param row a row of the table
 * @returns `-k, --kafka-broker`
 */
export function formatFlag(row: OptionRow): string {
  return row.short === undefined ? `--${row.long}` : `${row.short}, --${row.long}`;
}
