import { ByteReader } from "../bytes/byte-reader.ts";
import { crc32c } from "../bytes/crc32c.ts";
import {
  BATCH_ATTRIBUTE,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_OVERHEAD,
  OFFSET_OF,
} from "../kafka-wire/record-batch-format.ts";
import { BrokerError } from "./broker-error.ts";

/** What the log has to know of a batch. */
export interface BatchFacts {
  readonly lastOffsetDelta: number;
  readonly maxTimestampMs: number;
  /** -1 without idempotence. */
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
}

const COMPRESSION_ZSTD = 4;
/** Produce versions below know no zstd (KIP-110). */
const ZSTD_SINCE_VERSION = 7;

/**
 * Checks what a producer sent for one partition, as Kafka's LogValidator and
 * ProduceRequest do: one batch of format 2 that its checksum confirms, offsets
 * from 0 without gaps, no markers of transactions. Records that are compressed
 * stay so and are not looked into; of others it is checked that they fill the
 * batch exactly.
 *
 * @param bytes what came
 * @param produceVersion version of the request
 * @param maxBytes the topic's `max.message.bytes`
 * @throws BrokerError with what Kafka answers
 */
export function checkProducedBatch(
  bytes: Buffer,
  produceVersion: number,
  maxBytes: number,
): BatchFacts {
  if (bytes.length < BATCH_HEADER_BYTES) throw corrupt(`a batch of ${bytes.length} bytes is cut`);
  const magic = bytes[OFFSET_OF.magic]!;
  if (magic !== 2) throw invalid(`message format ${magic} is not kept, only 2`);
  const length = bytes.readInt32BE(OFFSET_OF.batchLength) + BATCH_LENGTH_OVERHEAD;
  if (length < BATCH_HEADER_BYTES || length > bytes.length) {
    throw corrupt(`the batch states ${length} bytes, ${bytes.length} came`);
  }
  if (length < bytes.length) throw invalid("a partition takes one batch of each request");
  if (length > maxBytes) {
    throw new BrokerError(
      "MESSAGE_TOO_LARGE",
      `The batch has ${length} bytes, max.message.bytes is ${maxBytes}`,
    );
  }
  if (bytes.readUInt32BE(OFFSET_OF.crc) !== crc32c(bytes.subarray(OFFSET_OF.attributes))) {
    throw corrupt("the checksum is wrong");
  }
  const attributes = bytes.readInt16BE(OFFSET_OF.attributes);
  const compression = attributes & BATCH_ATTRIBUTE.compressionMask;
  if (compression > COMPRESSION_ZSTD) throw invalid(`codec ${compression} is not known`);
  if (compression === COMPRESSION_ZSTD && produceVersion < ZSTD_SINCE_VERSION) {
    throw new BrokerError("UNSUPPORTED_COMPRESSION_TYPE", "zstd needs Produce version 7");
  }
  if ((attributes & BATCH_ATTRIBUTE.control) !== 0) {
    throw invalid("a client writes no transaction markers");
  }
  if ((attributes & BATCH_ATTRIBUTE.transactional) !== 0) {
    throw new BrokerError("INVALID_TXN_STATE", "Transactions are not kept by this broker");
  }
  if (bytes.readBigInt64BE(OFFSET_OF.baseOffset) !== 0n) throw invalid("offsets begin at 0");
  const facts = readBatchFacts(bytes);
  const count = bytes.readInt32BE(OFFSET_OF.recordCount);
  if (count <= 0 || facts.lastOffsetDelta !== count - 1) {
    throw invalid(`${count} record(s) do not end at offset ${facts.lastOffsetDelta}`);
  }
  if (facts.producerId >= 0 && (facts.producerEpoch < 0 || facts.baseSequence < 0)) {
    throw invalid("an idempotent batch has an epoch and a sequence");
  }
  if (compression === 0) checkRecordsFill(bytes, count);
  return facts;
}

/** Reads what the log has to know from a batch's header; at least {@link BATCH_HEADER_BYTES} are there. */
export function readBatchFacts(batch: Buffer): BatchFacts {
  return {
    lastOffsetDelta: batch.readInt32BE(OFFSET_OF.lastOffsetDelta),
    maxTimestampMs: Number(batch.readBigInt64BE(OFFSET_OF.maxTimestamp)),
    producerId: Number(batch.readBigInt64BE(OFFSET_OF.producerId)),
    producerEpoch: batch.readInt16BE(OFFSET_OF.producerEpoch),
    baseSequence: batch.readInt32BE(OFFSET_OF.baseSequence),
  };
}

/** Lengths alone: a record in the middle that no reader can take apart would stop every consumer. */
function checkRecordsFill(batch: Buffer, count: number): void {
  const reader = new ByteReader(batch, BATCH_HEADER_BYTES);
  try {
    for (let left = count; left > 0; left--) reader.skip(reader.readVarint());
  } catch (error) {
    throw new BrokerError("INVALID_RECORD", "A record is cut", { cause: error });
  }
  if (reader.remaining > 0) throw invalid(`${reader.remaining} bytes follow the last record`);
}

/**
 * Replaces the time of all records by the broker's, for topics with
 * `message.timestamp.type=LogAppendTime`. The checksum covers it.
 *
 * @param batch changed in place
 */
export function stampAppendTime(batch: Buffer, nowMs: number): void {
  const attributes = batch.readInt16BE(OFFSET_OF.attributes);
  batch.writeInt16BE(attributes | BATCH_ATTRIBUTE.logAppendTime, OFFSET_OF.attributes);
  batch.writeBigInt64BE(BigInt(nowMs), OFFSET_OF.maxTimestamp);
  batch.writeUInt32BE(crc32c(batch.subarray(OFFSET_OF.attributes)), OFFSET_OF.crc);
}

function corrupt(reason: string): BrokerError {
  return new BrokerError("CORRUPT_MESSAGE", `The batch is damaged: ${reason}`);
}

function invalid(reason: string): BrokerError {
  return new BrokerError("INVALID_RECORD", `The batch is not taken: ${reason}`);
}
