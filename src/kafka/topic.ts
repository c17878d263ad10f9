import { setTimeout as sleep } from "node:timers/promises";
import { PcaptsError } from "../errors.ts";
import {
  authorizationError,
  describeRefusedOperation,
  isAuthorizationError,
} from "./authorization-error.ts";
import type { Principal } from "./client-identity.ts";
import { encodeCreateTopics } from "../kafka-wire/create-topics.ts";
import { KAFKA_ERROR_CODE, kafkaErrorInfo } from "../kafka-wire/error-codes.ts";
import type { Logger } from "../logger.ts";
import { ConnectionError } from "./connection-error.ts";
import { persistently } from "./persistently.ts";
import type { Persistence } from "./persistently.ts";
import type { Transport } from "./transport.ts";

/** From this version of CreateTopics on, -1 stands for the broker's default (KIP-464). */
const CREATE_TOPICS_WITH_DEFAULTS = 4;

const SETTINGS = [
  "cleanup.policy",
  "message.timestamp.type",
  "max.message.bytes",
  "retention.ms",
] as const;

/** A topic that frames can be published to. */
export interface PublishableTopic {
  readonly name: string;
  /** Node that leads each partition, -1 for nobody at the moment. */
  readonly leaders: readonly number[];
  /** Largest record batch; undefined when the settings may not be read. */
  readonly maxMessageBytes: number | undefined;
  /** Records older than this are deleted; undefined for never, or not known. */
  readonly retentionMs: number | undefined;
}

/**
 * Finds out who leads a topic.
 *
 * @param needed whether `every` partition needs a leader, or `some` will do: the others are waited for later
 * @returns undefined when the topic does not exist
 * @throws AUTHORIZATION_FAILED, TOPIC_UNSUITABLE, BROKER_UNREACHABLE
 */
export async function findTopic(
  transport: Transport,
  topic: string,
  persistence: Persistence,
  signal?: AbortSignal,
  needed: "every" | "some" = "every",
): Promise<readonly number[] | undefined> {
  return persistently(`learn who leads topic "${topic}"`, persistence, signal, async () => {
    const found = await transport.lookUpTopic(topic);
    if ("leaders" in found) {
      const leaderless = found.leaders.filter((leader) => leader < 0).length;
      if (leaderless === 0 && found.leaders.length > 0) return found.leaders;
      if (needed === "some" && leaderless < found.leaders.length) return found.leaders;
      throw new ConnectionError("a partition has no leader");
    }
    if (found.errorCode === KAFKA_ERROR_CODE.UNKNOWN_TOPIC_OR_PARTITION) return undefined;
    const { name, retriable } = kafkaErrorInfo(found.errorCode);
    if (retriable) throw new ConnectionError(name);
    throw topicRefused(topic, found.errorCode, transport.principal);
  });
}

/** Why a topic cannot be looked up, whoever is asked and how often. */
export function topicRefused(topic: string, errorCode: number, principal: Principal): PcaptsError {
  const { name } = kafkaErrorInfo(errorCode);
  if (isAuthorizationError(errorCode)) {
    return authorizationError(
      {
        action: `learn who leads topic "${topic}"`,
        operation: "Describe",
        resource: "topic",
        resourceName: topic,
      },
      errorCode,
      principal,
    );
  }
  return new PcaptsError(
    "TOPIC_UNSUITABLE",
    `Cannot use topic "${topic}": ${name}; a name has 1 to 249 letters, digits, dots, underscores or dashes`,
  );
}

/**
 * Makes a topic ready to be published to: creates it when it is missing, and
 * looks at the settings that decide what becomes of frames.
 *
 * @param partitions of a new topic
 * @throws TOPIC_NOT_CREATABLE, TOPIC_UNSUITABLE, AUTHORIZATION_FAILED, BROKER_UNREACHABLE
 */
