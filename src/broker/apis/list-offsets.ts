import {
  arrayOf,
  INT16,
  INT32,
  INT64,
  INT8,
  STRING,
  struct,
} from "../../kafka-wire/message-grammar.ts";
import { defineApi } from "../broker-api.ts";
import { BrokerError } from "../broker-error.ts";
import { LEADER_EPOCH } from "../partition-log.ts";
import type { PartitionLog } from "../partition-log.ts";
import type { TopicStore } from "../topic-store.ts";

/*
 * ListOffsets, versions 1 to 7: the first record at or after a time, or -1 for
 * the end, -2 for the beginning, -3 for the record with the latest time.
 */
const REQUEST = struct({
  replicaId: INT32,
  isolationLevel: INT8.since(2),
  topics: arrayOf(
    struct({
      name: STRING,
      partitions: arrayOf(
        struct({
          partitionIndex: INT32,
          currentLeaderEpoch: INT32.since(4, -1),
          timestamp: INT64,
        }),
      ),
    }),
  ),
});

const RESPONSE = struct({
  throttleTimeMs: INT32.since(2),
  topics: arrayOf(
    struct({
      name: STRING,
      partitions: arrayOf(
        struct({
          partitionIndex: INT32,
          errorCode: INT16,
          timestamp: INT64,
          offset: INT64,
          leaderEpoch: INT32.since(4),
        }),
      ),
    }),
  ),
});

const AT_END = -1;
const AT_BEGINNING = -2;
const AT_LATEST_TIME = -3;

interface Listed {
  readonly timestamp: number;
  readonly offset: number;
}

interface PartitionResponse extends Listed {
  readonly partitionIndex: number;
  readonly errorCode: number;
  readonly leaderEpoch: number;
}

/** Finds offsets by time. */
export const LIST_OFFSETS = defineApi({
  name: "ListOffsets",
  key: 2,
  minVersion: 1,
  maxVersion: 7,
  flexibleFrom: 6,
  request: REQUEST,
  response: RESPONSE,
  async answer({ topics }, { broker }) {
    const answers: { name: string; partitions: PartitionResponse[] }[] = [];
    for (const { name, partitions } of topics) {
      const listed: PartitionResponse[] = [];
      // One after another: a search by time takes the memory of a whole batch, and of what is in it.
      for (const { partitionIndex, timestamp } of partitions) {
        listed.push(await list(broker.topics, name, partitionIndex, timestamp));
      }
      answers.push({ name, partitions: listed });
    }
    return { throttleTimeMs: 0, topics: answers };
  },
  refuse({ topics }, errorCode) {
    return {
      throttleTimeMs: 0,
      topics: topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => refusal(partitionIndex, errorCode)),
      })),
    };
  },
});

async function list(
  topics: TopicStore,
  topic: string,
  partitionIndex: number,
  timestamp: number,
): Promise<PartitionResponse> {
  try {
    const found = await find(topics.log(topic, partitionIndex), timestamp);
    const leaderEpoch = found.offset < 0 ? -1 : LEADER_EPOCH;
    return { partitionIndex, errorCode: 0, ...found, leaderEpoch };
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    return refusal(partitionIndex, error.errorCode);
  }
}

async function find(log: PartitionLog, timestamp: number): Promise<Listed> {
  if (timestamp === AT_END) return { timestamp: -1, offset: log.nextOffset };
  if (timestamp === AT_BEGINNING) return { timestamp: -1, offset: log.logStartOffset };
  if (timestamp < AT_LATEST_TIME) {
    throw new BrokerError("UNSUPPORTED_VERSION", `Time ${timestamp} means nothing here`);
  }
  const found = await (timestamp === AT_LATEST_TIME ? log.findLatest() : log.findTime(timestamp));
  return { timestamp: found?.timestampMs ?? -1, offset: found?.offset ?? -1 };
}

function refusal(partitionIndex: number, errorCode: number): PartitionResponse {
  return { partitionIndex, errorCode, timestamp: -1, offset: -1, leaderEpoch: -1 };
}
