import { INT16, INT32, INT64, NULLABLE_STRING, struct } from "../../kafka-wire/message-grammar.ts";
import { defineApi } from "../broker-api.ts";
import { BrokerError } from "../broker-error.ts";

/*
 * InitProducerId, versions 0 to 5, for idempotent producers. One that names a
 * transaction is refused for good.
 */
const REQUEST = struct({
  transactionalId: NULLABLE_STRING,
  transactionTimeoutMs: INT32,
  producerId: INT64.since(3, -1),
  producerEpoch: INT16.since(3, -1),
});

const RESPONSE = struct({
  throttleTimeMs: INT32,
  errorCode: INT16,
  producerId: INT64,
  producerEpoch: INT16,
});

/** Gives a producer its id. */
export const INIT_PRODUCER_ID = defineApi({
  name: "InitProducerId",
  key: 22,
  minVersion: 0,
  maxVersion: 5,
  flexibleFrom: 2,
  request: REQUEST,
  response: RESPONSE,
  async answer({ transactionalId }, { broker }) {
    if (transactionalId !== null) {
      throw new BrokerError(
        "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
        "Transactions are not kept by this broker",
      );
    }
    const producerId = await broker.data.nextProducerId().catch((error: unknown) => {
      // Clients try again after this one; after others they give up.
      throw new BrokerError(
        "COORDINATOR_LOAD_IN_PROGRESS",
        `The disk refused it: ${String(error)}`,
        { cause: error },
      );
    });
    return { throttleTimeMs: 0, errorCode: 0, producerId, producerEpoch: 0 };
  },
  refuse: (_, errorCode) => ({ throttleTimeMs: 0, errorCode, producerId: -1, producerEpoch: -1 }),
});
