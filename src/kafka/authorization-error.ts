import { PcaptsError } from "../errors.ts";
import { KAFKA_ERROR_CODE, kafkaErrorInfo } from "../kafka-wire/error-codes.ts";
import type { Principal } from "./client-identity.ts";

/** What was not allowed. */
export interface RefusedOperation {
  /** As in `Cannot ${action}`. */
  readonly action: string;
  /** As kafka-acls names it: "Write". */
  readonly operation: string;
  readonly resource: "topic" | "group" | "cluster";
  /** Name of the topic or group; a cluster has none. */
  readonly resourceName?: string;
}

const REFUSALS: ReadonlySet<number> = new Set([
  KAFKA_ERROR_CODE.TOPIC_AUTHORIZATION_FAILED,
  KAFKA_ERROR_CODE.GROUP_AUTHORIZATION_FAILED,
  KAFKA_ERROR_CODE.CLUSTER_AUTHORIZATION_FAILED,
  KAFKA_ERROR_CODE.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
]);

/** True when an error code says that the principal may not do this. */
export function isAuthorizationError(errorCode: number): boolean {
  return REFUSALS.has(errorCode);
}

/** "WRITE on topic "pcap" is not allowed for User:alice". */
export function describeRefusedOperation(refused: RefusedOperation, principal: Principal): string {
  const { operation, resource, resourceName } = refused;
  const what = resourceName === undefined ? `the ${resource}` : `${resource} "${resourceName}"`;
  return `${toCapitals(operation)} on ${what} is not allowed for ${principal.shown}`;
}

/** The command that would allow it. */
export function describeGrant(
  { operation, resource, resourceName }: RefusedOperation,
  principal: Principal,
): string {
  return (
    `kafka-acls --add --allow-principal "${principal.name}" --operation ${operation} ` +
    `--${resource}${resourceName === undefined ? "" : ` "${resourceName}"`}`
  );
}

/** An operation that the principal may not perform. */
export function authorizationError(
  refused: RefusedOperation,
  errorCode: number,
  principal: Principal,
): PcaptsError {
  return new PcaptsError(
    "AUTHORIZATION_FAILED",
    `Cannot ${refused.action}: ${describeRefusedOperation(refused, principal)} ` +
      `(${kafkaErrorInfo(errorCode).name}); an administrator allows it with ${describeGrant(refused, principal)}`,
  );
}

/** IdempotentWrite is IDEMPOTENT_WRITE in Kafka's own messages. */
function toCapitals(operation: string): string {
  return operation.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}
