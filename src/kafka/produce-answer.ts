import { PcaptsError } from "../errors.ts";
import { KAFKA_ERROR_CODE, kafkaErrorInfo } from "../kafka-wire/error-codes.ts";
import type { ProducePartitionResponse } from "../kafka-wire/produce.ts";
import { authorizationError, isAuthorizationError } from "./authorization-error.ts";
import type { RefusedOperation } from "./authorization-error.ts";
import type { Refusal } from "./batch.ts";
import type { Principal } from "./client-identity.ts";

/** What a broker's answer means for a batch. */
export type BatchVerdict =
  | { readonly kind: "acknowledged" }
  /** Batches before it are missing in the log. */
  | { readonly kind: "out-of-order" }
  /** The broker does not know the producer id, or knows a newer epoch. */
  | { readonly kind: "identity-lost" }
  | { readonly kind: "refused"; readonly refusal: Refusal }
  /** To be sent again; `staleLeader`: after asking who leads. */
  | { readonly kind: "again"; readonly staleLeader: boolean; readonly reason: string }
  /** Nothing more can be published. */
  | { readonly kind: "final"; readonly error: PcaptsError };

/**
 * Judges the answer to one batch.
 *
 * @param topic for messages
 * @param principal for the message that it may not write
 * @param latestRecordMs latest record timestamp of the batch
 * @param nowMs clock here, for the message that a record time is refused
 */
export function judgeAnswer(
  answer: ProducePartitionResponse,
  topic: string,
  principal: Principal,
  latestRecordMs: number,
  nowMs: number,
): BatchVerdict {
  const { errorCode } = answer;
  const { name, retriable, staleLeader } = kafkaErrorInfo(errorCode);
  switch (errorCode) {
    case KAFKA_ERROR_CODE.NONE:
    case KAFKA_ERROR_CODE.DUPLICATE_SEQUENCE_NUMBER:
      return { kind: "acknowledged" };
    case KAFKA_ERROR_CODE.OUT_OF_ORDER_SEQUENCE_NUMBER:
      return { kind: "out-of-order" };
    case KAFKA_ERROR_CODE.UNKNOWN_PRODUCER_ID:
    case KAFKA_ERROR_CODE.INVALID_PRODUCER_EPOCH:
      return { kind: "identity-lost" };
    case KAFKA_ERROR_CODE.MESSAGE_TOO_LARGE:
    case KAFKA_ERROR_CODE.RECORD_LIST_TOO_LARGE: {
      const reason = quote(answer, name, "the broker's max.message.bytes");
      return { kind: "refused", refusal: { records: undefined, reason } };
    }
    case KAFKA_ERROR_CODE.INVALID_TIMESTAMP:
    case KAFKA_ERROR_CODE.INVALID_RECORD: {
      const named = answer.recordErrors.map(({ index }) => index);
      const clocks =
        `record time ${new Date(latestRecordMs).toISOString()}, ` +
        `clock here ${new Date(nowMs).toISOString()}`;
      const reason = quote(
        answer,
        name,
        errorCode === KAFKA_ERROR_CODE.INVALID_TIMESTAMP ? clocks : "a record",
      );
      const records = named.length > 0 ? new Set(named) : undefined;
      return { kind: "refused", refusal: { records, reason } };
    }
    default:
  }
  // What the broker itself cannot name may pass; message.timeout.ms ends it if not.
  const isUnnamed = errorCode === KAFKA_ERROR_CODE.UNKNOWN_SERVER_ERROR;
  if (retriable || isUnnamed) return { kind: "again", staleLeader, reason: quote(answer, name) };
  const action = `write to topic "${topic}"`;
  const error = isAuthorizationError(errorCode)
    ? authorizationError({ action, ...operationOf(errorCode, topic) }, errorCode, principal)
    : new PcaptsError("FRAME_REFUSED", `Cannot ${action}: ${quote(answer, name)}`);
  return { kind: "final", error };
}

function operationOf(
  errorCode: number,
  topic: string,
): Pick<RefusedOperation, "operation" | "resource" | "resourceName"> {
  return errorCode === KAFKA_ERROR_CODE.CLUSTER_AUTHORIZATION_FAILED
    ? { operation: "IdempotentWrite", resource: "cluster" }
    : { operation: "Write", resource: "topic", resourceName: topic };
}

/** The error's name, the broker's words if it has any, and what we know. */
function quote(answer: ProducePartitionResponse, name: string, known?: string): string {
  const words = answer.recordErrors[0]?.message ?? answer.errorMessage ?? "";
  if (words === "") return known === undefined ? name : `${name}: ${known}`;
  return known === undefined ? `${name}: ${words}` : `${name}: ${words} (${known})`;
}
