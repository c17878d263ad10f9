import { PcaptsError } from "../errors.ts";
import { isTcpInterface } from "./tcp-interface.ts";
import type { PropertyAssignment, SettingNote } from "./kafka-settings.ts";
import { formatFlag, OPTION_TABLE, type OptionRow, type OptionValues } from "./option-table.ts";

/** A command line whose flags are each right by themselves. */
export interface CommandLine {
  readonly values: OptionValues;
  /** Names of the flags that were written, on the line or in the environment. */
  readonly given: ReadonlySet<string>;
  readonly environment: EnvironmentSettings;
  /** Words that belong to no flag. */
  readonly words: readonly string[];
}

/** What the environment said, besides flags. */
export interface EnvironmentSettings {
  /** Names of the flags whose values come from it. */
  readonly flags: ReadonlySet<string>;
  readonly properties: readonly PropertyAssignment[];
  readonly notes: readonly SettingNote[];
}

interface OptionRule {
  readonly broken: (line: CommandLine) => boolean;
  readonly message: string;
}

/** What --listen and --read-listen alone give a meaning. */
const LISTENING = ["insecure-listen", "listen-tls-cert", "listen-tls-key", "listen-tls-ca"];

/** What holds between flags, in the order in which it is checked. */
const OPTION_RULES: readonly OptionRule[] = [
  {
    // Both would be a filter, and one of them would be lost without a word.
    broken: ({ given, words }) => given.has("filter") && words.length > 0,
    message:
      "The filter is given twice, with -f, --filter and as words after the flags: " +
      "quote the whole expression behind -f, or leave -f out",
  },
  {
    broken: ({ values }) => values.json && !values["list-interfaces"],
    message: "--json goes with -D, --list-interfaces",
  },
  {
    // What only prints needs neither a mode nor a source.
    broken: ({ values }) => !onlyPrints(values) && !values.producer && !values.consumer,
    message: "One of -p, --producer and -c, --consumer is needed",
  },
  {
    // Pycapa ran the consumer then; a line that says both is a mistake.
    broken: ({ values }) => !onlyPrints(values) && values.producer && values.consumer,
    message: "-p, --producer and -c, --consumer exclude each other",
  },
  {
    broken: ({ values }) => listsTypes(values) && values.interface.length === 0,
    message:
      "-L, --list-data-link-types and -J, --list-time-stamp-types are of an interface: " +
      "name it with -i, --interface X (pcapts -D lists them)",
  },
  {
    broken: ({ values }) => listsTypes(values) && values.interface.some(isTcpInterface),
    message:
      "-L, --list-data-link-types and -J, --list-time-stamp-types are of an interface of this " +
      "machine: frames of TCP@HOST:PORT have their link type and their times",
  },
  {
    broken: ({ values }) => isProducing(values) && countSources(values) === 0,
    message:
      "A producer needs a source: -i, --interface X (pcapts -D lists them), -r, --read FILE, " +
      "or --read-listen PORT",
  },
  {
    broken: ({ values }) => isProducing(values) && countSources(values) > 1,
    message: "-i, --interface, -r, --read and --read-listen exclude each other",
  },
  {
    // Standard input can be read once.
    broken: ({ values }) => values.read.filter((file) => file === "-").length > 1,
    message: "-r, --read - is given twice: there is one standard input",
  },
  {
    // Frames from an interface come when they come.
    broken: ({ values }) =>
      isProducing(values) &&
      values.read.length === 0 &&
      (countSpeeds(values) > 0 || values.loop !== 1),
    message: "--topspeed, --multiplier, --pps, --mbps and --loop go with -r, --read FILE",
  },
  {
    // Each is a speed of its own. tcpreplay refuses two of them as well.
    broken: ({ values }) => isProducing(values) && countSpeeds(values) > 1,
    message:
      "--topspeed, --multiplier, --pps and --mbps exclude each other: a replay has one speed",
  },
  {
    // What came from a pipe is gone once it is read.
    broken: ({ values }) => readsFile(values) && values.loop !== 1 && values.read.includes("-"),
    message: "--loop needs files, which can be read again: -r, --read - is standard input",
  },
  {
    broken: ({ values }) =>
      isProducing(values) && values.monitor && (values.read.length !== 1 || values.read[0] === "-"),
    message: "--monitor follows one folder: name it with -r, --read DIR",
  },
  {
    // Frames come when they are captured, and are never all there.
    broken: ({ values }) =>
      isProducing(values) && values.monitor && (countSpeeds(values) > 0 || values.loop !== 1),
    message:
      "--monitor takes frames as they come: leave --topspeed, --multiplier, --pps, --mbps and --loop out",
  },
  {
    // A file says itself what its frames are; another word for them would mislabel every one.
    broken: ({ values }) => readsFile(values) && values.linktype !== undefined,
    message: "-y, --linktype goes with -i, --interface: a file names its link type itself",
  },
  {
    broken: ({ values }) => readsFile(values) && values["time-stamp-type"] !== undefined,
    message: "-j, --time-stamp-type goes with -i, --interface: frames of a file have their times",
  },
  {
    broken: ({ values }) => readsFile(values) && values["time-stamp-precision"] === "nano",
    message:
      "--time-stamp-precision goes with -i, --interface: frames of a file have their times, " +
      "and all nanoseconds that are in it are published",
  },
  {
    broken: ({ values }) =>
      readsStreams(values) &&
      (values.linktype !== undefined ||
        values["time-stamp-type"] !== undefined ||
        values["time-stamp-precision"] === "nano"),
    message:
      "-y, -j and --time-stamp-precision go with an interface of this machine: " +
      "frames that come over TCP have their link type and their times",
  },
  {
    broken: ({ values }) => usesCap(values) && values.linktype !== undefined,
    message: "-y, --linktype needs --engine libpcap: cap opens an interface with its default",
  },
  {
    broken: ({ values }) => usesCap(values) && values["time-stamp-type"] !== undefined,
    message: "-j, --time-stamp-type needs --engine libpcap: cap hands on no time stamps",
  },
  {
    broken: ({ values }) => usesCap(values) && values["time-stamp-precision"] === "nano",
    message: "--time-stamp-precision nano needs --engine libpcap: cap hands on no time stamps",
  },
  {
    // The data would be root's, and after the change the broker could not write on.
    broken: ({ values }) =>
      isProducing(values) && values.embedded && values["relinquish-privileges"] !== undefined,
    message:
      "--embedded and -Z, --relinquish-privileges exclude each other: " +
      "run pcapts broker as a user of its own, or grant CAP_NET_RAW and start without root",
  },
  {
    // Its records are no frames.
    broken: ({ values }) => values["ledger-topic"] === values["kafka-topic"],
    message: "--ledger-topic and -t, --kafka-topic name the same topic: the ledger needs its own",
  },
  {
    // Text goes to standard output and no pcap is written, so the file would stay empty.
    broken: ({ values }) => values.consumer && values["pretty-print"] > 0 && values.write !== "-",
    message: "-pp, --pretty-print prints text instead of pcap: leave -w, --write out",
  },
  {
    broken: ({ values }) => values.consumer && values["pretty-print"] > 0 && writesFiles(values),
    message:
      "-pp, --pretty-print prints text instead of pcap: " +
      "leave --compress-output, -b, -C, -G and -W out",
  },
  {
    // What is served is pcap, and whole: every reader has its own.
    broken: ({ values }) =>
      values.consumer &&
      values.listen !== undefined &&
      (values.write !== "-" || values["pretty-print"] > 0 || writesFiles(values)),
    message:
      "--listen serves what -w, --write would write: " +
      "leave -w, -pp, --compress-output, -b, -C, -G and -W out",
  },
  {
    broken: ({ values, given }) =>
      values.consumer && values.listen === undefined && given.has("max-readers"),
    message: "--max-readers goes with --listen HOST:PORT",
  },
  {
    broken: ({ values, given }) =>
      isProducing(values) && values["read-listen"] === undefined && given.has("max-senders"),
    message: "--max-senders goes with --read-listen PORT",
  },
  {
    // A line that both modes share may have --listen, which is the consumer's.
    broken: ({ values, given }) =>
      !given.has("listen") &&
      !given.has("read-listen") &&
      LISTENING.some((flag) => given.has(flag)) &&
      !onlyPrints(values),
    message:
      "--insecure-listen, --listen-tls-cert, --listen-tls-key and --listen-tls-ca " +
      "go with --listen HOST:PORT or --read-listen PORT",
  },
  {
    broken: ({ values }) =>
      (values["listen-tls-cert"] === undefined) !== (values["listen-tls-key"] === undefined) ||
      (values["listen-tls-ca"] !== undefined && values["listen-tls-cert"] === undefined),
    message: "TLS needs both --listen-tls-cert FILE and --listen-tls-key FILE",
  },
  {
    // Several files need names.
    broken: ({ values }) => values.consumer && makesRing(values) && values.write === "-",
    message: "-b, -C, -G and -W make several files: name them with -w, --write FILE",
  },
  {
    broken: ({ values, given }) => values.consumer && values.unordered && given.has("ordered"),
    message: "--ordered and --unordered exclude each other",
  },
  {
    broken: ({ values, given }) =>
      isProducing(values) && given.has("spool-size") && values["spool-dir"] === undefined,
    message: "--spool-size goes with --spool-dir DIR, which names the directory",
  },
  {
    broken: ({ values }) => readsFile(values) && values.overload !== undefined,
    message: "--overload goes with -i, --interface: a file waits until there is room",
  },
];

