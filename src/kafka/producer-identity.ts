import { PcaptsError } from "../errors.ts";
import { describeGrant, describeRefusedOperation } from "./authorization-error.ts";
import { encodeInitProducerId } from "../kafka-wire/init-producer-id.ts";
import { KAFKA_ERROR_CODE, kafkaErrorInfo } from "../kafka-wire/error-codes.ts";
import { NO_PRODUCER_ID } from "../kafka-wire/record-batch-writer.ts";
import type { Logger } from "../logger.ts";
import type { PublisherOptions } from "./client-options.ts";
import { ConnectionError } from "./connection-error.ts";
import type { ProducerIdentity } from "./partition-queue.ts";
import type { Transport } from "./transport.ts";

/** What a producer id needs before Kafka 2.8; later Write on any topic is enough. */
const IDEMPOTENT_WRITE = {
  action: "get a producer id",
  operation: "IdempotentWrite",
  resource: "cluster",
} as const;

/**
 * Gets a producer id for an idempotent producer.
 *
 * @returns `NO_PRODUCER_ID` where idempotence is off, or was not asked for and is refused,
 *   which is said at WARN
 * @throws ConnectionError when asking again may help; AUTHORIZATION_FAILED, BROKER_PROTOCOL when
 *   `enable.idempotence` was asked for and is refused
 */
export async function requestProducerIdentity(
  transport: Transport,
  { idempotence }: Pick<PublisherOptions, "idempotence">,
  logger: Logger,
): Promise<ProducerIdentity> {
  const none = { producerId: NO_PRODUCER_ID, epoch: -1, nextSequence: -1 };
  if (idempotence === false) return none;
  const connection = await transport.connectionToController();
  const version = connection.versionOf("InitProducerId");
  const { errorCode, producerId, producerEpoch } = await connection.send(
    encodeInitProducerId(version),
  );
  if (errorCode === KAFKA_ERROR_CODE.NONE) {
    return { producerId, epoch: producerEpoch, nextSequence: 0 };
  }
  const { name, retriable } = kafkaErrorInfo(errorCode);
  if (retriable) throw new ConnectionError(name);
  const forbidden = errorCode === KAFKA_ERROR_CODE.CLUSTER_AUTHORIZATION_FAILED;
  const refusal =
    `Kafka refuses a producer id (${name})` +
    (forbidden ? `: ${describeRefusedOperation(IDEMPOTENT_WRITE, transport.principal)}` : "");
  if (idempotence === true) {
    throw new PcaptsError(
      forbidden ? "AUTHORIZATION_FAILED" : "BROKER_PROTOCOL",
      `${refusal}, and enable.idempotence=true was asked for` +
        (forbidden
          ? `; an administrator allows it with ${describeGrant(IDEMPOTENT_WRITE, transport.principal)}`
          : ""),
    );
  }
  logger.warn(
    `${refusal}; publishing goes on without idempotence, one batch in flight, ` +
      "and a frame may be there twice after an outage",
  );
  return none;
}
