import {
  arrayOf,
  BYTES,
  INT16,
  INT32,
  NULLABLE_STRING,
  STRING,
  struct,
} from "../../kafka-wire/message-grammar.ts";
import { defineApi } from "../broker-api.ts";
import { BrokerError } from "../broker-error.ts";

/* SyncGroup, versions 0 to 5: answered when the leader has assigned. */
const REQUEST = struct({
  groupId: STRING,
  generationId: INT32,
  memberId: STRING,
  groupInstanceId: NULLABLE_STRING.since(3),
  protocolType: NULLABLE_STRING.since(5),
  protocolName: NULLABLE_STRING.since(5),
  assignments: arrayOf(struct({ memberId: STRING, assignment: BYTES })),
});

const RESPONSE = struct({
  throttleTimeMs: INT32.since(1),
  errorCode: INT16,
  protocolType: NULLABLE_STRING.since(5),
  protocolName: NULLABLE_STRING.since(5),
  assignment: BYTES,
});

/** Hands out assignments. */
export const SYNC_GROUP = defineApi({
  name: "SyncGroup",
  key: 14,
  minVersion: 0,
  maxVersion: 5,
  flexibleFrom: 4,
  request: REQUEST,
  response: RESPONSE,
  async answer(request, { broker }) {
    const { groupId, protocolType, protocolName } = request;
    const group = broker.groups.known(groupId, request.memberId);
    const isOther = (said: string | null, actual: string | null): boolean =>
      said !== null && actual !== null && said !== actual;
    if (isOther(protocolType, group.protocolType) || isOther(protocolName, group.protocolName)) {
      throw new BrokerError(
        "INCONSISTENT_GROUP_PROTOCOL",
        `The group assigns by "${group.protocolName}"`,
      );
    }
    const claim = { ...request, instanceId: request.groupInstanceId };
    return { throttleTimeMs: 0, ...(await group.sync(claim, request.assignments)) };
  },
  refuse: (_, errorCode) => ({
    throttleTimeMs: 0,
    errorCode,
    protocolType: null,
    protocolName: null,
    assignment: Buffer.alloc(0),
  }),
});
