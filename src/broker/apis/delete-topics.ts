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

/* DeleteTopics, versions 1 to 5. Records and the offsets of groups go at once. */
const REQUEST = struct({ topicNames: arrayOf(STRING), timeoutMs: INT32 });

const RESPONSE = struct({
  throttleTimeMs: INT32,
  responses: arrayOf(
    struct({ name: STRING, errorCode: INT16, errorMessage: NULLABLE_STRING.since(5) }),
  ),
});

/** Deletes topics. */
export const DELETE_TOPICS = defineApi({
  name: "DeleteTopics",
  key: 20,
  minVersion: 1,
  maxVersion: 5,
  flexibleFrom: 4,
  request: REQUEST,
  response: RESPONSE,
  async answer({ topicNames }, { broker }) {
    const responses = await Promise.all(
      topicNames.map(async (name) => {
        try {
          await broker.topics.delete(name);
          await broker.groups.offsets.deleteTopic(name);
          broker.logger.info(`Deleted topic "${name}"`);
          return { name, errorCode: 0, errorMessage: null };
        } catch (error) {
          if (!(error instanceof BrokerError)) throw error;
          return { name, errorCode: error.errorCode, errorMessage: error.message };
        }
      }),
    );
    return { throttleTimeMs: 0, responses };
  },
  refuse({ topicNames }, errorCode, errorMessage) {
    return {
      throttleTimeMs: 0,
      responses: topicNames.map((name) => ({ name, errorCode, errorMessage })),
    };
  },
});
