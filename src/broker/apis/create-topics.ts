import {
  arrayOf,
  BOOLEAN,
  INT16,
  INT32,
  INT8,
  NULLABLE_STRING,
  nullableArrayOf,
  STRING,
  struct,
  UUID,
  type ValueOf,
} from "../../kafka-wire/message-grammar.ts";
import { type BrokerState, defineApi, NODE_ID } from "../broker-api.ts";
import { BrokerError } from "../broker-error.ts";
import { checkTopicConfig, describeTopicConfig } from "../topic-settings.ts";

/*
 * CreateTopics, versions 2 to 7. Settings that this broker does not know are
 * refused (INVALID_CONFIG), as are more copies than one.
 */
const TOPIC_REQUEST = struct({
  name: STRING,
  numPartitions: INT32,
  replicationFactor: INT16,
  assignments: arrayOf(struct({ partitionIndex: INT32, brokerIds: arrayOf(INT32) })),
  configs: arrayOf(struct({ name: STRING, value: NULLABLE_STRING })),
});

const REQUEST = struct({
  topics: arrayOf(TOPIC_REQUEST),
  timeoutMs: INT32,
  validateOnly: BOOLEAN,
});

const TOPIC_RESPONSE = struct({
  name: STRING,
  topicId: UUID.since(7),
  errorCode: INT16,
  errorMessage: NULLABLE_STRING,
  numPartitions: INT32.since(5),
  replicationFactor: INT16.since(5),
  configs: nullableArrayOf(
    struct({
      name: STRING,
      value: NULLABLE_STRING,
      readOnly: BOOLEAN,
      configSource: INT8,
      isSensitive: BOOLEAN,
    }),
  ).since(5),
});

const RESPONSE = struct({ throttleTimeMs: INT32, topics: arrayOf(TOPIC_RESPONSE) });

type TopicRequest = ValueOf<typeof TOPIC_REQUEST>;
type TopicResponse = ValueOf<typeof TOPIC_RESPONSE>;

/** Where a setting comes from, in Kafka's numbers. */
const SET_FOR_TOPIC = 1;
const SET_BY_DEFAULT = 5;

/** Creates topics. */
export const CREATE_TOPICS = defineApi({
  name: "CreateTopics",
  key: 19,
  minVersion: 2,
  maxVersion: 7,
  flexibleFrom: 5,
  request: REQUEST,
  response: RESPONSE,
  async answer({ topics, validateOnly }, { broker }) {
    const created = topics.map((topic) => create(topic, validateOnly, broker));
    return { throttleTimeMs: 0, topics: await Promise.all(created) };
  },
  refuse({ topics }, errorCode, message) {
    return {
      throttleTimeMs: 0,
      topics: topics.map(({ name }) => refusal(name, errorCode, message)),
    };
  },
});

async function create(
  topic: TopicRequest,
  onlyCheck: boolean,
  { topics, topicDefaults, partitions: defaultPartitions, logger }: BrokerState,
): Promise<TopicResponse> {
  const { name } = topic;
  try {
    const partitions = countPartitions(topic, defaultPartitions);
    const config = checkTopicConfig(
      Object.fromEntries(topic.configs.map((each) => [each.name, each.value])),
    );
    const { id } = await topics.create(name, partitions, config, onlyCheck);
    if (!onlyCheck) logger.info(`Created topic "${name}" with ${partitions} partition(s)`);
    return {
      name,
      topicId: id,
      errorCode: 0,
      errorMessage: null,
      numPartitions: partitions,
      replicationFactor: 1,
      configs: describeTopicConfig(config, topicDefaults).map((setting) => ({
        name: setting.name,
        value: setting.value,
        readOnly: false,
        configSource: setting.isDefault ? SET_BY_DEFAULT : SET_FOR_TOPIC,
        isSensitive: false,
      })),
    };
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    return refusal(name, error.errorCode, error.message);
  }
}

function countPartitions(
  { numPartitions, replicationFactor, assignments }: TopicRequest,
  defaultPartitions: number,
): number {
  if (assignments.length > 0) {
    const indexes = new Set(assignments.map(({ partitionIndex }) => partitionIndex));
    const isWhole = assignments.every((_, index) => indexes.has(index));
    const isHere = assignments.every(({ brokerIds: [id, ...more] }) => {
      return id === NODE_ID && more.length === 0;
    });
    if (isWhole && isHere) return assignments.length;
    throw new BrokerError(
      "INVALID_REPLICA_ASSIGNMENT",
      `Partitions from 0 on, each at broker ${NODE_ID} alone`,
    );
  }
  if (replicationFactor !== 1 && replicationFactor !== -1) {
    throw new BrokerError(
      "INVALID_REPLICATION_FACTOR",
      `Replication factor ${replicationFactor} cannot be had: there is one broker`,
    );
  }
  return numPartitions === -1 ? defaultPartitions : numPartitions;
}

function refusal(name: string, errorCode: number, errorMessage: string): TopicResponse {
  return {
    name,
    topicId: "0".repeat(32),
    errorCode,
    errorMessage,
    numPartitions: -1,
    replicationFactor: -1,
    configs: null,
  };
}
