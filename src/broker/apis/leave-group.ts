import {
  arrayOf,
  INT16,
  INT32,
  NULLABLE_STRING,
  STRING,
  struct,
} from "../../kafka-wire/message-grammar.ts";
import { defineApi } from "../broker-api.ts";
import { BrokerError } from "../broker-error.ts";

/* LeaveGroup, versions 0 to 5; from version 3 on several members at once. */
const REQUEST = struct({
  groupId: STRING,
  memberId: STRING.until(2),
  members: arrayOf(
    struct({
      memberId: STRING,
      groupInstanceId: NULLABLE_STRING,
      reason: NULLABLE_STRING.since(5),
    }),
  ).since(3),
});

const RESPONSE = struct({
  throttleTimeMs: INT32.since(1),
  errorCode: INT16,
  members: arrayOf(
    struct({ memberId: STRING, groupInstanceId: NULLABLE_STRING, errorCode: INT16 }),
  ).since(3),
});

const SEVERAL_SINCE = 3;

/** Takes members out of a group. */
export const LEAVE_GROUP = defineApi({
  name: "LeaveGroup",
  key: 13,
  minVersion: 0,
  maxVersion: 5,
  flexibleFrom: 4,
  request: REQUEST,
  response: RESPONSE,
  answer({ groupId, memberId, members }, { broker, version }) {
    const group = broker.groups.known(groupId, memberId);
    if (version < SEVERAL_SINCE) {
      group.leave(memberId, null);
      return { throttleTimeMs: 0, errorCode: 0, members: [] };
    }
    const left = members.map((member) => {
      try {
        group.leave(member.memberId, member.groupInstanceId);
        return { ...member, errorCode: 0 };
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        return { ...member, errorCode: error.errorCode };
      }
    });
    return { throttleTimeMs: 0, errorCode: 0, members: left };
  },
  refuse: (_, errorCode) => ({ throttleTimeMs: 0, errorCode, members: [] }),
});
