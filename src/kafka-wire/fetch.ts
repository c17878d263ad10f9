import type { ByteReader } from "../bytes/byte-reader.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import type { EncodedRequest } from "./api.ts";

/** What to fetch from one partition. */
export interface FetchPosition {
  readonly partition: number;
  readonly offset: bigint;
}

/** Limits of one fetch; see `FetcherOptions`. */
export interface FetchLimits {
  readonly maxWaitMs: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly maxPartitionBytes: number;
  readonly readCommitted: boolean;
}

/** A broker's answer for one partition. */
export interface FetchedPartition {
  readonly partition: number;
  readonly errorCode: number;
  readonly highWatermark: bigint;
  /** First offset of a transaction that is still open, or the high watermark. */
  readonly lastStableOffset: bigint;
  /** Transactions that were aborted: skip the producer's records from that offset to its marker. */
  readonly abortedTransactions: readonly {
    readonly producerId: bigint;
    readonly firstOffset: bigint;
  }[];
  /** Where in the response's buffer the record batches stand; the last may be cut. */
  readonly recordsStart: number;
  readonly recordsEnd: number;
}

/** Answer to Fetch. */
export interface FetchResponse {
  readonly errorCode: number;
  readonly bytes: Buffer;
  readonly partitions: readonly FetchedPartition[];
}

/*
 * Fetch request, versions 4 to 11:
 *   replica_id               INT32    -1
 *   max_wait_ms              INT32
 *   min_bytes                INT32
 *   max_bytes                INT32
 *   isolation_level          INT8
 *   session_id               INT32    version 7: 0, no session
 *   session_epoch            INT32    version 7: -1
 *   topics                   ARRAY
 *     topic                  STRING
 *     partitions             ARRAY
 *       partition            INT32
 *       current_leader_epoch INT32    version 9: -1, not checked
 *       fetch_offset         INT64
 *       log_start_offset     INT64    version 5: -1
 *       partition_max_bytes  INT32
 *   forgotten_topics_data    ARRAY    version 7: empty
 *   rack_id                  STRING   version 11: ""
 */
/** Asks for the records of several partitions of one topic. */
export function encodeFetch(
  version: number,
  topic: string,
  positions: readonly FetchPosition[],
  limits: FetchLimits,
): EncodedRequest<FetchResponse> {
  const writer = new ByteWriter(80 + topic.length + positions.length * 28);
  writer.writeInt32(-1);
  writer.writeInt32(limits.maxWaitMs);
  writer.writeInt32(limits.minBytes);
  writer.writeInt32(limits.maxBytes);
  writer.writeInt8(limits.readCommitted ? 1 : 0);
  if (version >= 7) {
    writer.writeInt32(0);
    writer.writeInt32(-1);
  }
  writer.writeInt32(1);
  writer.writeString(topic);
  writer.writeInt32(positions.length);
  for (const { partition, offset } of positions) {
    writer.writeInt32(partition);
    if (version >= 9) writer.writeInt32(-1);
    writer.writeInt64(offset);
    if (version >= 5) writer.writeInt64(-1n);
    writer.writeInt32(limits.maxPartitionBytes);
  }
  if (version >= 7) writer.writeInt32(0);
  if (version >= 11) writer.writeString("");
  return {
    api: "Fetch",
    version,
    body: [writer.bytes],
    decode: (reader) => decode(reader, version),
    // The broker may take maxWaitMs; the rest is for a slow disk.
    timeoutMs: limits.maxWaitMs + 30_000,
  };
}

/*
 * Response:
 *   throttle_time_ms          INT32
 *   error_code                INT16    version 7
 *   session_id                INT32    version 7
 *   responses                 ARRAY
 *     topic                   STRING
 *     partitions              ARRAY
 *       partition             INT32
 *       error_code            INT16
 *       high_watermark        INT64
 *       last_stable_offset    INT64
 *       log_start_offset      INT64    version 5
 *       aborted_transactions  ARRAY, may be null
 *         producer_id         INT64
 *         first_offset        INT64
 *       preferred_read_replica INT32   version 11
 *       records               BYTES, may be null
 */
function decode(reader: ByteReader, version: number): FetchResponse {
  const partitions: FetchedPartition[] = [];
  reader.readInt32();
  let responseErrorCode = 0;
  if (version >= 7) {
    responseErrorCode = reader.readInt16();
    reader.readInt32();
  }
  for (let topics = reader.readArrayLength(); topics > 0; topics--) {
    reader.readString();
    for (let left = reader.readArrayLength(); left > 0; left--) {
      const partition = reader.readInt32();
      const errorCode = reader.readInt16();
      const highWatermark = reader.readInt64();
      const lastStableOffset = reader.readInt64();
      if (version >= 5) reader.readInt64();
      const abortedTransactions: { producerId: bigint; firstOffset: bigint }[] = [];
      for (let aborted = reader.readArrayLength(); aborted > 0; aborted--) {
        abortedTransactions.push({
          producerId: reader.readInt64(),
          firstOffset: reader.readInt64(),
        });
      }
      if (version >= 11) reader.readInt32();
      const recordBytes = Math.max(0, reader.readInt32());
      const recordsStart = reader.skip(recordBytes);
      partitions.push({
        partition,
        errorCode,
        highWatermark,
        lastStableOffset,
        abortedTransactions,
        recordsStart,
        recordsEnd: recordsStart + recordBytes,
      });
    }
  }
  return { errorCode: responseErrorCode, bytes: reader.bytes, partitions };
}
