import type { ByteReader } from "../bytes/byte-reader.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import type { EncodedRequest } from "./api.ts";

/** One sealed batch for one partition. */
export interface PartitionBatch {
  readonly partition: number;
  readonly batch: Buffer;
}

/** A broker's answer for one partition. */
export interface ProducePartitionResponse {
  readonly partition: number;
  readonly errorCode: number;
  /** Offset of the batch's first record; -1 with an error. */
  readonly baseOffset: bigint;
  /** Records of the batch that were refused, by their place in it (version 8). */
  readonly recordErrors: readonly { readonly index: number; readonly message: string | null }[];
  readonly errorMessage: string | null;
}

/** Answer to Produce. */
export interface ProduceResponse {
  readonly partitions: readonly ProducePartitionResponse[];
  readonly throttleTimeMs: number;
}

/*
 * Produce request, versions 3 to 8:
 *   transactional_id  NULLABLE_STRING
 *   acks              INT16
 *   timeout_ms        INT32
 *   topics            ARRAY
 *     name            STRING
 *     partitions      ARRAY
 *       index         INT32
 *       records       BYTES: one record batch
 */
/** Puts batches of one topic, at most one for each partition, into a request. */
export function encodeProduce(
  version: number,
  topic: string,
  acks: -1 | 1,
  timeoutMs: number,
  batches: readonly PartitionBatch[],
): EncodedRequest<ProduceResponse> {
  const head = new ByteWriter(64 + topic.length);
  head.writeNullableString(null);
  head.writeInt16(acks);
  head.writeInt32(timeoutMs);
  head.writeInt32(1);
  head.writeString(topic);
  head.writeInt32(batches.length);
  const body: Buffer[] = [head.bytes];
  for (const { partition, batch } of batches) {
    const writer = new ByteWriter(8);
    writer.writeInt32(partition);
    writer.writeInt32(batch.length);
    body.push(writer.bytes, batch);
  }
  return { api: "Produce", version, body, decode: (reader) => decode(reader, version) };
}

/*
 * Response:
 *   responses              ARRAY
 *     name                 STRING
 *     partitions           ARRAY
 *       index              INT32
 *       error_code         INT16
 *       base_offset        INT64
 *       log_append_time    INT64
 *       log_start_offset   INT64             version 5
 *       record_errors      ARRAY             version 8
 *         batch_index      INT32
 *         message          NULLABLE_STRING
 *       error_message      NULLABLE_STRING   version 8
 *   throttle_time_ms       INT32
 */
function decode(reader: ByteReader, version: number): ProduceResponse {
  const partitions: ProducePartitionResponse[] = [];
  for (let topics = reader.readArrayLength(); topics > 0; topics--) {
    reader.readString();
    for (let left = reader.readArrayLength(); left > 0; left--) {
      const partition = reader.readInt32();
      const errorCode = reader.readInt16();
      const baseOffset = reader.readInt64();
      reader.readInt64();
      if (version >= 5) reader.readInt64();
      const recordErrors: { index: number; message: string | null }[] = [];
      let errorMessage: string | null = null;
      if (version >= 8) {
        for (let errors = reader.readArrayLength(); errors > 0; errors--) {
          recordErrors.push({ index: reader.readInt32(), message: reader.readNullableString() });
        }
        errorMessage = reader.readNullableString();
      }
      partitions.push({ partition, errorCode, baseOffset, recordErrors, errorMessage });
    }
  }
  return { partitions, throttleTimeMs: reader.readInt32() };
}
