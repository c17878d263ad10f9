import { PcaptsError } from "../errors.ts";
import { encodeFetch } from "../kafka-wire/fetch.ts";
import { KAFKA_ERROR_CODE, kafkaErrorInfo } from "../kafka-wire/error-codes.ts";
import { decodePlainBatches } from "../kafka-wire/plain-records.ts";
import { RecordBatchError } from "../kafka-wire/record-batch-reader.ts";
import { ConnectionError } from "./connection-error.ts";
import { listOffsets } from "./offsets.ts";
import type { Transport } from "./transport.ts";

const FETCH_BYTES = 4 * 1024 * 1024;

/** Where each partition of a topic begins and ends. */
export interface TopicExtent {
  readonly begin: ReadonlyMap<number, bigint>;
  readonly end: ReadonlyMap<number, bigint>;
}

/** Asks where the partitions of a topic begin and end. @throws ConnectionError, PcaptsError */
export async function readExtent(
  transport: Transport,
  topic: string,
  leaders: readonly number[],
): Promise<TopicExtent> {
  const query = { topic, leaders, partitions: [...leaders.keys()], readCommitted: false };
  const [begin, end] = await Promise.all([
    listOffsets(transport, { ...query, at: "begin" }),
    listOffsets(transport, { ...query, at: "end" }),
  ]);
  return { begin, end };
}

/**
 * Reads all records of a topic that are there now, partition by partition.
 *
 * @returns their values
 * @throws ConnectionError; PcaptsError RECORD_BATCH_INVALID, BROKER_PROTOCOL
 */
export async function readRecords(
  transport: Transport,
  topic: string,
  leaders: readonly number[],
): Promise<Buffer[]> {
  const { begin, end } = await readExtent(transport, topic, leaders);
  const all: Buffer[] = [];
  for (const [partition, behindLast] of end) {
    let offset = begin.get(partition) ?? 0n;
    while (offset < behindLast) {
      const { values, nextOffset } = await fetchFrom(transport, topic, leaders, partition, offset);
      for (const value of values) all.push(value);
      if (nextOffset === undefined) break;
      offset = nextOffset;
    }
  }
  return all;
}

async function fetchFrom(
  transport: Transport,
  topic: string,
  leaders: readonly number[],
  partition: number,
  offset: bigint,
): ReturnType<typeof decodePlainBatches> {
  const connection = await transport.connectionTo(leaders[partition] ?? -1, "fetch");
  const { bytes, partitions } = await connection.send(
    encodeFetch(connection.versionOf("Fetch"), topic, [{ partition, offset }], {
      maxWaitMs: 100,
      minBytes: 1,
      maxBytes: FETCH_BYTES,
      maxPartitionBytes: FETCH_BYTES,
      readCommitted: false,
    }),
  );
  const fetched = partitions[0];
  const errorCode = fetched?.errorCode ?? KAFKA_ERROR_CODE.NONE;
  if (fetched === undefined || errorCode !== KAFKA_ERROR_CODE.NONE) {
    const { name, retriable } = kafkaErrorInfo(errorCode);
    if (retriable) throw new ConnectionError(name);
    throw new PcaptsError(
      "BROKER_PROTOCOL",
      `Cannot read topic "${topic}", partition ${partition}: ${name}`,
    );
  }
  try {
    return await decodePlainBatches(bytes, fetched.recordsStart, fetched.recordsEnd, offset);
  } catch (cause) {
    if (!(cause instanceof RecordBatchError)) throw cause;
    throw new PcaptsError(
      "RECORD_BATCH_INVALID",
      `Cannot read topic "${topic}", partition ${partition}, from offset ${offset}: ${cause.message}`,
      { cause },
    );
  } finally {
    connection.giveBack(bytes);
  }
}
