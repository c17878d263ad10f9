import { SECURITY_PROPERTY_TABLE } from "./security-properties.ts";
import type { TypedValue, ValueKind } from "./value-kind.ts";

/*
 * The librdkafka properties that have a meaning here; the flags -X and
 * --config, their checks and docs/configuration.md are made from this table.
 * Those that change nothing are in accepted-properties.ts, those that cannot
 * be had, or not yet, in refused-properties.ts.
 */

/** A property that has a meaning here. */
export interface PropertyRow {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly mode: "both" | "producer" | "consumer";
  readonly value: ValueKind;
  /** As it would be written; absent: see `help`. */
  readonly default?: string;
  /** Why default or values are not librdkafka's. */
  readonly differs?: string;
  /** Its value is never printed. */
  readonly secret?: true;
  /** One sentence without its full stop. */
  readonly help: string;
}

const MAX_INT32 = 2_147_483_647;

/** What librdkafka's `debug` may name. */
export const DEBUG_CONTEXTS = [
  "generic",
  "broker",
  "topic",
  "metadata",
  "feature",
  "queue",
  "msg",
  "protocol",
  "cgrp",
  "security",
  "fetch",
  "interceptor",
  "plugin",
  "consumer",
  "admin",
  "eos",
  "mock",
  "assignor",
  "conf",
  "telemetry",
  "all",
] as const;

