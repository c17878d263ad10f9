import { PcaptsError } from "../errors.ts";
import type {
  FetcherOptions,
  GroupOptions,
  KafkaClientOptions,
  PublisherOptions,
  StartPosition,
} from "../kafka/client-options.ts";
import { ACCEPTED_BY_NAME } from "./accepted-properties.ts";
import { parseBrokerAddresses } from "./broker-address.ts";
import {
  type DEBUG_CONTEXTS,
  isSecretProperty,
  PROPERTY_BY_NAME,
  PROPERTY_TABLE,
  type PropertyRow,
  type PropertyValues,
} from "./kafka-properties.ts";
import { nearestName } from "./nearest-name.ts";
import { REFUSED_PROPERTIES } from "./refused-properties.ts";
import { settleSecurity } from "./security-settings.ts";
import { parseValue } from "./value-kind.ts";

/** A property as somebody wrote it. */
export interface PropertyAssignment {
  readonly name: string;
  readonly value: string;
  /** Where it was written, as messages name it: "-X", "kafka.conf line 3". */
  readonly origin: string;
}

/** What a DEBUG message is about, in librdkafka's words. */
export type DebugContext = (typeof DEBUG_CONTEXTS)[number];

/** Something worth a line in the log once there is one. */
export interface SettingNote {
  readonly level: "debug" | "info" | "warn";
  readonly text: string;
}

/** What the properties come to. */
export interface KafkaSettings {
  readonly client: KafkaClientOptions;
  readonly publisher: PublisherOptions;
  readonly fetcher: FetcherOptions;
  /** A consumer's group; undefined without `group.id`. */
  readonly group: GroupOptions | undefined;
  /** From `auto.offset.reset`; undefined when it was not given. */
  readonly start: StartPosition | undefined;
  /** From `debug`: which DEBUG messages are wanted; undefined: all of them. */
  readonly debugContexts: readonly DebugContext[] | undefined;
  readonly notes: readonly SettingNote[];
}

/** What {@link resolveKafkaSettings} starts from. */
export interface KafkaSettingsInput {
  readonly mode: "producer" | "consumer";
  /** Least important first: of one property the last counts. */
  readonly properties: readonly PropertyAssignment[];
  /** `-k`, or its default. */
  readonly brokers: string;
  readonly connectTimeoutMs: number;
}

const IDEMPOTENT_IN_FLIGHT = 5;

/**
 * Reads one `KEY=VALUE`.
 *
 * @param text the value may contain "=" itself
 * @param origin where it was written
 * @throws PcaptsError USAGE
 */
export function parsePropertyAssignment(text: string, origin: string): PropertyAssignment {
  const equals = text.indexOf("=");
  const name = text.slice(0, equals).trim();
  if (equals === -1 || name === "") {
    const shown = isSecretProperty(text) ? "a text with a secret in it" : `"${text}"`;
    throw new PcaptsError("USAGE", `${origin} expects KEY=VALUE, not ${shown}, as in linger.ms=20`);
  }
  return { name, value: text.slice(equals + 1).trim(), origin };
}

/**
 * Turns librdkafka properties into options of the library.
 *
 * @param input properties and the flags that stand beside them
 * @throws PcaptsError USAGE: a property unknown, not there yet, out of range, or against another
 */
