import {
  arrayOf,
  INT16,
  INT32,
  INT64,
  INT8,
  NULLABLE_BYTES,
  nullableArrayOf,
  STRING,
  struct,
  type ValueOf,
} from "../../kafka-wire/message-grammar.ts";
import { defineApi } from "../broker-api.ts";
import { BrokerError } from "../broker-error.ts";
import { FetchRead, type FetchedRecords, type WantedPartition } from "../fetch-read.ts";
import { waitForBytes } from "../fetch-wait.ts";

/*
 * Fetch, versions 4 to 12. Waits up to max_wait_ms for min_bytes. Every answer
 * is a full one: no fetch session is ever opened (session_id 0), which clients
 * take for "ask for everything again". Only whole batches are sent, and the
 * first batch always, however large. There are no transactions: the last
 * stable offset is the high watermark, and read_committed reads everything.
 */
const REQUEST = struct({
  replicaId: INT32,
  maxWaitMs: INT32,
  minBytes: INT32,
  maxBytes: INT32,
  isolationLevel: INT8,
  sessionId: INT32.since(7),
  sessionEpoch: INT32.since(7, -1),
  topics: arrayOf(
    struct({
      topic: STRING,
      partitions: arrayOf(
        struct({
          partition: INT32,
          currentLeaderEpoch: INT32.since(9, -1),
          fetchOffset: INT64,
          lastFetchedEpoch: INT32.since(12, -1),
          logStartOffset: INT64.since(5, -1),
          partitionMaxBytes: INT32,
        }),
      ),
    }),
  ),
  forgottenTopics: arrayOf(struct({ topic: STRING, partitions: arrayOf(INT32) })).since(7),
  rackId: STRING.since(11),
});

const PARTITION_RESPONSE = struct({
  partition: INT32,
  errorCode: INT16,
  highWatermark: INT64,
  lastStableOffset: INT64,
  logStartOffset: INT64.since(5),
  abortedTransactions: nullableArrayOf(struct({ producerId: INT64, firstOffset: INT64 })),
  preferredReadReplica: INT32.since(11),
  records: NULLABLE_BYTES,
});

const RESPONSE = struct({
  throttleTimeMs: INT32,
  errorCode: INT16.since(7),
  sessionId: INT32.since(7),
  responses: arrayOf(struct({ topic: STRING, partitions: arrayOf(PARTITION_RESPONSE) })),
});

type FetchRequest = ValueOf<typeof REQUEST>;
type FetchResponse = ValueOf<typeof RESPONSE>;

/** What is sent in one answer at most; clients ask again. */
const MOST_BYTES = 8 * 1024 * 1024;

/** Reads records. */
export const FETCH = defineApi({
  name: "Fetch",
  key: 1,
  minVersion: 4,
  maxVersion: 12,
  flexibleFrom: 12,
  request: REQUEST,
  response: RESPONSE,
  async answer(request, context): Promise<FetchResponse> {
    if (request.sessionId !== 0) {
      throw new BrokerError("FETCH_SESSION_ID_NOT_FOUND", "No fetch session is ever opened");
    }
    const { broker } = context;
    const wanted = request.topics.flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, fetchOffset, partitionMaxBytes }): WantedPartition => ({
        topic,
        partition,
        offset: fetchOffset,
        maxBytes: partitionMaxBytes,
      })),
    );
    const read = new FetchRead(broker, wanted, Math.min(request.maxBytes, MOST_BYTES));
    await read.locate();
    const missing = request.minBytes - read.availableBytes;
    if (missing > 0 && request.maxWaitMs > 0 && !read.hasErrors) {
      const logs = read.logs();
      await waitForBytes(logs, missing, request.maxWaitMs, (gone) => context.onGone(gone));
      await read.locate();
    }
    context.afterAnswer(() => read.release());
    const fetched = await read.read();
    return { throttleTimeMs: 0, errorCode: 0, sessionId: 0, responses: grouped(request, fetched) };
  },
  refuse(request, errorCode) {
    const fetched = request.topics.flatMap(({ partitions }) =>
      partitions.map(() => ({ errorCode, highWatermark: -1, logStartOffset: -1, records: null })),
    );
    const responses = grouped(request, fetched);
    return { throttleTimeMs: 0, errorCode, sessionId: 0, responses };
  },
});

/** Answers in the order of the request. */
function grouped(
  { topics }: FetchRequest,
  fetched: readonly FetchedRecords[],
): FetchResponse["responses"] {
  let next = 0;
  return topics.map(({ topic, partitions }) => ({
    topic,
    partitions: partitions.map(({ partition }) => {
      const { errorCode, highWatermark, logStartOffset, records } = fetched[next++]!;
      return {
        partition,
        errorCode,
        highWatermark,
        lastStableOffset: highWatermark,
        logStartOffset,
        abortedTransactions: null,
        preferredReadReplica: -1,
        records: records ?? NO_RECORDS,
      };
    }),
  }));
}

const NO_RECORDS = Buffer.alloc(0);
