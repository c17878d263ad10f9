import type { SecurityOptions } from "./security-options.ts";

/** One bootstrap server. */
export interface BrokerAddress {
  /** Host name or IP address, an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** How the brokers are reached. Defaults are librdkafka's where it has the setting. */
export interface KafkaClientOptions {
  /** `bootstrap.servers` */
  readonly brokers: readonly BrokerAddress[];
  /** `client.id` */
  readonly clientId: string;
  /** How long to wait for a first broker before BROKER_UNREACHABLE. */
  readonly connectTimeoutMs: number;
  /** `socket.connection.setup.timeout.ms` (30000): for one attempt. */
  readonly connectionSetupTimeoutMs: number;
  /** `socket.timeout.ms` (60000): a request without an answer for this long is lost. */
  readonly requestTimeoutMs: number;
  /** `retry.backoff.ms` (100): first pause before trying again; doubles each time. */
  readonly retryBackoffMs: number;
  /** `retry.backoff.max.ms` (1000): longest pause. */
  readonly retryBackoffMaxMs: number;
  /** TLS and login; left out: `security.protocol=plaintext`. */
  readonly security?: SecurityOptions;
}

/** How frames are published. Names and defaults are librdkafka's. */
export interface PublisherOptions {
  /** `enable.idempotence`; undefined: on, and given up with one WARN where the cluster refuses it. */
  readonly idempotence: boolean | undefined;
  /** `acks`: -1 all in-sync replicas, 1 the leader. */
  readonly acks: -1 | 1;
  /** `batch.size` (1000000): a batch closes before it grows beyond this. */
  readonly batchBytes: number;
  /** `linger.ms` (5): a batch closes after this time. */
  readonly lingerMs: number;
  /** `queue.buffering.max.kbytes` (131072 KiB), in bytes: memory for frames not yet acknowledged. */
  readonly queueBytes: number;
  /** `message.max.bytes` (1000000): a record above it is refused here, before it is sent. */
  readonly maxMessageBytes: number;
  /** `message.timeout.ms` (300000): a frame not acknowledged by then has failed; 0 waits for ever. */
  readonly messageTimeoutMs: number;
  /** `request.timeout.ms` (30000): how long a broker may wait for its replicas. */
  readonly ackTimeoutMs: number;
  /** `max.in.flight` (5): requests without an answer for each partition; 1 to 5 with idempotence. */
  readonly maxInFlight: number;
  /** `compression.codec` (none): how a record batch's records are compressed, all of them at once. */
  readonly compression: Compression;
  /** `compression.level`: the codec's own scale; undefined: the codec's default. Snappy has none. */
  readonly compressionLevel: number | undefined;
}

/** Codecs of record batches. */
export type Compression = "none" | "gzip" | "snappy" | "lz4" | "zstd";

/** Where a consumer starts in each partition. */
export type StartPosition =
  | { readonly kind: "begin" }
  | { readonly kind: "end" }
  | { readonly kind: "stored" }
  /** The first record whose timestamp is at or after this. */
  | { readonly kind: "time"; readonly timestampMs: number };

/** How frames are fetched. Names and defaults are librdkafka's. */
export interface FetcherOptions {
  /** `fetch.wait.max.ms` (500): how long a broker may wait for `fetch.min.bytes`. */
  readonly maxWaitMs: number;
  /** `fetch.min.bytes` (1) */
  readonly minBytes: number;
  /** `fetch.max.bytes` (52428800): for one response. */
  readonly maxBytes: number;
  /** `fetch.message.max.bytes`, `max.partition.fetch.bytes` (1048576): for one partition. */
  readonly maxPartitionBytes: number;
  /** `isolation.level`: skip records of aborted transactions, or not. */
  readonly isolation: "read_committed" | "read_uncommitted";
}

/** Membership of a consumer group. Names and defaults are librdkafka's. */
export interface GroupOptions {
  /** `group.id` */
  readonly groupId: string;
  /** `session.timeout.ms` (45000): a member that is not heard of for this long is out. */
  readonly sessionTimeoutMs: number;
  /** `heartbeat.interval.ms` (3000): how often the coordinator hears of this member. */
  readonly heartbeatIntervalMs: number;
  /** `max.poll.interval.ms` (300000): how long members may take to join when the group changes. */
  readonly rebalanceTimeoutMs: number;
  /** `enable.auto.commit` (true): offsets are committed; false leaves the group's offsets as they are. */
  readonly autoCommit: boolean;
  /** `auto.commit.interval.ms` (5000): how often; also when partitions are given up and at the end. */
  readonly autoCommitIntervalMs: number;
  /** `partition.assignment.strategy` (range,roundrobin): what this member offers, best first. */
  readonly assignors: readonly Assignor[];
  /** `auto.offset.reset` (largest: end): where a partition starts that has no stored offset. */
  readonly withoutOffset: "begin" | "end";
}

/** How partitions are shared out among the members of a group. */
export type Assignor = "range" | "roundrobin";
