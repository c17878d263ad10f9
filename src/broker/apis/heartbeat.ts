import { INT16, INT32, NULLABLE_STRING, STRING, struct } from "../../kafka-wire/message-grammar.ts";
import { defineApi } from "../broker-api.ts";

/* Heartbeat, versions 0 to 4. */
const REQUEST = struct({
  groupId: STRING,
  generationId: INT32,
  memberId: STRING,
  groupInstanceId: NULLABLE_STRING.since(3),
});

const RESPONSE = struct({ throttleTimeMs: INT32.since(1), errorCode: INT16 });

/** Keeps a member's session alive, and tells it of a rebalance. */
export const HEARTBEAT = defineApi({
  name: "Heartbeat",
  key: 12,
  minVersion: 0,
  maxVersion: 4,
  flexibleFrom: 4,
  request: REQUEST,
  response: RESPONSE,
  answer(request, { broker }) {
    const claim = { ...request, instanceId: request.groupInstanceId };
    broker.groups.known(request.groupId, request.memberId).heartbeat(claim);
    return { throttleTimeMs: 0, errorCode: 0 };
  },
  refuse: (_, errorCode) => ({ throttleTimeMs: 0, errorCode }),
});