export function resolveKafkaSettings(input: KafkaSettingsInput): KafkaSettings {
  const notes: SettingNote[] = [];
  const given = collect(input, notes);
  const values = PROPERTY_TABLE.reduce<Record<string, unknown>>((all, row: PropertyRow) => {
    const written = given.get(row.name);
    const text = written?.value ?? row.default;
    const subject = `${written?.origin ?? "default"} ${written?.name ?? row.name}`;
    if (text !== undefined) all[row.name] = parseValue(row.value, text, subject);
    return all;
  }, {}) as PropertyValues;

  const brokers = given.get("bootstrap.servers");
  const reset = given.has("auto.offset.reset") ? values["auto.offset.reset"] : undefined;
  return {
    client: {
      brokers:
        brokers === undefined
          ? parseBrokerAddresses(input.brokers, "-k, --kafka-broker")
          : parseBrokerAddresses(brokers.value, `${brokers.origin} ${brokers.name}`),
      clientId: values["client.id"],
      connectTimeoutMs: input.connectTimeoutMs,
      connectionSetupTimeoutMs: values["socket.connection.setup.timeout.ms"],
      requestTimeoutMs: values["socket.timeout.ms"],
      retryBackoffMs: values["retry.backoff.ms"],
      retryBackoffMaxMs: Math.max(values["retry.backoff.ms"], values["retry.backoff.max.ms"]),
      security: settleSecurity({ values, given, notes }),
    },
    publisher: {
      ...settleIdempotence(values, notes),
      batchBytes: values["batch.size"],
      lingerMs: values["queue.buffering.max.ms"],
      queueBytes: values["queue.buffering.max.kbytes"] * 1024,
      maxMessageBytes: values["message.max.bytes"],
      messageTimeoutMs: values["message.timeout.ms"],
      ackTimeoutMs: values["request.timeout.ms"],
      ...settleCompression(values, notes),
    },
    fetcher: {
      maxWaitMs: values["fetch.wait.max.ms"],
      minBytes: values["fetch.min.bytes"],
      maxBytes: values["fetch.max.bytes"],
      maxPartitionBytes: values["fetch.message.max.bytes"],
      isolation: values["isolation.level"],
    },
    group: input.mode === "consumer" ? settleGroup(values) : undefined,
    debugContexts: values.debug,
    start: reset === undefined ? undefined : { kind: reset === "earliest" ? "begin" : "end" },
    notes,
  };
}

/** The assignments that count, by the table's name. */
function collect(
  { mode, properties }: KafkaSettingsInput,
  notes: SettingNote[],
): Map<string, PropertyAssignment> {
  const given = new Map<string, PropertyAssignment>();
  const note = (text: string): unknown => notes.push({ level: "debug", text });
  for (const property of properties) {
    const { origin, value } = property;
    const name = withoutTopicPrefix(property.name);
    const row = PROPERTY_BY_NAME.get(name);
    const accepted = ACCEPTED_BY_NAME.get(name);
    if (row !== undefined) {
      given.set(row.name, property);
      if (row.mode !== "both" && row.mode !== mode) {
        note(`${origin} ${name}: only a ${row.mode} reads it`);
      }
    } else if (accepted !== undefined) {
      if (accepted.value.type !== "text") parseValue(accepted.value, value, `${origin} ${name}`);
      note(`${origin} ${name}: accepted, changes nothing here: ${accepted.help}`);
    } else {
      throw refuseProperty(property);
    }
  }
  return given;
}

/** kcat's way to set a property of the topic; to librdkafka they are all of the client, as here. */
function withoutTopicPrefix(name: string): string {
  if (!name.startsWith("topic.") || ACCEPTED_BY_NAME.has(name)) return name;
  const rest = name.slice("topic.".length);
  return PROPERTY_BY_NAME.has(rest) || ACCEPTED_BY_NAME.has(rest) ? rest : name;
}

function refuseProperty({ name, origin }: PropertyAssignment): PcaptsError {
  const refuse = (rest: string): PcaptsError =>
    new PcaptsError("USAGE", `${origin} ${name}${rest}`);
  const reason = REFUSED_PROPERTIES.get(name);
  if (reason !== undefined) return refuse(` cannot be had: ${reason}`);
  const nearest = nearestName(name, [
    ...PROPERTY_BY_NAME.keys(),
    ...ACCEPTED_BY_NAME.keys(),
    ...REFUSED_PROPERTIES.keys(),
  ]);
  const advice = nearest === undefined ? "" : `; did you mean ${nearest}?`;
  return refuse(` is not a property that is known${advice}`);
}

/** Highest level of each codec; librdkafka's ranges. */
const MAX_LEVEL = { none: undefined, gzip: 9, snappy: undefined, lz4: 12, zstd: 12 } as const;

