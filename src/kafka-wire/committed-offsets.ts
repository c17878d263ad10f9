import type { ByteReader } from "../bytes/byte-reader.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import type { EncodedRequest } from "./api.ts";
import type { GroupMembership } from "./heartbeat.ts";

/** Keep a committed offset as long as the broker's `offsets.retention.minutes` says. */
const BROKER_RETENTION = -1n;

/** What is committed of a partition. */
export interface OffsetAndMetadata {
  readonly offset: bigint;
  /** Text that the coordinator keeps beside the offset, 4,096 characters at most unless it was told otherwise. */
  readonly metadata: string;
}

/** What the coordinator says of one partition. */
export interface CommittedOffset extends OffsetAndMetadata {
  readonly partition: number;
  /** -1 when nothing was committed. */
  readonly offset: bigint;
  readonly errorCode: number;
}

/*
 * OffsetCommit request, versions 3 to 5:
 *   group_id            STRING
 *   generation_id       INT32
 *   member_id           STRING
 *   retention_time_ms   INT64             up to version 4
 *   topics              ARRAY
 *     name              STRING
 *     partitions        ARRAY
 *       index           INT32
 *       offset          INT64
 *       metadata        NULLABLE_STRING
 */
/** Commits offsets under a generation; the answer is an error code for each partition. */
export function encodeOffsetCommit(
  version: number,
  { groupId, generationId, memberId }: GroupMembership,
  topic: string,
  offsets: ReadonlyMap<number, OffsetAndMetadata>,
): EncodedRequest<readonly { readonly partition: number; readonly errorCode: number }[]> {
  const writer = new ByteWriter();
  writer.writeString(groupId);
  writer.writeInt32(generationId);
  writer.writeString(memberId);
  if (version <= 4) writer.writeInt64(BROKER_RETENTION);
  writer.writeInt32(1);
  writer.writeString(topic);
  writer.writeInt32(offsets.size);
  for (const [partition, { offset, metadata }] of offsets) {
    writer.writeInt32(partition);
    writer.writeInt64(offset);
    writer.writeNullableString(metadata);
  }
  return { api: "OffsetCommit", version, body: [writer.bytes], decode: decodeCommit };
}

/*
 * Response:
 *   throttle_time_ms  INT32
 *   topics            ARRAY
 *     name            STRING
 *     partitions      ARRAY
 *       index         INT32
 *       error_code    INT16
 */
function decodeCommit(reader: ByteReader): { partition: number; errorCode: number }[] {
  const partitions: { partition: number; errorCode: number }[] = [];
  reader.readInt32();
  for (let topics = reader.readArrayLength(); topics > 0; topics--) {
    reader.readString();
    for (let left = reader.readArrayLength(); left > 0; left--) {
      partitions.push({ partition: reader.readInt32(), errorCode: reader.readInt16() });
    }
  }
  return partitions;
}

/** Answer to OffsetFetch. */
export interface OffsetFetchResponse {
  readonly errorCode: number;
  readonly offsets: readonly CommittedOffset[];
}

/*
 * OffsetFetch request, versions 3 to 5:
 *   group_id      STRING
 *   topics        ARRAY
 *     name        STRING
 *     partitions  ARRAY INT32
 */
/** Asks what a group has committed. */
export function encodeOffsetFetch(
  version: number,
  groupId: string,
  topic: string,
  partitions: readonly number[],
): EncodedRequest<OffsetFetchResponse> {
  const writer = new ByteWriter();
  writer.writeString(groupId);
  writer.writeInt32(1);
  writer.writeString(topic);
  writer.writeInt32(partitions.length);
  for (const partition of partitions) writer.writeInt32(partition);
  return {
    api: "OffsetFetch",
    version,
    body: [writer.bytes],
    decode: (reader) => decodeFetch(reader, version),
  };
}

/*
 * Response:
 *   throttle_time_ms   INT32
 *   topics             ARRAY
 *     name             STRING
 *     partitions       ARRAY
 *       index          INT32
 *       offset         INT64
 *       leader_epoch   INT32             version 5
 *       metadata       NULLABLE_STRING
 *       error_code     INT16
 *   error_code         INT16
 */
function decodeFetch(reader: ByteReader, version: number): OffsetFetchResponse {
  const offsets: CommittedOffset[] = [];
  reader.readInt32();
  for (let topics = reader.readArrayLength(); topics > 0; topics--) {
    reader.readString();
    for (let left = reader.readArrayLength(); left > 0; left--) {
      const partition = reader.readInt32();
      const offset = reader.readInt64();
      if (version >= 5) reader.readInt32();
      const metadata = reader.readNullableString() ?? "";
      offsets.push({ partition, offset, metadata, errorCode: reader.readInt16() });
    }
  }
  return { errorCode: reader.readInt16(), offsets };
}
