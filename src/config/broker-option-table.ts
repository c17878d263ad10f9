import type { OptionRow, ValuesOf } from "./option-table.ts";

/**
 * Every flag of `pcapts broker`, one row each: parser, help, docs and
 * completion are made from it, as from the table of the program itself.
 */
export const BROKER_OPTION_TABLE = [
  {
    long: "listen",
    mode: "broker",
    value: { type: "text" },
    valueName: "HOST:PORT",
    default: "127.0.0.1:9092",
    help: "address to listen on; port 0 takes a free one",
  },
  {
    long: "insecure-listen",
    mode: "broker",
    value: { type: "switch" },
    help: "listen on an address that others reach too, although nothing is protected",
  },
  {
    long: "data-dir",
    mode: "broker",
    value: { type: "text" },
    valueName: "DIR",
    completes: "file",
    help: "directory for everything that is kept; default pcapts/broker in $XDG_DATA_HOME or ~/.local/share",
  },
  {
    long: "partitions",
    mode: "broker",
    value: { type: "integer", min: 1, max: 10_000 },
    valueName: "N",
    default: "4",
    help: "partitions of a topic that a client uses and nobody created",
  },
  {
    long: "retention-hours",
    mode: "broker",
    value: { type: "integer", min: -1, max: 1_000_000, unit: "hours" },
    valueName: "N",
    default: "168",
    help: "delete records older than N hours; -1 keeps them",
  },
  {
    long: "retention-bytes",
    mode: "broker",
    value: { type: "integer", min: -1, max: Number.MAX_SAFE_INTEGER, unit: "bytes" },
    valueName: "N",
    default: "-1",
    help: "delete the oldest records of a partition beyond N bytes; -1 keeps them",
  },
  {
    long: "segment-bytes",
    mode: "broker",
    value: { type: "integer", min: 1024, max: 2_147_483_647, unit: "bytes" },
    valueName: "N",
    default: "1073741824",
    help: "size of the files that a partition consists of; whole files are deleted",
  },
  {
    long: "fsync",
    mode: "broker",
    value: { type: "text" },
    valueName: "WHEN",
    default: "1000",
    help: "bring records to the disk every so many milliseconds, every: before each answer, or never: when the system does",
  },
  {
    long: "log-level",
    short: "-ll",
    mode: "broker",
    value: {
      type: "choice",
      choices: ["DEBUG", "INFO", "WARN", "ERROR"],
      aliases: { warning: "WARN", critical: "ERROR", fatal: "ERROR" },
    },
    valueName: "L",
    default: "INFO",
    help: "least level of messages printed, in any case",
  },
  {
    long: "log-format",
    mode: "broker",
    value: { type: "choice", choices: ["text", "json", "journal"] },
    valueName: "F",
    default: "text",
    help: "how messages are written on stderr",
  },
  {
    long: "help",
    short: "-h",
    mode: "broker",
    value: { type: "switch" },
    help: "print this and exit",
  },
] as const satisfies readonly OptionRow[];

/** The value of every flag of `pcapts broker`. */
export type BrokerOptionValues = ValuesOf<(typeof BROKER_OPTION_TABLE)[number]>;
