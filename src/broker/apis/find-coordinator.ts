import {
  arrayOf,
  INT16,
  INT32,
  INT8,
  NULLABLE_STRING,
  STRING,
  struct,
  type ValueOf,
} from "../../kafka-wire/message-grammar.ts";
import { KAFKA_ERROR_CODE } from "../../kafka-wire/error-codes.ts";
import { defineApi, NODE_ID } from "../broker-api.ts";

/*
 * FindCoordinator, versions 0 to 4. This broker coordinates every group; for
 * transactions there is nobody.
 */
const REQUEST = struct({
  key: STRING.until(3),
  keyType: INT8.since(1),
  coordinatorKeys: arrayOf(STRING).since(4),
});

const RESPONSE = struct({
  throttleTimeMs: INT32.since(1),
  errorCode: INT16.until(3),
  errorMessage: NULLABLE_STRING.since(1).until(3),
  nodeId: INT32.until(3),
  host: STRING.until(3),
  port: INT32.until(3),
  coordinators: arrayOf(
    struct({
      key: STRING,
      nodeId: INT32,
      host: STRING,
      port: INT32,
      errorCode: INT16,
      errorMessage: NULLABLE_STRING,
    }),
  ).since(4),
});

const GROUP = 0;

type Response = ValueOf<typeof RESPONSE>;

/** Says who coordinates a group. */
export const FIND_COORDINATOR = defineApi({
  name: "FindCoordinator",
  key: 10,
  minVersion: 0,
  maxVersion: 4,
  flexibleFrom: 3,
  request: REQUEST,
  response: RESPONSE,
  answer(request, { advertised: { host, port } }) {
    if (request.keyType === GROUP) {
      return answerFor(request.coordinatorKeys, {
        errorCode: 0,
        errorMessage: null,
        nodeId: NODE_ID,
        host,
        port,
      });
    }
    const { TRANSACTIONAL_ID_AUTHORIZATION_FAILED } = KAFKA_ERROR_CODE;
    return answerFor(
      request.coordinatorKeys,
      nobody(TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "Transactions are not kept by this broker"),
    );
  },
  refuse: ({ coordinatorKeys }, errorCode, message) =>
    answerFor(coordinatorKeys, nobody(errorCode, message)),
});

type Coordinator = Omit<Response, "throttleTimeMs" | "coordinators">;

function nobody(errorCode: number, errorMessage: string): Coordinator {
  return { errorCode, errorMessage, nodeId: -1, host: "", port: -1 };
}

function answerFor(keys: readonly string[], coordinator: Coordinator): Response {
  return {
    throttleTimeMs: 0,
    ...coordinator,
    coordinators: keys.map((key) => ({ key, ...coordinator })),
  };
}
