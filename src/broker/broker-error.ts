import { KAFKA_ERROR_CODE, type KafkaErrorName } from "../kafka-wire/error-codes.ts";

/** An error that a client is told of, by Kafka's own code. */
export class BrokerError extends Error {
  override name = "BrokerError";
  readonly errorCode: number;

  /**
   * @param error Kafka's name of it
   * @param message what is wrong, for answers that have room for it
   */
  constructor(error: KafkaErrorName, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.errorCode = KAFKA_ERROR_CODE[error];
  }
}
