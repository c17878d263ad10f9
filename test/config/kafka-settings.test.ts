import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type KafkaSettings,
  parsePropertyAssignment,
  resolveKafkaSettings,
} from "../../src/config/kafka-settings.ts";
import { PcaptsError } from "../../src/errors.ts";

const resolve = (
  properties: readonly string[],
  mode: "producer" | "consumer" = "producer",
): KafkaSettings =>
  resolveKafkaSettings({
    mode,
    properties: properties.map((text) => parsePropertyAssignment(text, "-X")),
    brokers: "flag:1",
    connectTimeoutMs: 5000,
  });

const refused = (
  properties: readonly string[],
  message: RegExp,
  mode: "producer" | "consumer" = "producer",
): void => {
  assert.throws(
    () => resolve(properties, mode),
    (error) => {
      assert.ok(error instanceof PcaptsError && error.code === "USAGE");
      assert.match(error.message, message);
      return true;
    },
  );
};

test("resolveKafkaSettings() has the documented defaults", () => {
  const { client, publisher, fetcher, start, notes } = resolve([]);
  assert.deepEqual(client, {
    brokers: [{ host: "flag", port: 1 }],
    clientId: "pcapts",
    connectTimeoutMs: 5000,
    connectionSetupTimeoutMs: 30_000,
    requestTimeoutMs: 60_000,
    retryBackoffMs: 100,
    retryBackoffMaxMs: 1000,
    security: { protocol: "plaintext", tls: undefined, sasl: undefined },
  });
  assert.deepEqual(publisher, {
    idempotence: undefined,
    acks: -1,
    maxInFlight: 5,
    compression: "none",
    compressionLevel: undefined,
    batchBytes: 1_000_000,
    lingerMs: 5,
    queueBytes: 131_072 * 1024,
    maxMessageBytes: 1_000_000,
    messageTimeoutMs: 300_000,
    ackTimeoutMs: 30_000,
  });
  assert.deepEqual(fetcher, {
    maxWaitMs: 500,
    minBytes: 1,
    maxBytes: 52_428_800,
    maxPartitionBytes: 1_048_576,
    isolation: "read_committed",
  });
  assert.equal(start, undefined);
  assert.deepEqual(notes, []);
});

test("resolveKafkaSettings() lets the last of a property win, under whichever name", () => {
  assert.equal(resolve(["linger.ms=1", "queue.buffering.max.ms=2.5"]).publisher.lingerMs, 2.5);
  assert.equal(
    resolve(["delivery.timeout.ms=7", "message.timeout.ms=0"]).publisher.messageTimeoutMs,
    0,
  );
  assert.equal(resolve(["max.partition.fetch.bytes=99"], "consumer").fetcher.maxPartitionBytes, 99);
});

test("resolveKafkaSettings() prefers bootstrap.servers to -k", () => {
  assert.deepEqual(resolve(["metadata.broker.list=a:2,b"]).client.brokers, [
    { host: "a", port: 2 },
    { host: "b", port: 9092 },
  ]);
  refused(["bootstrap.servers=a:x"], /^-X bootstrap\.servers expects .* "x" is no port/);
});

test("resolveKafkaSettings() turns auto.offset.reset into a position", () => {
  assert.deepEqual(resolve(["auto.offset.reset=smallest"], "consumer").start, { kind: "begin" });
  assert.deepEqual(resolve(["auto.offset.reset=latest"], "consumer").start, { kind: "end" });
});

test("resolveKafkaSettings() names the property that is out of range", () => {
  refused(["linger.ms=-1"], /^-X linger\.ms expects a number of ms from 0 to 900000, not "-1"$/);
  refused(["acks=0"], /^-X acks expects -1 or 1, not "0"$/);
  refused(["enable.idempotence=maybe"], /expects true or false/);
});

test("resolveKafkaSettings() suggests the nearest name for an unknown one, without its value", () => {
  refused(
    ["liger.ms=hush"],
    /^-X liger\.ms is not a property that is known; did you mean linger\.ms\?$/,
  );
  refused(["foo=hush"], /^-X foo is not a property that is known$/);
});

test("resolveKafkaSettings() notes at debug level what changes nothing", () => {
  assert.deepEqual(resolve(["statistics.interval.ms=5000"]).notes, [
    {
      level: "debug",
      text:
        "-X statistics.interval.ms: accepted, changes nothing here: " +
        "the signal SIGUSR1 prints the counters",
    },
  ]);
  assert.deepEqual(resolve(["fetch.min.bytes=2"]).notes, [
    { level: "debug", text: "-X fetch.min.bytes: only a consumer reads it" },
  ]);
});

test("resolveKafkaSettings() suggests the nearest name for one of security", () => {
  refused(["ssl.ca.locaton=x"], /did you mean ssl\.ca\.location\?$/);
  assert.equal(resolve(["security.protocol=PLAINTEXT"]).notes.length, 0);
});

test("resolveKafkaSettings() checks the values of what changes nothing all the same", () => {
  refused(["retries=many"], /^-X retries expects a whole number from 0 to 2147483647, not "many"$/);
  assert.equal(resolve(["retries=3", "broker.version.fallback="]).notes.length, 2);
});

test("resolveKafkaSettings() takes properties of the topic with kcat's prefix and without", () => {
  assert.equal(resolve(["topic.acks=all", "topic.request.timeout.ms=9"]).publisher.ackTimeoutMs, 9);
  assert.match(resolve(["topic.blacklist=x"]).notes[0]?.text ?? "", /topic\.blacklist: accepted/);
  refused(["topic.bogus=1"], /^-X topic\.bogus is not a property that is known/);
});