function settleCompression(
  values: PropertyValues,
  notes: SettingNote[],
): Pick<PublisherOptions, "compression" | "compressionLevel"> {
  const compression = values["compression.codec"];
  const level = values["compression.level"];
  const max = MAX_LEVEL[compression];
  if (level === -1) return { compression, compressionLevel: undefined };
  if (max === undefined) {
    notes.push({
      level: "debug",
      text: `compression.level=${level}: changes nothing, compression.codec=${compression} has no levels`,
    });
    return { compression, compressionLevel: undefined };
  }
  if (level > max) {
    throw new PcaptsError(
      "USAGE",
      `-X compression.level=${level} is too high for compression.codec=${compression}, ` +
        `which has 0 to ${max}; -1 is its own default`,
    );
  }
  return { compression, compressionLevel: level };
}

/**
 * A group's settings. Both orders of times are librdkafka's own rules: a
 * member whose heartbeats come later than its session lasts is put out of the
 * group again and again.
 */
function settleGroup(values: PropertyValues): GroupOptions | undefined {
  const groupId = values["group.id"];
  if (groupId === undefined) return undefined;
  const sessionTimeoutMs = values["session.timeout.ms"];
  const heartbeatIntervalMs = values["heartbeat.interval.ms"];
  const rebalanceTimeoutMs = values["max.poll.interval.ms"];
  if (heartbeatIntervalMs >= sessionTimeoutMs) {
    throw new PcaptsError(
      "USAGE",
      `-X heartbeat.interval.ms=${heartbeatIntervalMs} must be below ` +
        `session.timeout.ms=${sessionTimeoutMs}: a third of it is usual`,
    );
  }
  if (rebalanceTimeoutMs < sessionTimeoutMs) {
    throw new PcaptsError(
      "USAGE",
      `-X max.poll.interval.ms=${rebalanceTimeoutMs} must not be below ` +
        `session.timeout.ms=${sessionTimeoutMs}`,
    );
  }
  const autoCommitIntervalMs = values["auto.commit.interval.ms"];
  return {
    groupId,
    sessionTimeoutMs,
    heartbeatIntervalMs,
    rebalanceTimeoutMs,
    autoCommit: values["enable.auto.commit"] && autoCommitIntervalMs > 0,
    autoCommitIntervalMs,
    assignors: values["partition.assignment.strategy"],
    withoutOffset: values["auto.offset.reset"] === "earliest" ? "begin" : "end",
  };
}

/**
 * Idempotence needs every in-sync replica and at most five requests in flight
 * (a broker remembers five batches of a producer). Asked for, it is a promise:
 * what contradicts it is an error. Not mentioned, it gives way to `acks=1`,
 * which says that less is enough, and `max.in.flight` gives way to it, which
 * is only a matter of speed.
 */
function settleIdempotence(
  values: PropertyValues,
  notes: SettingNote[],
): Pick<PublisherOptions, "idempotence" | "acks" | "maxInFlight"> {
  let idempotence = values["enable.idempotence"];
  const acks = values["request.required.acks"] === "1" ? 1 : -1;
  let maxInFlight = values["max.in.flight.requests.per.connection"];
  if (acks === 1) {
    if (idempotence === true) {
      throw new PcaptsError(
        "USAGE",
        "-X acks=1 contradicts enable.idempotence=true, which needs every in-sync replica: " +
          "leave one of them out",
      );
    }
    if (idempotence === undefined) {
      notes.push({
        level: "info",
        text: "acks=1: published without idempotence, a frame may be lost or repeated on failure",
      });
    }
    idempotence = false;
  }
  if (idempotence !== false && maxInFlight > IDEMPOTENT_IN_FLIGHT) {
    if (idempotence === true) {
      throw new PcaptsError(
        "USAGE",
        `-X max.in.flight=${maxInFlight} contradicts enable.idempotence=true, which allows at most ` +
          `${IDEMPOTENT_IN_FLIGHT}: leave one of them out`,
      );
    }
    notes.push({
      level: "info",
      text:
        `max.in.flight=${maxInFlight}: ${IDEMPOTENT_IN_FLIGHT} are used, because each frame is ` +
        `published once and in order (enable.idempotence=false lifts that)`,
    });
    maxInFlight = IDEMPOTENT_IN_FLIGHT;
  }
  return { idempotence, acks, maxInFlight };
}