/** Properties with a meaning. Names, ranges and, unless `differs` says why not, defaults are librdkafka's. */
export const PROPERTY_TABLE = [
  {
    name: "bootstrap.servers",
    aliases: ["metadata.broker.list"],
    mode: "both",
    value: { type: "text" },
    help: "brokers to start from; wins over -k",
  },
  {
    name: "debug",
    mode: "both",
    value: { type: "list", choices: DEBUG_CONTEXTS },
    help: "which messages -ll DEBUG prints: a list of contexts; all when it is left out",
  },
  {
    name: "client.id",
    mode: "both",
    value: { type: "text" },
    default: "pcapts",
    help: "name in the brokers' logs and quotas",
    differs: "librdkafka says rdkafka, whoever uses it",
  },
  ...SECURITY_PROPERTY_TABLE,
  {
    name: "socket.connection.setup.timeout.ms",
    mode: "both",
    value: { type: "integer", min: 1000, max: MAX_INT32, unit: "ms" },
    default: "30000",
    help: "time for one attempt to connect",
  },
  {
    name: "socket.timeout.ms",
    mode: "both",
    value: { type: "integer", min: 10, max: 300_000, unit: "ms" },
    default: "60000",
    help: "a request without an answer for this long is lost",
  },
  {
    name: "retry.backoff.ms",
    mode: "both",
    value: { type: "integer", min: 1, max: 300_000, unit: "ms" },
    default: "100",
    help: "first pause before trying again; doubles each time",
  },
  {
    name: "retry.backoff.max.ms",
    mode: "both",
    value: { type: "integer", min: 1, max: 300_000, unit: "ms" },
    default: "1000",
    help: "longest pause before trying again",
  },
  {
    name: "enable.idempotence",
    mode: "producer",
    value: { type: "boolean" },
    help: "each frame once and in order across retries; on unless the cluster refuses it",
    differs: "librdkafka's default, false, may lose the order of frames or repeat them",
  },
  {
    name: "request.required.acks",
    aliases: ["acks"],
    mode: "producer",
    value: { type: "choice", choices: ["-1", "1"], aliases: { all: "-1" } },
    default: "-1",
    help: "who must have a frame before it counts: -1 or all in-sync replicas, 1 the leader alone",
    differs: "0 is not taken: nothing would tell which frames arrived",
  },
  {
    name: "max.in.flight.requests.per.connection",
    aliases: ["max.in.flight"],
    mode: "producer",
    value: { type: "integer", min: 1, max: 1_000_000, unit: "requests" },
    default: "5",
    help: "requests without an answer for each partition; at most 5 with idempotence",
    differs: "librdkafka's 1000000 becomes 5 too where idempotence is on",
  },
  {
    name: "batch.size",
    mode: "producer",
    value: { type: "integer", min: 1, max: MAX_INT32, unit: "bytes" },
    default: "1000000",
    help: "a record batch closes before it grows beyond this",
  },
  {
    name: "queue.buffering.max.ms",
    aliases: ["linger.ms"],
    mode: "producer",
    value: { type: "decimal", min: 0, max: 900_000, unit: "ms" },
    default: "5",
    help: "a record batch closes after this time",
  },
  {
    name: "queue.buffering.max.kbytes",
    mode: "producer",
    value: { type: "integer", min: 1, max: MAX_INT32, unit: "KiB" },
    default: "131072",
    help: "memory for frames not yet acknowledged",
    differs: "librdkafka's 1048576 is a gigabyte",
  },
  {
    name: "message.max.bytes",
    mode: "producer",
    value: { type: "integer", min: 1000, max: 1_000_000_000, unit: "bytes" },
    default: "1000000",
    help: "a record above it is refused before it is sent",
  },
  {
    name: "message.timeout.ms",
    aliases: ["delivery.timeout.ms"],
    mode: "producer",
    value: { type: "integer", min: 0, max: MAX_INT32, unit: "ms" },
    default: "300000",
    help: "a frame not acknowledged by then has failed; 0 waits for ever",
  },
  {
    name: "request.timeout.ms",
    mode: "producer",
    value: { type: "integer", min: 1, max: 900_000, unit: "ms" },
    default: "30000",
    help: "how long a broker may wait for its replicas",
  },
  {
    name: "compression.codec",
    aliases: ["compression.type"],
    mode: "producer",
    value: {
      type: "choice",
      choices: ["none", "gzip", "snappy", "lz4", "zstd"],
      // A topic's codec inherits the client's, and here they are one.
      aliases: { inherit: "none" },
    },
    default: "none",
    help: "compression of record batches",
  },
  {
    name: "compression.level",
    mode: "producer",
    value: { type: "integer", min: -1, max: 12 },
    default: "-1",
    help: "how hard the codec tries: gzip 0 to 9, lz4 and zstd 0 to 12; -1 is its own default",
  },
  {
    name: "auto.offset.reset",
    mode: "consumer",
    value: {
      type: "choice",
      choices: ["earliest", "latest"],
      aliases: {
        smallest: "earliest",
        beginning: "earliest",
        largest: "latest",
        end: "latest",
        error: "latest",
      },
    },
    default: "latest",
    help: "where to start when there is no -o; in a group, where a partition without a stored offset starts",
    differs: "largest, librdkafka's word for latest, means the same; error is not told from latest",
  },
  {
    name: "group.id",
    mode: "consumer",
    value: { type: "text" },
    help: "group whose members share the partitions of the topic; without it every partition is read",
  },
  {
    name: "session.timeout.ms",
    mode: "consumer",
    value: { type: "integer", min: 1, max: 3_600_000, unit: "ms" },
    default: "45000",
    help: "a member that is not heard of for this long is out of its group",
  },
  {
    name: "heartbeat.interval.ms",
    mode: "consumer",
    value: { type: "integer", min: 1, max: 3_600_000, unit: "ms" },
    default: "3000",
    help: "how often a member is heard of",
  },
  {
    name: "max.poll.interval.ms",
    mode: "consumer",
    value: { type: "integer", min: 1, max: 86_400_000, unit: "ms" },
    default: "300000",
    help: "how long a member may take to join again when its group changes; one whose output takes nothing for so long leaves the group until it does",
  },
  {
    name: "enable.auto.commit",
    aliases: ["auto.commit.enable"],
    mode: "consumer",
    value: { type: "boolean" },
    default: "true",
    help: "store the group's offsets once the frames before them are written",
  },
  {
    name: "auto.commit.interval.ms",
    mode: "consumer",
    value: { type: "integer", min: 0, max: 86_400_000, unit: "ms" },
    default: "5000",
    help: "how often offsets are stored, every second at the latest; 0 never stores them",
  },
  {
    name: "partition.assignment.strategy",
    mode: "consumer",
    value: {
      type: "list",
      choices: ["range", "roundrobin"],
      later: { "cooperative-sticky": "say range or roundrobin, in every member of the group" },
    },
    default: "range,roundrobin",
    help: "how the members of a group share out partitions, best first",
  },
  {
    name: "fetch.wait.max.ms",
    mode: "consumer",
    value: { type: "integer", min: 0, max: 300_000, unit: "ms" },
    default: "500",
    help: "how long a broker may wait for fetch.min.bytes",
  },
  {
    name: "fetch.min.bytes",
    mode: "consumer",
    value: { type: "integer", min: 1, max: 100_000_000, unit: "bytes" },
    default: "1",
    help: "an answer with less is held back until fetch.wait.max.ms",
  },
  {
    name: "fetch.max.bytes",
    mode: "consumer",
    value: { type: "integer", min: 0, max: 2_147_483_135, unit: "bytes" },
    default: "52428800",
    help: "most bytes of one answer; 16 MiB at most, for the sake of memory",
  },
  {
    name: "fetch.message.max.bytes",
    aliases: ["max.partition.fetch.bytes"],
    mode: "consumer",
    value: { type: "integer", min: 1, max: 1_000_000_000, unit: "bytes" },
    default: "1048576",
    help: "most bytes of one partition in an answer",
  },
  {
    name: "isolation.level",
    mode: "consumer",
    value: { type: "choice", choices: ["read_committed", "read_uncommitted"] },
    default: "read_committed",
    help: "skip the records of aborted transactions, or not",
  },
] as const satisfies readonly PropertyRow[];

