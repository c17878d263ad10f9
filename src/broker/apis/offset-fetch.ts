import {
  arrayOf,
  BOOLEAN,
  INT16,
  INT32,
  INT64,
  NULLABLE_STRING,
  nullableArrayOf,
  STRING,
  struct,
  type ValueOf,
} from "../../kafka-wire/message-grammar.ts";
import { defineApi } from "../broker-api.ts";
import type { GroupOffsets } from "../group-offsets.ts";

/* OffsetFetch, versions 1 to 9; from version 8 on of several groups. -1 where nothing was committed. */
const TOPIC_REQUEST = struct({ name: STRING, partitionIndexes: arrayOf(INT32) });

const REQUEST = struct({
  groupId: STRING.until(7),
  topics: nullableArrayOf(TOPIC_REQUEST).until(7),
  groups: arrayOf(
    struct({
      groupId: STRING,
      memberId: NULLABLE_STRING.since(9),
      memberEpoch: INT32.since(9, -1),
      topics: nullableArrayOf(TOPIC_REQUEST),
    }),
  ).since(8),
  requireStable: BOOLEAN.since(7),
});

const TOPIC_RESPONSE = struct({
  name: STRING,
  partitions: arrayOf(
    struct({
      partitionIndex: INT32,
      committedOffset: INT64,
      committedLeaderEpoch: INT32.since(5),
      metadata: NULLABLE_STRING,
      errorCode: INT16,
    }),
  ),
});

const RESPONSE = struct({
  throttleTimeMs: INT32.since(3),
  topics: arrayOf(TOPIC_RESPONSE).until(7),
  errorCode: INT16.since(2).until(7),
  groups: arrayOf(
    struct({ groupId: STRING, topics: arrayOf(TOPIC_RESPONSE), errorCode: INT16 }),
  ).since(8),
});

type Topics = readonly ValueOf<typeof TOPIC_REQUEST>[] | null;
type TopicResponse = ValueOf<typeof TOPIC_RESPONSE>;

/** Tells what groups have read. */
export const OFFSET_FETCH = defineApi({
  name: "OffsetFetch",
  key: 9,
  minVersion: 1,
  maxVersion: 9,
  flexibleFrom: 6,
  request: REQUEST,
  response: RESPONSE,
  answer({ groupId, topics, groups }, { broker }) {
    const { offsets } = broker.groups;
    return {
      throttleTimeMs: 0,
      topics: find(offsets, groupId, topics),
      errorCode: 0,
      groups: groups.map((group) => ({
        groupId: group.groupId,
        topics: find(offsets, group.groupId, group.topics),
        errorCode: 0,
      })),
    };
  },
  refuse: ({ groups }, errorCode) => ({
    throttleTimeMs: 0,
    topics: [],
    errorCode,
    groups: groups.map(({ groupId }) => ({ groupId, topics: [], errorCode })),
  }),
});

function find(offsets: GroupOffsets, group: string, topics: Topics): TopicResponse[] {
  return (topics ?? listAll(offsets, group)).map(({ name, partitionIndexes }) => ({
    name,
    partitions: partitionIndexes.map((partitionIndex) => {
      const committed = offsets.find(group, name, partitionIndex);
      return {
        partitionIndex,
        committedOffset: committed?.offset ?? -1,
        committedLeaderEpoch: committed?.leaderEpoch ?? -1,
        metadata: committed?.metadata ?? "",
        errorCode: 0,
      };
    }),
  }));
}

function listAll(offsets: GroupOffsets, group: string): NonNullable<Topics> {
  const byTopic = new Map<string, number[]>();
  for (const { topic, partition } of offsets.list(group)) {
    byTopic.set(topic, [...(byTopic.get(topic) ?? []), partition]);
  }
  return [...byTopic].map(([name, partitionIndexes]) => ({ name, partitionIndexes }));
}
