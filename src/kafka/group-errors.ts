import { PcaptsError } from "../errors.ts";
import { KAFKA_ERROR_CODE, kafkaErrorInfo } from "../kafka-wire/error-codes.ts";
import { authorizationError } from "./authorization-error.ts";
import type { Principal } from "./client-identity.ts";
import { ConnectionError } from "./connection-error.ts";

/** The member has no place in the group's generation any more: join again. */
export class MembershipError extends Error {
  readonly errorCode: number;

  constructor(errorCode: number) {
    super(kafkaErrorInfo(errorCode).name);
    this.errorCode = errorCode;
  }
}

/** What an operator can do about errors of the coordinator. */
const ADVICE: Readonly<Record<string, string>> = {
  INVALID_SESSION_TIMEOUT:
    "session.timeout.ms must lie between the broker's group.min.session.timeout.ms and group.max.session.timeout.ms",
  INCONSISTENT_GROUP_PROTOCOL:
    "its other members know none of this one's partition.assignment.strategy, or it is no group of consumers",
  INVALID_GROUP_ID: "give it another name (-X group.id=)",
  GROUP_MAX_SIZE_REACHED: "it has as many members as the broker's group.max.size allows",
};

/** Which broker looks after the group changes, or is not settled yet. */
export function isCoordinatorError(errorCode: number): boolean {
  return (
    errorCode === KAFKA_ERROR_CODE.COORDINATOR_LOAD_IN_PROGRESS ||
    errorCode === KAFKA_ERROR_CODE.COORDINATOR_NOT_AVAILABLE ||
    errorCode === KAFKA_ERROR_CODE.NOT_COORDINATOR
  );
}

/**
 * Turns an error code of a group request into what it means.
 *
 * @throws MembershipError: join again; ConnectionError: ask again; PcaptsError: final
 */
export function throwGroupError(
  errorCode: number,
  groupId: string,
  topic: string,
  principal: Principal,
): void {
  if (errorCode === KAFKA_ERROR_CODE.NONE) return;
  if (
    errorCode === KAFKA_ERROR_CODE.REBALANCE_IN_PROGRESS ||
    errorCode === KAFKA_ERROR_CODE.ILLEGAL_GENERATION ||
    errorCode === KAFKA_ERROR_CODE.UNKNOWN_MEMBER_ID
  ) {
    throw new MembershipError(errorCode);
  }
  const { name, retriable } = kafkaErrorInfo(errorCode);
  if (retriable) throw new ConnectionError(name);
  if (errorCode === KAFKA_ERROR_CODE.GROUP_AUTHORIZATION_FAILED) {
    throw authorizationError(
      {
        action: `use group "${groupId}"`,
        operation: "Read",
        resource: "group",
        resourceName: groupId,
      },
      errorCode,
      principal,
    );
  }
  if (errorCode === KAFKA_ERROR_CODE.TOPIC_AUTHORIZATION_FAILED) {
    throw authorizationError(
      {
        action: `read topic "${topic}" in group "${groupId}"`,
        operation: "Read",
        resource: "topic",
        resourceName: topic,
      },
      errorCode,
      principal,
    );
  }
  const advice = ADVICE[name];
  throw new PcaptsError(
    "BROKER_PROTOCOL",
    `Cannot use group "${groupId}": ${name}${advice === undefined ? "" : `; ${advice}`}`,
  );
}
