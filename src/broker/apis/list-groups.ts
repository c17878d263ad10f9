import { arrayOf, INT16, INT32, STRING, struct } from "../../kafka-wire/message-grammar.ts";
import { defineApi } from "../broker-api.ts";

/* ListGroups, versions 0 to 5. All groups are of the classic protocol. */
const REQUEST = struct({
  statesFilter: arrayOf(STRING).since(4),
  typesFilter: arrayOf(STRING).since(5),
});

const RESPONSE = struct({
  throttleTimeMs: INT32.since(1),
  errorCode: INT16,
  groups: arrayOf(
    struct({
      groupId: STRING,
      protocolType: STRING,
      groupState: STRING.since(4),
      groupType: STRING.since(5),
    }),
  ),
});

const TYPE = "classic";

/** Tells which groups there are. */
export const LIST_GROUPS = defineApi({
  name: "ListGroups",
  key: 16,
  minVersion: 0,
  maxVersion: 5,
  flexibleFrom: 3,
  request: REQUEST,
  response: RESPONSE,
  answer({ statesFilter, typesFilter }, { broker }) {
    const isWanted = (filter: readonly string[], value: string): boolean =>
      filter.length === 0 || filter.some((each) => each.toLowerCase() === value.toLowerCase());
    return {
      throttleTimeMs: 0,
      errorCode: 0,
      groups: broker.groups
        .list()
        .filter(({ state }) => isWanted(statesFilter, state) && isWanted(typesFilter, TYPE))
        .map(({ groupId, protocolType, state }) => ({
          groupId,
          protocolType,
          groupState: state,
          groupType: TYPE,
        })),
    };
  },
  refuse: (_, errorCode) => ({ throttleTimeMs: 0, errorCode, groups: [] }),
});
