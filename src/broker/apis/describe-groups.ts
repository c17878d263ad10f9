import {
  arrayOf,
  BOOLEAN,
  BYTES,
  INT16,
  INT32,
  NULLABLE_STRING,
  STRING,
  struct,
  type ValueOf,
} from "../../kafka-wire/message-grammar.ts";
import { type BrokerState, defineApi, NO_AUTHORIZED_OPERATIONS } from "../broker-api.ts";

/* DescribeGroups, versions 0 to 5. A group that is not known is "Dead". */
const REQUEST = struct({
  groups: arrayOf(STRING),
  includeAuthorizedOperations: BOOLEAN.since(3),
});

const GROUP_RESPONSE = struct({
  errorCode: INT16,
  groupId: STRING,
  groupState: STRING,
  protocolType: STRING,
  protocolData: STRING,
  members: arrayOf(
    struct({
      memberId: STRING,
      groupInstanceId: NULLABLE_STRING.since(4),
      clientId: STRING,
      clientHost: STRING,
      memberMetadata: BYTES,
      memberAssignment: BYTES,
    }),
  ),
  authorizedOperations: INT32.since(3),
});

const RESPONSE = struct({ throttleTimeMs: INT32.since(1), groups: arrayOf(GROUP_RESPONSE) });

type GroupResponse = ValueOf<typeof GROUP_RESPONSE>;

/** Tells of groups and their members. */
export const DESCRIBE_GROUPS = defineApi({
  name: "DescribeGroups",
  key: 15,
  minVersion: 0,
  maxVersion: 5,
  flexibleFrom: 5,
  request: REQUEST,
  response: RESPONSE,
  answer: ({ groups }, { broker }) => ({
    throttleTimeMs: 0,
    groups: groups.map((groupId) => describe(groupId, broker)),
  }),
  refuse: ({ groups }, errorCode) => ({
    throttleTimeMs: 0,
    groups: groups.map((groupId) => ({ ...nobody(groupId, "Dead"), errorCode })),
  }),
});

function describe(groupId: string, { groups }: BrokerState): GroupResponse {
  const group = groups.find(groupId);
  if (group === undefined) return nobody(groupId, groups.exists(groupId) ? "Empty" : "Dead");
  const isStable = group.state === "Stable";
  return {
    ...nobody(groupId, group.state),
    protocolType: group.protocolType,
    protocolData: isStable ? (group.protocolName ?? "") : "",
    members: [...group.members.values()].map((member) => ({
      memberId: member.id,
      groupInstanceId: member.instanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      memberMetadata: isStable ? member.metadataFor(group.protocolName) : Buffer.alloc(0),
      memberAssignment: isStable ? member.assignment : Buffer.alloc(0),
    })),
  };
}

function nobody(groupId: string, groupState: string): GroupResponse {
  return {
    errorCode: 0,
    groupId,
    groupState,
    protocolType: "",
    protocolData: "",
    members: [],
    authorizedOperations: NO_AUTHORIZED_OPERATIONS,
  };
}
