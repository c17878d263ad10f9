import { arrayOf, INT16, INT32, STRING, struct } from "../../kafka-wire/message-grammar.ts";
import { defineApi } from "../broker-api.ts";
import { BrokerError } from "../broker-error.ts";

/* DeleteGroups, versions 0 to 2. A group with members stays. */
const REQUEST = struct({ groupNames: arrayOf(STRING) });

const RESPONSE = struct({
  throttleTimeMs: INT32,
  results: arrayOf(struct({ groupId: STRING, errorCode: INT16 })),
});

/** Forgets groups and what they committed. */
export const DELETE_GROUPS = defineApi({
  name: "DeleteGroups",
  key: 42,
  minVersion: 0,
  maxVersion: 2,
  flexibleFrom: 2,
  request: REQUEST,
  response: RESPONSE,
  async answer({ groupNames }, { broker }) {
    const results = await Promise.all(
      groupNames.map(async (groupId) => {
        try {
          await broker.groups.delete(groupId);
          return { groupId, errorCode: 0 };
        } catch (error) {
          if (!(error instanceof BrokerError)) throw error;
          return { groupId, errorCode: error.errorCode };
        }
      }),
    );
    return { throttleTimeMs: 0, results };
  },
  refuse: ({ groupNames }, errorCode) => ({
    throttleTimeMs: 0,
    results: groupNames.map((groupId) => ({ groupId, errorCode })),
  }),
});
