import {
  arrayOf,
  BOOLEAN,
  BYTES,
  INT16,
  INT32,
  NULLABLE_STRING,
  STRING,
  struct,
} from "../../kafka-wire/message-grammar.ts";
import { defineApi } from "../broker-api.ts";
import { BrokerError } from "../broker-error.ts";

/*
 * JoinGroup, versions 0 to 9. From version 4 on a new member first gets an id
 * (MEMBER_ID_REQUIRED, KIP-394); static members keep their place (KIP-345). The
 * first rebalance of a group does not wait for more members.
 */
const REQUEST = struct({
  groupId: STRING,
  sessionTimeoutMs: INT32,
  rebalanceTimeoutMs: INT32.since(1, -1),
  memberId: STRING,
  groupInstanceId: NULLABLE_STRING.since(5),
  protocolType: STRING,
  protocols: arrayOf(struct({ name: STRING, metadata: BYTES })),
  reason: NULLABLE_STRING.since(8),
});

const RESPONSE = struct({
  throttleTimeMs: INT32.since(2),
  errorCode: INT16,
  generationId: INT32,
  protocolType: NULLABLE_STRING.since(7),
  protocolName: NULLABLE_STRING,
  leader: STRING,
  skipAssignment: BOOLEAN.since(9),
  memberId: STRING,
  members: arrayOf(
    struct({
      memberId: STRING,
      groupInstanceId: NULLABLE_STRING.since(5),
      metadata: BYTES,
    }),
  ),
});

const MEMBER_ID_REQUIRED_SINCE = 4;
/** From this version on protocolName may be null. */
const NULL_PROTOCOL_SINCE = 7;
/** Kafka's `group.max.session.timeout.ms`; there is no least, tests like short ones. */
const LONGEST_SESSION_MS = 1_800_000;

/** Joins a group. */
export const JOIN_GROUP = defineApi({
  name: "JoinGroup",
  key: 11,
  minVersion: 0,
  maxVersion: 9,
  flexibleFrom: 6,
  request: REQUEST,
  response: RESPONSE,
  async answer(request, context) {
    const { broker, clientId, clientHost, version } = context;
    const { sessionTimeoutMs, rebalanceTimeoutMs } = request;
    if (sessionTimeoutMs <= 0 || sessionTimeoutMs > LONGEST_SESSION_MS) {
      throw new BrokerError(
        "INVALID_SESSION_TIMEOUT",
        `A session lasts from 1 to ${LONGEST_SESSION_MS} ms, not ${sessionTimeoutMs}`,
      );
    }
    const group = broker.groups.open(request.groupId);
    const answer = await group.join(
      {
        memberId: request.memberId,
        instanceId: request.groupInstanceId,
        clientId,
        clientHost,
        sessionTimeoutMs,
        rebalanceTimeoutMs: rebalanceTimeoutMs < 0 ? sessionTimeoutMs : rebalanceTimeoutMs,
        protocolType: request.protocolType,
        protocols: request.protocols,
        onGone: (gone) => context.onGone(gone),
      },
      version >= MEMBER_ID_REQUIRED_SINCE,
    );
    const { leaderId, protocolName, ...rest } = answer;
    return {
      throttleTimeMs: 0,
      ...rest,
      protocolName: version >= NULL_PROTOCOL_SINCE ? protocolName : (protocolName ?? ""),
      leader: leaderId,
      skipAssignment: false,
    };
  },
  refuse: ({ memberId }, errorCode) => ({
    throttleTimeMs: 0,
    errorCode,
    generationId: -1,
    protocolType: null,
    protocolName: "",
    leader: "",
    skipAssignment: false,
    memberId,
    members: [],
  }),
});
