import type { ByteReader } from "../bytes/byte-reader.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import type { EncodedRequest } from "./api.ts";

/** Key type of a consumer group. */
const GROUP = 0;

/** Answer to FindCoordinator. */
export interface FindCoordinatorResponse {
  readonly errorCode: number;
  readonly nodeId: number;
}

/*
 * FindCoordinator request, versions 1 and 2:
 *   key       STRING   the group's name
 *   key_type  INT8     0, a group
 */
/** Asks which broker looks after a consumer group. */
export function encodeFindCoordinator(
  version: number,
  groupId: string,
): EncodedRequest<FindCoordinatorResponse> {
  const writer = new ByteWriter();
  writer.writeString(groupId);
  writer.writeInt8(GROUP);
  return { api: "FindCoordinator", version, body: [writer.bytes], decode };
}

/*
 * Response:
 *   throttle_time_ms  INT32
 *   error_code        INT16
 *   error_message     NULLABLE_STRING
 *   node_id           INT32
 *   host              STRING
 *   port              INT32
 */
function decode(reader: ByteReader): FindCoordinatorResponse {
  reader.readInt32();
  const errorCode = reader.readInt16();
  reader.readNullableString();
  return { errorCode, nodeId: reader.readInt32() };
}