function makesRing(values: OptionValues): boolean {
  return (
    values["ring-buffer"].length > 0 ||
    values["rotate-size"] !== undefined ||
    values["rotate-seconds"] !== undefined ||
    values["rotate-count"] !== undefined
  );
}

function writesFiles(values: OptionValues): boolean {
  return makesRing(values) || values["compress-output"] !== undefined;
}

function onlyPrints(values: OptionValues): boolean {
  return values["list-interfaces"] || values.completion !== undefined || listsTypes(values);
}

function listsTypes(values: OptionValues): boolean {
  return values["list-data-link-types"] || values["list-time-stamp-types"];
}

function isProducing(values: OptionValues): boolean {
  return values.producer && !onlyPrints(values);
}

function countSources(values: OptionValues): number {
  const { interface: names, read, "read-listen": listen } = values;
  return [names.length > 0, read.length > 0, listen !== undefined].filter(Boolean).length;
}

function readsFile(values: OptionValues): boolean {
  return isProducing(values) && values.read.length > 0;
}

function countSpeeds({ topspeed, multiplier, pps, mbps }: OptionValues): number {
  return [topspeed || undefined, multiplier, pps, mbps].filter((each) => each !== undefined).length;
}

/** No interface of this machine among them. */
function readsStreams(values: OptionValues): boolean {
  const { interface: names } = values;
  if (!isProducing(values)) return false;
  return values["read-listen"] !== undefined || (names.length > 0 && names.every(isTcpInterface));
}

