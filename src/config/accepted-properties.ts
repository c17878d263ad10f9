import { indexByName, type PropertyRow } from "./kafka-properties.ts";
import type { ValueKind } from "./value-kind.ts";

/**
 * A property that is accepted, because scripts carry it, and changes nothing
 * here: `help` is the reason in a few words. Its values are checked all the
 * same, and `default` is librdkafka's.
 */
export type AcceptedProperty = Omit<PropertyRow, "differs">;

const MAX_INT32 = 2_147_483_647;
const TEXT: ValueKind = { type: "text" };
const BOOLEAN: ValueKind = { type: "boolean" };

const integer = (min: number, max: number, unit?: string): ValueKind =>
  unit === undefined ? { type: "integer", min, max } : { type: "integer", min, max, unit };

const oneOf = (...choices: readonly string[]): ValueKind => ({ type: "choice", choices });

function row(
  name: string,
  mode: AcceptedProperty["mode"],
  value: ValueKind,
  defaultValue: string | undefined,
  reason: string,
  aliases: readonly string[] = [],
): AcceptedProperty {
  const known = { name, aliases, mode, value, help: reason };
  return defaultValue === undefined ? known : { ...known, default: defaultValue };
}

/** By who would read them, then by name. */
// prettier-ignore
export const ACCEPTED_PROPERTIES: readonly AcceptedProperty[] = [
  row("allow.auto.create.topics", "both", BOOLEAN, "false", "a producer creates its topic with --partitions, a consumer never does"),
  row("api.version.fallback.ms", "both", integer(0, 604_800_000, "ms"), "0", "brokers are always asked what they can do"),
  row("api.version.request", "both", BOOLEAN, "true", "brokers are always asked what they can do"),
  row("api.version.request.timeout.ms", "both", integer(1, 300_000, "ms"), "10000", "socket.timeout.ms decides"),
  row("broker.address.family", "both", oneOf("any", "v4", "v6"), "any", "the address that the system prefers is used"),
  row("broker.address.ttl", "both", integer(0, 86_400_000), "1000", "names are resolved for each connection"),
  row("broker.version.fallback", "both", TEXT, "0.10.0", "brokers are always asked what they can do"),
  row("builtin.features", "both", TEXT, undefined, "it tells what librdkafka was built with"),
  row("client.dns.lookup", "both", oneOf("use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"), "use_all_dns_ips", "names are resolved by the system"),
  row("client.rack", "both", TEXT, undefined, "frames are read from the leader of a partition"),
  row("connections.max.idle.ms", "both", integer(0, MAX_INT32, "ms"), "0", "connections are kept"),
  row("enable.metrics.push", "both", BOOLEAN, "true", "no metrics are pushed to the brokers"),
  row("enable.random.seed", "both", BOOLEAN, "true", "nothing is seeded"),
  row("enabled_events", "both", integer(0, MAX_INT32), "0", "there are no events to enable"),
  row("internal.termination.signal", "both", integer(0, 128), "0", "there are no threads to end"),
  row("log.connection.close", "both", BOOLEAN, "true", "-ll, --log-level decides"),
  row("log.queue", "both", BOOLEAN, "false", "there is one log, on standard error"),
  row("log.thread.name", "both", BOOLEAN, "true", "there are no threads to name"),
  row("log_level", "both", integer(0, 7), "6", "-ll, --log-level decides"),
  row("message.copy.max.bytes", "both", integer(0, 1_000_000_000, "bytes"), "65535", "a frame is always copied into its batch"),
  row("metadata.max.age.ms", "both", integer(1, 86_400_000, "ms"), "900000", "leaders are asked for when one has moved"),
  row("metadata.recovery.rebootstrap.trigger.ms", "both", integer(0, MAX_INT32, "ms"), "300000", "-k, --kafka-broker is asked again when no broker answers"),
  row("metadata.recovery.strategy", "both", oneOf("none", "rebootstrap"), "rebootstrap", "-k, --kafka-broker is asked again when no broker answers"),
  row("receive.message.max.bytes", "both", integer(1000, MAX_INT32, "bytes"), "100000000", "fetch.max.bytes bounds an answer"),
  row("reconnect.backoff.jitter.ms", "both", integer(0, 3_600_000, "ms"), "0", "librdkafka no longer reads it either"),
  row("reconnect.backoff.max.ms", "both", integer(0, 3_600_000, "ms"), "10000", "retry.backoff.max.ms decides"),
  row("reconnect.backoff.ms", "both", integer(0, 3_600_000, "ms"), "100", "retry.backoff.ms decides"),
  row("sasl.kerberos.kinit.cmd", "both", TEXT, undefined, "no kinit is needed: tickets are got with sasl.kerberos.keytab, or taken from the ticket cache"),
  row("sasl.kerberos.min.time.before.relogin", "both", integer(0, 86_400_000, "ms"), "60000", "a ticket is got anew with the keytab once half its time is over"),
  row("socket.blocking.max.ms", "both", integer(1, 60_000, "ms"), "1000", "librdkafka no longer reads it either"),
  row("socket.keepalive.enable", "both", BOOLEAN, "false", "TCP keep-alive is always on"),
  row("socket.max.fails", "both", integer(0, 1_000_000), "1", "a connection is closed at the first failure"),
  row("socket.nagle.disable", "both", BOOLEAN, "true", "the connection's default is used"),
  row("socket.receive.buffer.bytes", "both", integer(0, 100_000_000, "bytes"), "0", "the system's default is used"),
  row("socket.send.buffer.bytes", "both", integer(0, 100_000_000, "bytes"), "0", "the system's default is used"),
  row("ssl.ca.certificate.stores", "both", TEXT, "Root", "such stores are there on Windows alone"),
  row("statistics.interval.ms", "both", integer(0, 86_400_000, "ms"), "0", "the signal SIGUSR1 prints the counters"),
  row("topic.blacklist", "both", TEXT, undefined, "there is one topic, that of -t"),
  row("topic.metadata.propagation.max.ms", "both", integer(0, 3_600_000, "ms"), "30000", "a new topic is waited for with retry.backoff.ms"),
  row("topic.metadata.refresh.fast.cnt", "both", integer(0, 1000), "10", "librdkafka no longer reads it either"),
  row("topic.metadata.refresh.fast.interval.ms", "both", integer(1, 60_000, "ms"), "100", "retry.backoff.ms decides"),
  row("topic.metadata.refresh.interval.ms", "both", integer(-1, 3_600_000, "ms"), "300000", "leaders are asked for when one has moved"),
  row("topic.metadata.refresh.sparse", "both", BOOLEAN, "true", "only the one topic is asked for"),
  row("batch.num.messages", "producer", integer(1, 1_000_000), "10000", "batch.size and linger.ms decide"),
  row("delivery.report.only.error", "producer", BOOLEAN, "false", "-pp, --pretty-print decides what is reported"),
  row("enable.gapless.guarantee", "producer", BOOLEAN, "false", "a frame that fails is counted, and the exit status is 1"),
  row("message.send.max.retries", "producer", integer(0, MAX_INT32), "2147483647", "message.timeout.ms decides how long is tried", ["retries"]),
  row("partitioner", "producer", TEXT, "consistent_random", "--partitioner decides"),
  row("produce.offset.report", "producer", BOOLEAN, "false", "--pretty-print-format line prints offsets"),
  row("queue.buffering.backpressure.threshold", "producer", integer(1, 1_000_000), "1", "max.in.flight and linger.ms decide"),
  row("queue.buffering.max.messages", "producer", integer(0, MAX_INT32), "100000", "queue.buffering.max.kbytes bounds the queue"),
  row("queuing.strategy", "producer", oneOf("fifo", "lifo"), "fifo", "frames are published in the order of their capture"),
  row("sticky.partitioning.linger.ms", "producer", integer(0, 900_000, "ms"), "10", "--partitioner decides"),
  row("transaction.timeout.ms", "producer", integer(1000, MAX_INT32, "ms"), "60000", "there are no transactions"),
  row("check.crcs", "consumer", BOOLEAN, "false", "checksums are always verified"),
  row("consume.callback.max.messages", "consumer", integer(0, 1_000_000), "0", "there are no callbacks"),
  row("coordinator.query.interval.ms", "consumer", integer(1, 3_600_000, "ms"), "600000", "the coordinator is asked for when it has moved"),
  row("enable.auto.offset.store", "consumer", BOOLEAN, "true", "offsets of written frames are committed, of no others"),
  row("enable.partition.eof", "consumer", BOOLEAN, "false", "-e, --exit-at-end stops at the end of the topic"),
  row("fetch.error.backoff.ms", "consumer", integer(0, 300_000, "ms"), "500", "retry.backoff.ms decides"),
  row("fetch.queue.backoff.ms", "consumer", integer(0, 300_000, "ms"), "1000", "one answer is fetched ahead"),
  row("group.instance.id", "consumer", TEXT, undefined, "a member that comes back is a new one"),
  row("group.protocol", "consumer", oneOf("classic", "consumer"), "classic", "the classic protocol is spoken, which brokers mix with the new one"),
  row("group.protocol.type", "consumer", TEXT, "consumer", 'it is always "consumer"'),
  row("group.remote.assignor", "consumer", TEXT, undefined, "it belongs to the new group protocol"),
  row("offset.store.method", "consumer", oneOf("none", "file", "broker"), "broker", "offsets are stored by the brokers"),
  row("offset.store.path", "consumer", TEXT, ".", "offsets are stored by the brokers"),
  row("offset.store.sync.interval.ms", "consumer", integer(-1, 86_400_000, "ms"), "-1", "offsets are stored by the brokers"),
  row("queued.max.messages.kbytes", "consumer", integer(1, 2_097_151, "KiB"), "65536", "one answer is fetched ahead"),
  row("queued.min.messages", "consumer", integer(1, 10_000_000), "100000", "one answer is fetched ahead"),
];

/** Rows by name and by alias. */
export const ACCEPTED_BY_NAME: ReadonlyMap<string, AcceptedProperty> =
  indexByName(ACCEPTED_PROPERTIES);