export async function prepareTopic(
  transport: Transport,
  topic: string,
  partitions: number,
  persistence: Persistence,
  logger: Logger,
  signal?: AbortSignal,
): Promise<PublishableTopic> {
  let leaders = await findTopic(transport, topic, persistence, signal, "some");
  if (leaders === undefined) {
    await persistently(`create topic "${topic}"`, persistence, signal, () =>
      createTopic(transport, topic, partitions, logger),
    );
    leaders = await waitForNewTopic(transport, topic, persistence, signal);
  }
  const settings = await persistently(
    `read the settings of topic "${topic}"`,
    persistence,
    signal,
    () => transport.topicSettings(topic, SETTINGS),
  );
  if (typeof settings === "string") {
    const forbidden = settings === "TOPIC_AUTHORIZATION_FAILED";
    const refused = {
      action: `read the settings of topic "${topic}"`,
      operation: "DescribeConfigs",
      resource: "topic",
      resourceName: topic,
    } as const;
    logger.warn(
      `Cannot read the settings of topic "${topic}": ${settings}` +
        (forbidden ? `, ${describeRefusedOperation(refused, transport.principal)}` : "") +
        "; going on without",
    );
    return { name: topic, leaders, maxMessageBytes: undefined, retentionMs: undefined };
  }
  const cleanup = settings.get("cleanup.policy") ?? "";
  if (cleanup.split(",").some((policy) => policy.trim() === "compact")) {
    throw new PcaptsError(
      "TOPIC_UNSUITABLE",
      `Cannot publish to topic "${topic}": its cleanup.policy is "${cleanup}", which deletes all but one of ` +
        "the frames of a microsecond; set cleanup.policy=delete or choose another topic (-t)",
    );
  }
  if (settings.get("message.timestamp.type") === "LogAppendTime") {
    logger.info(
      `Topic "${topic}" has message.timestamp.type=LogAppendTime: the broker replaces record timestamps; keys keep the capture time`,
    );
  }
  const retentionMs = Number(settings.get("retention.ms") ?? -1);
  return {
    name: topic,
    leaders,
    maxMessageBytes: positiveOrUndefined(Number(settings.get("max.message.bytes"))),
    retentionMs: cleanup.includes("delete") ? positiveOrUndefined(retentionMs) : undefined,
  };
}

function positiveOrUndefined(value: number): number | undefined {
  return value > 0 ? value : undefined;
}

async function createTopic(
  transport: Transport,
  topic: string,
  partitions: number,
  logger: Logger,
): Promise<void> {
  const connection = await transport.connectionToController();
  const version = connection.versionOf("CreateTopics");
  const replication =
    version >= CREATE_TOPICS_WITH_DEFAULTS ? -1 : await transport.defaultReplicationFactor();
  const { errorCode, errorMessage } = await connection.send(
    encodeCreateTopics(version, topic, partitions, replication, 15_000),
  );
  if (errorCode === KAFKA_ERROR_CODE.NONE) {
    logger.info(`Created topic "${topic}" with ${partitions} partition(s)`);
    return;
  }
  if (errorCode === KAFKA_ERROR_CODE.TOPIC_ALREADY_EXISTS) return;
  const { name, retriable } = kafkaErrorInfo(errorCode);
  if (retriable) throw new ConnectionError(name);
  if (isAuthorizationError(errorCode)) {
    throw authorizationError(
      {
        action: `create topic "${topic}", which does not exist`,
        operation: "Create",
        resource: "topic",
        resourceName: topic,
      },
      errorCode,
      transport.principal,
    );
  }
  throw new PcaptsError(
    "TOPIC_NOT_CREATABLE",
    `Topic "${topic}" does not exist and cannot be created: ${name}` +
      (errorMessage === null ? "" : `: ${errorMessage}`) +
      "; create it by hand or choose another (-t)",
  );
}

async function waitForNewTopic(
  transport: Transport,
  topic: string,
  persistence: Persistence,
  signal?: AbortSignal,
): Promise<readonly number[]> {
  const deadline = performance.now() + persistence.connectTimeoutMs;
  for (;;) {
    const leaders = await findTopic(transport, topic, persistence, signal);
    if (leaders !== undefined) return leaders;
    if (performance.now() > deadline) {
      throw new PcaptsError(
        "TOPIC_MISSING",
        `Topic "${topic}" was created, but no broker knows it after ${persistence.connectTimeoutMs / 1000} s (--connect-timeout)`,
      );
    }
    await sleep(20, undefined, signal === undefined ? {} : { signal });
  }
}
