import type { ByteReader } from "../bytes/byte-reader.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import type { EncodedRequest } from "./api.ts";

/** Answer to CreateTopics for one topic. */
export interface CreateTopicsResponse {
  readonly errorCode: number;
  /** The broker's own words. */
  readonly errorMessage: string | null;
}

/*
 * CreateTopics request, versions 2 to 4:
 *   topics                ARRAY
 *     name                STRING
 *     num_partitions      INT32
 *     replication_factor  INT16   -1, the broker's default, from version 4 (KIP-464)
 *     assignments         ARRAY   empty
 *     configs             ARRAY   empty
 *   timeout_ms            INT32
 *   validate_only         BOOLEAN
 */
/** Asks for one topic with the broker's default settings. */
export function encodeCreateTopics(
  version: number,
  topic: string,
  partitions: number,
  replicationFactor: number,
  timeoutMs: number,
): EncodedRequest<CreateTopicsResponse> {
  const writer = new ByteWriter(64 + topic.length);
  writer.writeInt32(1);
  writer.writeString(topic);
  writer.writeInt32(partitions);
  writer.writeInt16(replicationFactor);
  writer.writeInt32(0);
  writer.writeInt32(0);
  writer.writeInt32(timeoutMs);
  writer.writeInt8(0);
  return { api: "CreateTopics", version, body: [writer.bytes], decode };
}

/*
 * Response:
 *   throttle_time_ms  INT32
 *   topics            ARRAY
 *     name            STRING
 *     error_code      INT16
 *     error_message   NULLABLE_STRING
 */
function decode(reader: ByteReader): CreateTopicsResponse {
  reader.readInt32();
  if (reader.readArrayLength() === 0) return { errorCode: 0, errorMessage: null };
  reader.readString();
  return { errorCode: reader.readInt16(), errorMessage: reader.readNullableString() };
}
