import {
  arrayOf,
  INT16,
  INT32,
  INT64,
  NULLABLE_STRING,
  STRING,
  struct,
} from "../../kafka-wire/message-grammar.ts";
import { KAFKA_ERROR_CODE } from "../../kafka-wire/error-codes.ts";
import { defineApi } from "../broker-api.ts";
import type { OffsetEntry } from "../group-offsets.ts";

/* OffsetCommit, versions 2 to 9. Offsets are kept until they or their topic are deleted. */
const REQUEST = struct({
  groupId: STRING,
  generationId: INT32,
  memberId: STRING,
  groupInstanceId: NULLABLE_STRING.since(7),
  retentionTimeMs: INT64.until(4),
  topics: arrayOf(
    struct({
      name: STRING,
      partitions: arrayOf(
        struct({
          partitionIndex: INT32,
          offset: INT64,
          leaderEpoch: INT32.since(6, -1),
          metadata: NULLABLE_STRING,
        }),
      ),
    }),
  ),
});

const RESPONSE = struct({
  throttleTimeMs: INT32.since(3),
  topics: arrayOf(
    struct({
      name: STRING,
      partitions: arrayOf(struct({ partitionIndex: INT32, errorCode: INT16 })),
    }),
  ),
});

/** Kafka's `offset.metadata.max.bytes`. */
const LONGEST_METADATA = 4096;

/** Notes what a group has read. */
export const OFFSET_COMMIT = defineApi({
  name: "OffsetCommit",
  key: 8,
  minVersion: 2,
  maxVersion: 9,
  flexibleFrom: 8,
  request: REQUEST,
  response: RESPONSE,
  async answer(request, { broker }) {
    const entries: OffsetEntry[] = [];
    const topics = request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex, metadata, ...committed }) => {
        let errorCode = 0;
        if (broker.topics.find(name)?.partitions[partitionIndex] === undefined) {
          errorCode = KAFKA_ERROR_CODE.UNKNOWN_TOPIC_OR_PARTITION;
        } else if ((metadata?.length ?? 0) > LONGEST_METADATA) {
          errorCode = KAFKA_ERROR_CODE.OFFSET_METADATA_TOO_LARGE;
        } else {
          entries.push({ topic: name, partition: partitionIndex, metadata, ...committed });
        }
        return { partitionIndex, errorCode };
      }),
    }));
    const claim = { ...request, instanceId: request.groupInstanceId };
    await broker.groups.commit(request.groupId, claim, entries);
    return { throttleTimeMs: 0, topics };
  },
  refuse({ topics }, errorCode) {
    return {
      throttleTimeMs: 0,
      topics: topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
      })),
    };
  },
});
