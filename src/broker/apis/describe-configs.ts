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
  type ValueOf,
} from "../../kafka-wire/message-grammar.ts";
import { type BrokerState, defineApi, NODE_ID } from "../broker-api.ts";
import { BrokerError } from "../broker-error.ts";
import { type DescribedSetting, describeTopicConfig } from "../topic-settings.ts";

/* DescribeConfigs, versions 0 to 4, of topics and of the broker. */
const RESOURCE_REQUEST = struct({
  resourceType: INT8,
  resourceName: STRING,
  configurationKeys: nullableArrayOf(STRING),
});

const REQUEST = struct({
  resources: arrayOf(RESOURCE_REQUEST),
  includeSynonyms: BOOLEAN.since(1),
  includeDocumentation: BOOLEAN.since(3),
});

const RESOURCE_RESPONSE = struct({
  errorCode: INT16,
  errorMessage: NULLABLE_STRING,
  resourceType: INT8,
  resourceName: STRING,
  configs: arrayOf(
    struct({
      name: STRING,
      value: NULLABLE_STRING,
      readOnly: BOOLEAN,
      isDefault: BOOLEAN.until(0),
      configSource: INT8.since(1),
      isSensitive: BOOLEAN,
      synonyms: arrayOf(struct({ name: STRING, value: NULLABLE_STRING, source: INT8 })).since(1),
      configType: INT8.since(3),
      documentation: NULLABLE_STRING.since(3),
    }),
  ),
});

const RESPONSE = struct({ throttleTimeMs: INT32, results: arrayOf(RESOURCE_RESPONSE) });

type ResourceRequest = ValueOf<typeof RESOURCE_REQUEST>;
type ResourceResponse = ValueOf<typeof RESOURCE_RESPONSE>;

const TOPIC = 2;
const BROKER = 4;
const SOURCE = { topic: 1, broker: 4, default: 5 } as const;
const INT = 3;

/** Tells settings. */
export const DESCRIBE_CONFIGS = defineApi({
  name: "DescribeConfigs",
  key: 32,
  minVersion: 0,
  maxVersion: 4,
  flexibleFrom: 4,
  request: REQUEST,
  response: RESPONSE,
  answer({ resources }, { broker }) {
    return {
      throttleTimeMs: 0,
      results: resources.map((resource) => {
        try {
          const isTopic = resource.resourceType === TOPIC;
          const settings = describeSettings(resource, broker);
          return describe(resource, settings, isTopic ? SOURCE.topic : SOURCE.broker);
        } catch (error) {
          if (!(error instanceof BrokerError)) throw error;
          return refusal(resource, error.errorCode, error.message);
        }
      }),
    };
  },
  refuse({ resources }, errorCode, message) {
    return {
      throttleTimeMs: 0,
      results: resources.map((resource) => refusal(resource, errorCode, message)),
    };
  },
});

function describeSettings(
  { resourceType, resourceName }: ResourceRequest,
  { topics, topicDefaults, partitions }: BrokerState,
): DescribedSetting[] {
  if (resourceType === TOPIC) {
    const topic = topics.find(resourceName);
    if (topic !== undefined) return describeTopicConfig(topic.config, topicDefaults);
    throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", `There is no topic "${resourceName}"`);
  }
  if (resourceType === BROKER && ["", String(NODE_ID)].includes(resourceName)) {
    const number = (name: string, value: number): DescribedSetting => {
      return { name, value: String(value), isDefault: true, typeNumber: INT };
    };
    return [
      number("broker.id", NODE_ID),
      number("default.replication.factor", 1),
      number("min.insync.replicas", 1),
      number("num.partitions", partitions),
    ];
  }
  throw new BrokerError(
    "INVALID_REQUEST",
    `There are settings of topics (type ${TOPIC}) and of broker ${NODE_ID} (type ${BROKER})`,
  );
}

function describe(
  { resourceType, resourceName, configurationKeys }: ResourceRequest,
  settings: readonly DescribedSetting[],
  source: number,
): ResourceResponse {
  const wanted = settings.filter(({ name }) => configurationKeys?.includes(name) ?? true);
  return {
    errorCode: 0,
    errorMessage: null,
    resourceType,
    resourceName,
    configs: wanted.map(({ name, value, isDefault, typeNumber }) => ({
      name,
      value,
      readOnly: resourceType === BROKER,
      isDefault,
      configSource: isDefault ? SOURCE.default : source,
      isSensitive: false,
      synonyms: [],
      configType: typeNumber,
      documentation: null,
    })),
  };
}

function refusal(
  { resourceType, resourceName }: ResourceRequest,
  errorCode: number,
  errorMessage: string,
): ResourceResponse {
  return { errorCode, errorMessage, resourceType, resourceName, configs: [] };
}
