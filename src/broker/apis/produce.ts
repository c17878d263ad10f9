import {
  arrayOf,
  INT16,
  INT32,
  INT64,
  NULLABLE_BYTES,
  NULLABLE_STRING,
  STRING,
  struct,
  type ValueOf,
} from "../../kafka-wire/message-grammar.ts";
import { checkProducedBatch } from "../batch-check.ts";
import { type BrokerState, defineApi } from "../broker-api.ts";
import { BrokerError } from "../broker-error.ts";
import { kafkaErrorInfo } from "../../kafka-wire/error-codes.ts";

/*
 * Produce, versions 3 to 11. One batch for each partition, format 2. acks 1 and
 * all are the same: there is one copy. With acks 0 nothing is answered, and an
 * error closes the connection, as it does at Kafka.
 */
const REQUEST = struct({
  transactionalId: NULLABLE_STRING,
  acks: INT16,
  timeoutMs: INT32,
  topics: arrayOf(
    struct({
      name: STRING,
      partitions: arrayOf(struct({ index: INT32, records: NULLABLE_BYTES })),
    }),
  ),
});

const PARTITION_RESPONSE = struct({
  index: INT32,
  errorCode: INT16,
  baseOffset: INT64,
  logAppendTimeMs: INT64,
  logStartOffset: INT64.since(5),
  recordErrors: arrayOf(struct({ batchIndex: INT32, message: NULLABLE_STRING })).since(8),
  errorMessage: NULLABLE_STRING.since(8),
});

const RESPONSE = struct({
  responses: arrayOf(struct({ name: STRING, partitions: arrayOf(PARTITION_RESPONSE) })),
  throttleTimeMs: INT32,
});

type PartitionResponse = ValueOf<typeof PARTITION_RESPONSE>;

/** Appends batches. */
export const PRODUCE = defineApi({
  name: "Produce",
  key: 0,
  minVersion: 3,
  maxVersion: 11,
  // librdkafka takes a broker that does not offer version 0 for one without compression.
  advertisedMinVersion: 0,
  flexibleFrom: 9,
  request: REQUEST,
  response: RESPONSE,
  async answer(request, { broker, version }) {
    if (request.acks < -1 || request.acks > 1) {
      throw new BrokerError("INVALID_REQUIRED_ACKS", `acks=${request.acks} means nothing`);
    }
    const responses = await Promise.all(
      request.topics.map(async ({ name, partitions }) => ({
        name,
        partitions: await Promise.all(
          partitions.map(({ index, records }) => append(broker, name, index, records, version)),
        ),
      })),
    );
    if (request.acks !== 0) return { responses, throttleTimeMs: 0 };
    const failed = responses
      .flatMap(({ partitions }) => partitions)
      .find(({ errorCode }) => errorCode !== 0);
    if (failed === undefined) return undefined;
    throw new UnansweredError(
      `A batch sent with acks=0 was refused: ${kafkaErrorInfo(failed.errorCode).name}`,
    );
  },
  refuse(request, errorCode, message) {
    return {
      responses: request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ index }) => refusal(index, errorCode, message)),
      })),
      throttleTimeMs: 0,
    };
  },
});

/** A request that failed and has no answer: the connection is closed, so that the client notices. */
export class UnansweredError extends Error {
  override name = "UnansweredError";
}

async function append(
  { topics, faults, logger }: BrokerState,
  topic: string,
  partition: number,
  records: Buffer | null,
  version: number,
): Promise<PartitionResponse> {
  try {
    const log = topics.log(topic, partition);
    if (records === null) throw new BrokerError("INVALID_RECORD", "There is no batch");
    const facts = checkProducedBatch(records, version, log.maxMessageBytes);
    const fault = faults.onBatch?.({ topic, partition, bytes: records });
    if (fault !== undefined && !fault.isAppended) {
      const response = refusal(partition, fault.errorCode, null);
      const recordErrors = (fault.records ?? []).map((batchIndex) => ({
        batchIndex,
        message: null,
      }));
      return { ...response, recordErrors };
    }
    const { baseOffset, appendTimeMs } = await log.append(records, facts);
    if (fault !== undefined) return refusal(partition, fault.errorCode, null);
    return {
      index: partition,
      errorCode: 0,
      baseOffset,
      logAppendTimeMs: appendTimeMs,
      logStartOffset: log.logStartOffset,
      recordErrors: [],
      errorMessage: null,
    };
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    logger.debug(`Refused a batch for ${topic}-${partition}: ${error.message}`);
    return refusal(partition, error.errorCode, error.message);
  }
}

function refusal(index: number, errorCode: number, errorMessage: string | null): PartitionResponse {
  return {
    index,
    errorCode,
    baseOffset: -1,
    logAppendTimeMs: -1,
    logStartOffset: -1,
    recordErrors: [],
    errorMessage,
  };
}