type Row = (typeof PROPERTY_TABLE)[number];

/** The value of every property in the table: what was given, else the default, else undefined. */
export type PropertyValues = {
  readonly [R in Row as R["name"]]:
    TypedValue<R["value"]> | (R extends { default: string } ? never : undefined);
};

/** Rows by name and by alias. */
export const PROPERTY_BY_NAME: ReadonlyMap<string, PropertyRow> = indexByName(PROPERTY_TABLE);

/**
 * Rows by name and by alias.
 *
 * @param rows a table of properties
 */
export function indexByName<Property extends Pick<PropertyRow, "name" | "aliases">>(
  rows: readonly Property[],
): ReadonlyMap<string, Property> {
  return new Map(
    rows.flatMap((row) =>
      [row.name, ...(row.aliases ?? [])].map((name): [string, Property] => [name, row]),
    ),
  );
}

/** PEM text, or a line of its middle: 24 characters of base64 and nothing else. */
const PEM = /-----BEGIN|^[A-Za-z0-9+/]{24,}={0,2}$/m;

/** True for PEM text and for a line of it, which a property file holds when a key was not folded. */
export function isPemText(text: string): boolean {
  return PEM.test(text);
}

/**
 * Whether a text that is not what was expected may hold a secret, so that it must not be printed:
 * the name of a secret property is in it, or a key stands where its file was to be named.
 */
export function isSecretText(text: string): boolean {
  return isSecretProperty(text) || SECRET.test(text) || isPemText(text);
}

/** In what cannot be looked up: names that are refused, and texts that may hold a secret. */
const SECRET = /password|passphrase|secret|key\.pem|ssl_key|sasl\.oauthbearer\.config|jaas|token$/i;

/**
 * Whether the value of a property must never be printed.
 *
 * @param name property name, or a text that may hold one
 */
export function isSecretProperty(name: string): boolean {
  const row = PROPERTY_BY_NAME.get(name);
  return row === undefined ? SECRET.test(name) : row.secret === true;
}
