import type { ByteReader } from "../bytes/byte-reader.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import type { EncodedRequest } from "./api.ts";

/** A member of one generation of a group. */
export interface GroupMembership {
  readonly groupId: string;
  readonly generationId: number;
  readonly memberId: string;
}

/*
 * Heartbeat request, versions 1 and 2:
 *   group_id       STRING
 *   generation_id  INT32
 *   member_id      STRING
 */
/** Tells the coordinator that the member is there; the answer is an error code. */
export function encodeHeartbeat(
  version: number,
  { groupId, generationId, memberId }: GroupMembership,
): EncodedRequest<number> {
  const writer = new ByteWriter();
  writer.writeString(groupId);
  writer.writeInt32(generationId);
  writer.writeString(memberId);
  return { api: "Heartbeat", version, body: [writer.bytes], decode };
}

/*
 * LeaveGroup request, versions 1 and 2:
 *   group_id   STRING
 *   member_id  STRING
 */
/** Leaves the group at once; the answer is an error code. */
export function encodeLeaveGroup(
  version: number,
  { groupId, memberId }: GroupMembership,
): EncodedRequest<number> {
  const writer = new ByteWriter();
  writer.writeString(groupId);
  writer.writeString(memberId);
  return { api: "LeaveGroup", version, body: [writer.bytes], decode };
}

/*
 * Both responses:
 *   throttle_time_ms  INT32
 *   error_code        INT16
 */
function decode(reader: ByteReader): number {
  reader.readInt32();
  return reader.readInt16();
}