function usesCap(values: OptionValues): boolean {
  return isProducing(values) && values.engine === "cap";
}

/**
 * The filter of a command line: that of `-f`, or the words after the flags.
 *
 * @returns undefined where there is none
 */
export function filterOf({
  values,
  words,
}: Pick<CommandLine, "values" | "words">): string | undefined {
  return words.length > 0 ? words.join(" ") : values.filter;
}

/**
 * Checks what holds between flags.
 *
 * @param line a command line whose flags are each right by themselves
 * @throws PcaptsError USAGE
 */
export function checkOptionRules(line: CommandLine): void {
  const rule = OPTION_RULES.find(({ broken }) => broken(line));
  if (rule !== undefined) throw new PcaptsError("USAGE", rule.message);
}

/**
 * Flags that were written and that only the other mode reads: scripts that
 * share flags between both are right, so this is no error.
 *
 * @param given names of the flags that were written
 * @param mode the mode that runs
 * @returns the flags, as messages name them
 */
export function listFlagsOfOtherMode(
  given: ReadonlySet<string>,
  mode: "producer" | "consumer",
): string[] {
  const other = mode === "producer" ? "consumer" : "producer";
  return OPTION_TABLE.filter((row: OptionRow) => row.mode === other && given.has(row.long)).map(
    formatFlag,
  );
}