test("resolveKafkaSettings() takes codecs by both names, and levels as the codec has them", () => {
  for (const codec of ["none", "gzip", "snappy", "lz4", "zstd"] as const) {
    assert.equal(resolve([`compression.type=${codec}`]).publisher.compression, codec);
  }
  assert.equal(resolve(["compression.codec=inherit"]).publisher.compression, "none");
  refused(["compression.codec=brotli"], /expects none, gzip, snappy, lz4 or zstd, not "brotli"/);

  const level = (...texts: string[]): unknown => resolve(texts).publisher.compressionLevel;
  assert.equal(level("compression.codec=gzip", "compression.level=9"), 9);
  assert.equal(level("compression.codec=zstd", "compression.level=0"), 0);
  assert.equal(level("compression.codec=lz4", "compression.level=-1"), undefined);
  assert.equal(level("compression.codec=snappy", "compression.level=5"), undefined);
  refused(
    ["compression.codec=gzip", "compression.level=10"],
    /compression\.level=10 is too high for compression\.codec=gzip, which has 0 to 9/,
  );
  refused(["compression.level=13"], /expects a whole number from -1 to 12/);
});

test("resolveKafkaSettings() makes a group of group.id, with librdkafka's defaults", () => {
  assert.equal(resolve([], "consumer").group, undefined);
  assert.deepEqual(resolve(["group.id=g"], "consumer").group, {
    groupId: "g",
    sessionTimeoutMs: 45_000,
    heartbeatIntervalMs: 3000,
    rebalanceTimeoutMs: 300_000,
    autoCommit: true,
    autoCommitIntervalMs: 5000,
    assignors: ["range", "roundrobin"],
    withoutOffset: "end",
  });
  const group = resolve(
    [
      "group.id=g",
      "auto.commit.enable=f",
      "auto.offset.reset=smallest",
      "partition.assignment.strategy=roundrobin",
    ],
    "consumer",
  ).group;
  assert.deepEqual(
    [group?.autoCommit, group?.withoutOffset, group?.assignors],
    [false, "begin", ["roundrobin"]],
  );
  const never = resolve(["group.id=g", "auto.commit.interval.ms=0"], "consumer").group;
  assert.equal(never?.autoCommit, false);
});

test("resolveKafkaSettings() refuses times and assignors that no group can keep", () => {
  const group = (...texts: string[]): string[] => ["group.id=g", ...texts];
  refused(
    group("heartbeat.interval.ms=45000"),
    /heartbeat\.interval\.ms=45000 must be below session\.timeout\.ms=45000/,
    "consumer",
  );
  refused(
    group("max.poll.interval.ms=44999"),
    /max\.poll\.interval\.ms=44999 must not be below session\.timeout\.ms=45000/,
    "consumer",
  );
  refused(
    group("partition.assignment.strategy=cooperative-sticky"),
    /"cooperative-sticky" is not there yet: say range or roundrobin/,
    "consumer",
  );
});

test("resolveKafkaSettings() reads debug as a list of librdkafka's contexts", () => {
  assert.equal(resolve([]).debugContexts, undefined);
  assert.deepEqual(resolve(["debug=broker, topic,MSG"]).debugContexts, ["broker", "topic", "msg"]);
  refused(
    ["debug=brokers"],
    /^-X debug expects a list of generic, broker, .* or all, separated by/,
  );
});

test("resolveKafkaSettings() accepts a group in a producer, as Pycapa sent one", () => {
  assert.deepEqual(resolve(["group.id=g"]).notes, [
    { level: "debug", text: "-X group.id: only a consumer reads it" },
  ]);
});

test("resolveKafkaSettings() refuses what it cannot keep", () => {
  refused(["transactional.id=x"], /published without transactions; leave it out$/);
});

test("resolveKafkaSettings() holds enable.idempotence=true against what contradicts it", () => {
  refused(["enable.idempotence=true", "acks=1"], /acks=1 contradicts enable\.idempotence=true/);
  refused(
    ["enable.idempotence=true", "max.in.flight=6"],
    /max\.in\.flight=6 contradicts enable\.idempotence=true/,
  );
  assert.equal(resolve(["enable.idempotence=true", "max.in.flight=5"]).publisher.idempotence, true);
});

test("resolveKafkaSettings() settles idempotence that was not asked for, and says how", () => {
  const lessAcks = resolve(["acks=1"]);
  assert.deepEqual([lessAcks.publisher.acks, lessAcks.publisher.idempotence], [1, false]);
  assert.match(lessAcks.notes[0]?.text ?? "", /^acks=1: published without idempotence/);
  const moreInFlight = resolve(["max.in.flight=1000"]);
  assert.deepEqual(
    [moreInFlight.publisher.maxInFlight, moreInFlight.publisher.idempotence],
    [5, undefined],
  );
  assert.equal(moreInFlight.notes[0]?.level, "info");
  const without = resolve(["max.in.flight=1000", "enable.idempotence=false"]);
  assert.equal(without.publisher.maxInFlight, 1000);
});

test("parsePropertyAssignment() splits at the first equals sign", () => {
  assert.deepEqual(parsePropertyAssignment(" a = b=c ", "-X"), {
    name: "a",
    value: "b=c",
    origin: "-X",
  });
});

test("parsePropertyAssignment() refuses a text without key or equals sign and prints no secret", () => {
  assert.throws(
    () => parsePropertyAssignment("linger.ms", "-X"),
    /-X expects KEY=VALUE, not "linger\.ms"/,
  );
  assert.throws(() => parsePropertyAssignment("=5", "-X"), /expects KEY=VALUE/);
  assert.throws(
    () => parsePropertyAssignment("sasl.password:hush", "-X"),
    (error: Error) => !error.message.includes("hush"),
  );
});
