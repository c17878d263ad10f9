import type { ByteReader } from "../bytes/byte-reader.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import type { EncodedRequest } from "./api.ts";

/** Timestamp that asks for the end of a partition. */
export const LATEST_OFFSET = -1n;

/** Timestamp that asks for the first record that is still there. */
export const EARLIEST_OFFSET = -2n;

/** A broker's answer for one partition. */
export interface ListedOffset {
  readonly partition: number;
  readonly errorCode: number;
  /** -1 when no record is at or after the time asked for. */
  readonly offset: bigint;
}

/*
 * ListOffsets request, versions 1 to 5:
 *   replica_id              INT32   -1
 *   isolation_level         INT8    version 2: 1 reads committed records only
 *   topics                  ARRAY
 *     name                  STRING
 *     partitions            ARRAY
 *       partition           INT32
 *       current_leader_epoch INT32  version 4
 *       timestamp           INT64
 */
/**
 * Asks for the first offset at or after a time.
 *
 * @param timestamp milliseconds since the epoch, {@link EARLIEST_OFFSET} or {@link LATEST_OFFSET}
 * @param readCommitted the end is the last stable offset, not the high watermark
 */
export function encodeListOffsets(
  version: number,
  topic: string,
  partitions: readonly number[],
  timestamp: bigint,
  readCommitted: boolean,
): EncodedRequest<readonly ListedOffset[]> {
  const writer = new ByteWriter(64 + partitions.length * 16);
  writer.writeInt32(-1);
  if (version >= 2) writer.writeInt8(readCommitted ? 1 : 0);
  writer.writeInt32(1);
  writer.writeString(topic);
  writer.writeInt32(partitions.length);
  for (const partition of partitions) {
    writer.writeInt32(partition);
    if (version >= 4) writer.writeInt32(-1);
    writer.writeInt64(timestamp);
  }
  return {
    api: "ListOffsets",
    version,
    body: [writer.bytes],
    decode: (reader) => decode(reader, version),
  };
}

/*
 * Response:
 *   throttle_time_ms  INT32   version 2
 *   topics            ARRAY
 *     name            STRING
 *     partitions      ARRAY
 *       partition     INT32
 *       error_code    INT16
 *       timestamp     INT64
 *       offset        INT64
 *       leader_epoch  INT32   version 4
 */
function decode(reader: ByteReader, version: number): readonly ListedOffset[] {
  const offsets: ListedOffset[] = [];
  if (version >= 2) reader.readInt32();
  for (let topics = reader.readArrayLength(); topics > 0; topics--) {
    reader.readString();
    for (let left = reader.readArrayLength(); left > 0; left--) {
      const partition = reader.readInt32();
      const errorCode = reader.readInt16();
      reader.readInt64();
      const offset = reader.readInt64();
      if (version >= 4) reader.readInt32();
      offsets.push({ partition, errorCode, offset });
    }
  }
  return offsets;
}
