import { arrayOf, INT16, INT32, INT64, STRING, struct } from "../../kafka-wire/message-grammar.ts";
import { defineApi } from "../broker-api.ts";
import { BrokerError } from "../broker-error.ts";
import { LEADER_EPOCH } from "../partition-log.ts";

/*
 * OffsetForLeaderEpoch, versions 2 to 4. There is one epoch, so its end is the
 * end of the log: a consumer that is beyond it learns that records were lost.
 */
const REQUEST = struct({
  replicaId: INT32.since(3),
  topics: arrayOf(
    struct({
      topic: STRING,
      partitions: arrayOf(
        struct({ partition: INT32, currentLeaderEpoch: INT32, leaderEpoch: INT32 }),
      ),
    }),
  ),
});

const RESPONSE = struct({
  throttleTimeMs: INT32,
  topics: arrayOf(
    struct({
      topic: STRING,
      partitions: arrayOf(
        struct({ errorCode: INT16, partition: INT32, leaderEpoch: INT32, endOffset: INT64 }),
      ),
    }),
  ),
});

/** Says where an epoch ended. */
export const OFFSET_FOR_LEADER_EPOCH = defineApi({
  name: "OffsetForLeaderEpoch",
  key: 23,
  minVersion: 2,
  maxVersion: 4,
  flexibleFrom: 4,
  request: REQUEST,
  response: RESPONSE,
  answer({ topics }, { broker }) {
    return {
      throttleTimeMs: 0,
      topics: topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map(({ partition, leaderEpoch }) => {
          try {
            const log = broker.topics.log(topic, partition);
            if (leaderEpoch !== LEADER_EPOCH) return refusal(partition, 0);
            return { errorCode: 0, partition, leaderEpoch, endOffset: log.nextOffset };
          } catch (error) {
            if (!(error instanceof BrokerError)) throw error;
            return refusal(partition, error.errorCode);
          }
        }),
      })),
    };
  },
  refuse({ topics }, errorCode) {
    return {
      throttleTimeMs: 0,
      topics: topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map(({ partition }) => refusal(partition, errorCode)),
      })),
    };
  },
});

function refusal(
  partition: number,
  errorCode: number,
): { errorCode: number; partition: number; leaderEpoch: number; endOffset: number } {
  return { errorCode, partition, leaderEpoch: -1, endOffset: -1 };
}
