import {
  arrayOf,
  BOOLEAN,
  INT16,
  INT32,
  NULLABLE_STRING,
  nullableArrayOf,
  STRING,
  struct,
  UUID,
  type ValueOf,
} from "../../kafka-wire/message-grammar.ts";
import { KAFKA_ERROR_CODE } from "../../kafka-wire/error-codes.ts";
import {
  defineApi,
  NO_AUTHORIZED_OPERATIONS,
  NODE_ID,
  type RequestContext,
} from "../broker-api.ts";
import { BrokerError } from "../broker-error.ts";
import type { BrokerFaults } from "../faults.ts";
import { LEADER_EPOCH } from "../partition-log.ts";
import type { Topic } from "../topic-store.ts";

/*
 * Metadata, versions 0 to 12. One broker, which leads everything; its address
 * is the one that the client reached it at. A topic that is asked for by name
 * is created when it is missing and the client allows that.
 */
const REQUEST = struct({
  topics: nullableArrayOf(struct({ topicId: UUID.since(10), name: NULLABLE_STRING })),
  allowAutoTopicCreation: BOOLEAN.since(4, true),
  includeClusterAuthorizedOperations: BOOLEAN.since(8).until(10),
  includeTopicAuthorizedOperations: BOOLEAN.since(8),
});

const TOPIC_RESPONSE = struct({
  errorCode: INT16,
  name: NULLABLE_STRING,
  topicId: UUID.since(10),
  isInternal: BOOLEAN.since(1),
  partitions: arrayOf(
    struct({
      errorCode: INT16,
      partitionIndex: INT32,
      leaderId: INT32,
      leaderEpoch: INT32.since(7),
      replicaNodes: arrayOf(INT32),
      isrNodes: arrayOf(INT32),
      offlineReplicas: arrayOf(INT32).since(5),
    }),
  ),
  authorizedOperations: INT32.since(8),
});

const RESPONSE = struct({
  throttleTimeMs: INT32.since(3),
  brokers: arrayOf(
    struct({ nodeId: INT32, host: STRING, port: INT32, rack: NULLABLE_STRING.since(1) }),
  ),
  clusterId: NULLABLE_STRING.since(2),
  controllerId: INT32.since(1),
  topics: arrayOf(TOPIC_RESPONSE),
  authorizedOperations: INT32.since(8).until(10),
});

type TopicRequest = NonNullable<ValueOf<typeof REQUEST>["topics"]>[number];
type TopicResponse = ValueOf<typeof TOPIC_RESPONSE>;

/** Tells of the broker and its topics. */
export const METADATA = defineApi({
  name: "Metadata",
  key: 3,
  minVersion: 0,
  maxVersion: 12,
  flexibleFrom: 9,
  request: REQUEST,
  response: RESPONSE,
  async answer({ topics, allowAutoTopicCreation }, context) {
    const { broker, version, advertised } = context;
    const all = topics === null || (version === 0 && topics.length === 0);
    const described = all
      ? broker.topics.list().map((topic) => describe(topic, broker.faults))
      : await Promise.all(topics.map((each) => find(each, allowAutoTopicCreation, context)));
    return {
      throttleTimeMs: 0,
      brokers: [{ nodeId: NODE_ID, ...advertised, rack: null }],
      clusterId: broker.data.clusterId,
      controllerId: NODE_ID,
      topics: described,
      authorizedOperations: NO_AUTHORIZED_OPERATIONS,
    };
  },
  refuse({ topics }, errorCode) {
    return {
      throttleTimeMs: 0,
      brokers: [],
      clusterId: null,
      controllerId: -1,
      topics: (topics ?? []).map((each) => refusal(each, errorCode)),
      authorizedOperations: NO_AUTHORIZED_OPERATIONS,
    };
  },
});

async function find(
  wanted: TopicRequest,
  mayCreate: boolean,
  { broker }: RequestContext,
): Promise<TopicResponse> {
  const { name, topicId } = wanted;
  if (name === null) {
    const topic = broker.topics.findById(topicId);
    return topic === undefined
      ? refusal(wanted, KAFKA_ERROR_CODE.UNKNOWN_TOPIC_ID)
      : describe(topic, broker.faults);
  }
  const known = broker.topics.find(name);
  if (known !== undefined) return describe(known, broker.faults);
  if (!mayCreate) return refusal(wanted, KAFKA_ERROR_CODE.UNKNOWN_TOPIC_OR_PARTITION);
  try {
    await broker.topics.create(name, broker.partitions, {});
    broker.logger.info(`Created topic "${name}" with ${broker.partitions} partition(s)`);
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    // Another client may have asked for it at the same moment.
    if (error.errorCode !== KAFKA_ERROR_CODE.TOPIC_ALREADY_EXISTS) {
      return refusal(wanted, error.errorCode);
    }
  }
  const created = broker.topics.find(name);
  return created === undefined
    ? refusal(wanted, KAFKA_ERROR_CODE.LEADER_NOT_AVAILABLE)
    : describe(created, broker.faults);
}

function describe({ name, id, partitions }: Topic, faults: BrokerFaults): TopicResponse {
  return {
    errorCode: 0,
    name,
    topicId: id,
    isInternal: false,
    partitions: partitions.map((_, partitionIndex) => {
      const isLed = faults.isLeaderless?.(name, partitionIndex) !== true;
      return {
        errorCode: isLed ? 0 : KAFKA_ERROR_CODE.LEADER_NOT_AVAILABLE,
        partitionIndex,
        leaderId: isLed ? NODE_ID : -1,
        leaderEpoch: LEADER_EPOCH,
        replicaNodes: [NODE_ID],
        isrNodes: isLed ? [NODE_ID] : [],
        offlineReplicas: isLed ? [] : [NODE_ID],
      };
    }),
    authorizedOperations: NO_AUTHORIZED_OPERATIONS,
  };
}

function refusal({ name, topicId }: TopicRequest, errorCode: number): TopicResponse {
  return {
    errorCode,
    name: name ?? "",
    topicId,
    isInternal: false,
    partitions: [],
    authorizedOperations: NO_AUTHORIZED_OPERATIONS,
  };
}
