import type { ByteReader } from "../bytes/byte-reader.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import type { EncodedRequest } from "./api.ts";
import type { GroupMembership } from "./heartbeat.ts";

/** Answer to SyncGroup. */
export interface SyncGroupResponse {
  readonly errorCode: number;
  /** See `decodeAssignment`. */
  readonly assignment: Buffer;
}

/*
 * SyncGroup request, versions 1 and 2:
 *   group_id       STRING
 *   generation_id  INT32
 *   member_id      STRING
 *   assignments    ARRAY   from the leader, empty from the others
 *     member_id    STRING
 *     assignment   BYTES
 */
/** Gives the leader's assignment, and asks for one's own. */
export function encodeSyncGroup(
  version: number,
  { groupId, generationId, memberId }: GroupMembership,
  assignments: ReadonlyMap<string, Buffer>,
): EncodedRequest<SyncGroupResponse> {
  const writer = new ByteWriter();
  writer.writeString(groupId);
  writer.writeInt32(generationId);
  writer.writeString(memberId);
  writer.writeInt32(assignments.size);
  for (const [member, assignment] of assignments) {
    writer.writeString(member);
    writer.writeBytes(assignment);
  }
  return { api: "SyncGroup", version, body: [writer.bytes], decode };
}

/*
 * Response:
 *   throttle_time_ms  INT32
 *   error_code        INT16
 *   assignment        BYTES
 */
function decode(reader: ByteReader): SyncGroupResponse {
  reader.readInt32();
  return { errorCode: reader.readInt16(), assignment: reader.readBytes() };
}
