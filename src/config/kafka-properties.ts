import type { TypedValue, ValueKind } from "./value-kind.ts";

/*
 * The librdkafka properties, by what becomes of them here: those with a
 * meaning (PROPERTY_TABLE, which also makes the docs), those that a later
 * release brings, those that cannot be had, and those that are accepted
 * because scripts carry them, though nothing here depends on them.
 */

/** A property that has a meaning here. */
export interface PropertyRow {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly mode: "both" | "producer" | "consumer";
  readonly value: ValueKind;
  /** As it would be written; absent: see `help`. */
  readonly default?: string;
  /** One sentence without its full stop. */
  readonly help: string;
}

const MAX_INT32 = 2_147_483_647;
const CODECS_TO_COME = "leave it out, or say none";
const SECURITY_TO_COME = "use a plaintext listener of the cluster, or leave it out";

/** Properties with a meaning. Names, ranges and, unless `help` says so, defaults are librdkafka's. */
export const PROPERTY_TABLE = [
  {
    name: "bootstrap.servers",
    aliases: ["metadata.broker.list"],
    mode: "both",
    value: { type: "text" },
    help: "brokers to start from; wins over -k",
  },
  {
    name: "client.id",
    mode: "both",
    value: { type: "text" },
    default: "pcapts",
    help: "name in the brokers' logs and quotas (librdkafka: rdkafka)",
  },
  {
    name: "security.protocol",
    mode: "both",
    value: {
      type: "choice",
      choices: ["plaintext"],
      later: {
        ssl: SECURITY_TO_COME,
        sasl_plaintext: SECURITY_TO_COME,
        sasl_ssl: SECURITY_TO_COME,
      },
    },
    default: "plaintext",
    help: "how the brokers are spoken to",
  },
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
    help: "each frame once and in order across retries; on unless the cluster refuses it (librdkafka: false)",
  },
  {
    name: "request.required.acks",
    aliases: ["acks"],
    mode: "producer",
    value: { type: "choice", choices: ["-1", "1"], aliases: { all: "-1" } },
    default: "-1",
    help: "who must have a frame before it counts: -1 or all in-sync replicas, 1 the leader alone",
  },
  {
    name: "max.in.flight.requests.per.connection",
    aliases: ["max.in.flight"],
    mode: "producer",
    value: { type: "integer", min: 1, max: 1_000_000, unit: "requests" },
    default: "5",
    help: "requests without an answer for each partition; at most 5 with idempotence (librdkafka: 1000000)",
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
    help: "memory for frames not yet acknowledged (librdkafka: 1048576)",
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
      choices: ["none"],
      aliases: { inherit: "none" },
      later: {
        gzip: CODECS_TO_COME,
        snappy: CODECS_TO_COME,
        lz4: CODECS_TO_COME,
        zstd: CODECS_TO_COME,
      },
    },
    default: "none",
    help: "compression of record batches",
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
    help: "where to start when there is no -o",
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
    help: "most bytes of one answer",
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
export const PROPERTY_BY_NAME: ReadonlyMap<string, PropertyRow> = new Map(
  PROPERTY_TABLE.flatMap((row: PropertyRow): [string, PropertyRow][] =>
    [row.name, ...(row.aliases ?? [])].map((name) => [name, row]),
  ),
);

/** Names that a later release brings, by how they begin. */
export const SECURITY_PREFIXES: readonly string[] = [
  "sasl.",
  "ssl.",
  "ssl_",
  "https.ca.",
  "enable.ssl.",
  "enable.sasl.",
];

/** Properties that promise what is not done here: refusing is better than ignoring. */
export const REFUSED_PROPERTIES: ReadonlyMap<string, string> = new Map([
  ["transactional.id", "frames are published without transactions"],
  ["plugin.library.paths", "librdkafka's plug-ins cannot be loaded"],
  ["interceptors", "librdkafka's interceptors cannot be loaded"],
]);

/** Properties that scripts carry and that change nothing here. */
export const PROPERTIES_WITHOUT_MEANING: ReadonlySet<string> = new Set(
  `
  allow.auto.create.topics api.version.fallback.ms api.version.request api.version.request.timeout.ms
  auto.commit.enable auto.commit.interval.ms batch.num.messages broker.address.family
  broker.address.ttl broker.version.fallback builtin.features check.crcs client.dns.lookup
  client.rack compression.level connections.max.idle.ms consume.callback.max.messages
  coordinator.query.interval.ms debug delivery.report.only.error enable.auto.commit
  enable.auto.offset.store enable.gapless.guarantee enable.metrics.push enable.partition.eof
  enable.random.seed enabled_events fetch.error.backoff.ms fetch.queue.backoff.ms
  group.instance.id group.protocol group.protocol.type group.remote.assignor
  heartbeat.interval.ms internal.termination.signal log.connection.close log.queue
  log.thread.name log_level max.poll.interval.ms message.copy.max.bytes message.send.max.retries
  metadata.max.age.ms metadata.recovery.rebootstrap.trigger.ms metadata.recovery.strategy
  offset.store.method offset.store.path offset.store.sync.interval.ms
  partition.assignment.strategy partitioner produce.offset.report
  queue.buffering.backpressure.threshold queue.buffering.max.messages queued.max.messages.kbytes
  queued.min.messages queuing.strategy receive.message.max.bytes reconnect.backoff.jitter.ms
  reconnect.backoff.max.ms reconnect.backoff.ms retries session.timeout.ms
  socket.blocking.max.ms socket.keepalive.enable socket.max.fails socket.nagle.disable
  socket.receive.buffer.bytes socket.send.buffer.bytes statistics.interval.ms
  sticky.partitioning.linger.ms topic.blacklist topic.metadata.propagation.max.ms
  topic.metadata.refresh.fast.cnt topic.metadata.refresh.fast.interval.ms
  topic.metadata.refresh.interval.ms topic.metadata.refresh.sparse transaction.timeout.ms
  `
    .trim()
    .split(/\s+/),
);

const SECRET = /password|passphrase|secret|key\.pem|ssl_key|sasl\.oauthbearer\.config|jaas|token$/i;

/**
 * Whether the value of a property must never be printed.
 *
 * @param name property name, or a text that may hold one
 */
export function isSecretProperty(name: string): boolean {
  return SECRET.test(name);
}
