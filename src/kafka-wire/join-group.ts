import type { ByteReader } from "../bytes/byte-reader.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import type { EncodedRequest } from "./api.ts";

/** What a member asks for when it joins. */
export interface JoinGroupRequest {
  readonly groupId: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  /** "" the first time. */
  readonly memberId: string;
  /** Ways of assigning that the member knows, its favourite first, with its subscription. */
  readonly protocols: readonly { readonly name: string; readonly metadata: Buffer }[];
}

/** Answer to JoinGroup. */
export interface JoinGroupResponse {
  readonly errorCode: number;
  readonly generationId: number;
  readonly protocolName: string;
  readonly leaderId: string;
  readonly memberId: string;
  /** For the leader alone. */
  readonly members: readonly { readonly memberId: string; readonly metadata: Buffer }[];
}

/*
 * JoinGroup request, versions 2 to 4:
 *   group_id              STRING
 *   session_timeout_ms    INT32
 *   rebalance_timeout_ms  INT32
 *   member_id             STRING
 *   protocol_type         STRING   "consumer"
 *   protocols             ARRAY
 *     name                STRING
 *     metadata            BYTES
 */
/** Joins a group; the answer comes when all members have. */
export function encodeJoinGroup(
  version: number,
  request: JoinGroupRequest,
): EncodedRequest<JoinGroupResponse> {
  const writer = new ByteWriter();
  writer.writeString(request.groupId);
  writer.writeInt32(request.sessionTimeoutMs);
  writer.writeInt32(request.rebalanceTimeoutMs);
  writer.writeString(request.memberId);
  writer.writeString("consumer");
  writer.writeInt32(request.protocols.length);
  for (const { name, metadata } of request.protocols) {
    writer.writeString(name);
    writer.writeBytes(metadata);
  }
  return {
    api: "JoinGroup",
    version,
    body: [writer.bytes],
    decode,
    // The coordinator holds the answer back until the other members have come.
    timeoutMs: request.rebalanceTimeoutMs + 5000,
  };
}

/*
 * Response:
 *   throttle_time_ms  INT32
 *   error_code        INT16
 *   generation_id     INT32
 *   protocol_name     STRING
 *   leader            STRING
 *   member_id         STRING
 *   members           ARRAY
 *     member_id       STRING
 *     metadata        BYTES
 */
function decode(reader: ByteReader): JoinGroupResponse {
  reader.readInt32();
  const errorCode = reader.readInt16();
  const generationId = reader.readInt32();
  const protocolName = reader.readNullableString() ?? "";
  const leaderId = reader.readString();
  const memberId = reader.readString();
  const members: { memberId: string; metadata: Buffer }[] = [];
  for (let left = reader.readArrayLength(); left > 0; left--) {
    members.push({ memberId: reader.readString(), metadata: reader.readBytes() });
  }
  return { errorCode, generationId, protocolName, leaderId, memberId, members };
}
