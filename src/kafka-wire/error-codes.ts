/**
 * Kafka's error codes that matter to publishing, fetching and the embedded broker.
 * Source: Kafka protocol guide, "Error Codes".
 *
 * `retriable`: the same request may succeed later. `staleLeader`: learn who
 * leads the partition before trying again.
 */
export const KAFKA_ERRORS = {
  [-1]: { name: "UNKNOWN_SERVER_ERROR", retriable: false, staleLeader: false },
  0: { name: "NONE", retriable: false, staleLeader: false },
  1: { name: "OFFSET_OUT_OF_RANGE", retriable: false, staleLeader: false },
  2: { name: "CORRUPT_MESSAGE", retriable: true, staleLeader: false },
  3: { name: "UNKNOWN_TOPIC_OR_PARTITION", retriable: true, staleLeader: true },
  5: { name: "LEADER_NOT_AVAILABLE", retriable: true, staleLeader: true },
  6: { name: "NOT_LEADER_OR_FOLLOWER", retriable: true, staleLeader: true },
  7: { name: "REQUEST_TIMED_OUT", retriable: true, staleLeader: false },
  8: { name: "BROKER_NOT_AVAILABLE", retriable: true, staleLeader: true },
  9: { name: "REPLICA_NOT_AVAILABLE", retriable: true, staleLeader: true },
  10: { name: "MESSAGE_TOO_LARGE", retriable: false, staleLeader: false },
  12: { name: "OFFSET_METADATA_TOO_LARGE", retriable: false, staleLeader: false },
  13: { name: "NETWORK_EXCEPTION", retriable: true, staleLeader: true },
  14: { name: "COORDINATOR_LOAD_IN_PROGRESS", retriable: true, staleLeader: false },
  15: { name: "COORDINATOR_NOT_AVAILABLE", retriable: true, staleLeader: false },
  16: { name: "NOT_COORDINATOR", retriable: true, staleLeader: false },
  17: { name: "INVALID_TOPIC_EXCEPTION", retriable: false, staleLeader: false },
  18: { name: "RECORD_LIST_TOO_LARGE", retriable: false, staleLeader: false },
  19: { name: "NOT_ENOUGH_REPLICAS", retriable: true, staleLeader: false },
  20: { name: "NOT_ENOUGH_REPLICAS_AFTER_APPEND", retriable: true, staleLeader: false },
  21: { name: "INVALID_REQUIRED_ACKS", retriable: false, staleLeader: false },
  22: { name: "ILLEGAL_GENERATION", retriable: false, staleLeader: false },
  23: { name: "INCONSISTENT_GROUP_PROTOCOL", retriable: false, staleLeader: false },
  24: { name: "INVALID_GROUP_ID", retriable: false, staleLeader: false },
  25: { name: "UNKNOWN_MEMBER_ID", retriable: false, staleLeader: false },
  26: { name: "INVALID_SESSION_TIMEOUT", retriable: false, staleLeader: false },
  27: { name: "REBALANCE_IN_PROGRESS", retriable: false, staleLeader: false },
  28: { name: "INVALID_COMMIT_OFFSET_SIZE", retriable: false, staleLeader: false },
  29: { name: "TOPIC_AUTHORIZATION_FAILED", retriable: false, staleLeader: false },
  30: { name: "GROUP_AUTHORIZATION_FAILED", retriable: false, staleLeader: false },
  31: { name: "CLUSTER_AUTHORIZATION_FAILED", retriable: false, staleLeader: false },
  32: { name: "INVALID_TIMESTAMP", retriable: false, staleLeader: false },
  33: { name: "UNSUPPORTED_SASL_MECHANISM", retriable: false, staleLeader: false },
  34: { name: "ILLEGAL_SASL_STATE", retriable: false, staleLeader: false },
  35: { name: "UNSUPPORTED_VERSION", retriable: false, staleLeader: false },
  36: { name: "TOPIC_ALREADY_EXISTS", retriable: false, staleLeader: false },
  37: { name: "INVALID_PARTITIONS", retriable: false, staleLeader: false },
  38: { name: "INVALID_REPLICATION_FACTOR", retriable: false, staleLeader: false },
  39: { name: "INVALID_REPLICA_ASSIGNMENT", retriable: false, staleLeader: false },
  40: { name: "INVALID_CONFIG", retriable: false, staleLeader: false },
  41: { name: "NOT_CONTROLLER", retriable: true, staleLeader: true },
  42: { name: "INVALID_REQUEST", retriable: false, staleLeader: false },
  43: { name: "UNSUPPORTED_FOR_MESSAGE_FORMAT", retriable: false, staleLeader: false },
  44: { name: "POLICY_VIOLATION", retriable: false, staleLeader: false },
  45: { name: "OUT_OF_ORDER_SEQUENCE_NUMBER", retriable: false, staleLeader: false },
  46: { name: "DUPLICATE_SEQUENCE_NUMBER", retriable: false, staleLeader: false },
  47: { name: "INVALID_PRODUCER_EPOCH", retriable: false, staleLeader: false },
  48: { name: "INVALID_TXN_STATE", retriable: false, staleLeader: false },
  53: { name: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", retriable: false, staleLeader: false },
  56: { name: "KAFKA_STORAGE_ERROR", retriable: true, staleLeader: true },
  58: { name: "SASL_AUTHENTICATION_FAILED", retriable: false, staleLeader: false },
  59: { name: "UNKNOWN_PRODUCER_ID", retriable: false, staleLeader: false },
  68: { name: "NON_EMPTY_GROUP", retriable: false, staleLeader: false },
  69: { name: "GROUP_ID_NOT_FOUND", retriable: false, staleLeader: false },
  70: { name: "FETCH_SESSION_ID_NOT_FOUND", retriable: true, staleLeader: false },
  72: { name: "LISTENER_NOT_FOUND", retriable: true, staleLeader: true },
  74: { name: "FENCED_LEADER_EPOCH", retriable: true, staleLeader: true },
  75: { name: "UNKNOWN_LEADER_EPOCH", retriable: true, staleLeader: true },
  76: { name: "UNSUPPORTED_COMPRESSION_TYPE", retriable: false, staleLeader: false },
  78: { name: "OFFSET_NOT_AVAILABLE", retriable: true, staleLeader: false },
  79: { name: "MEMBER_ID_REQUIRED", retriable: false, staleLeader: false },
  81: { name: "GROUP_MAX_SIZE_REACHED", retriable: false, staleLeader: false },
  82: { name: "FENCED_INSTANCE_ID", retriable: false, staleLeader: false },
  87: { name: "INVALID_RECORD", retriable: false, staleLeader: false },
  89: { name: "THROTTLING_QUOTA_EXCEEDED", retriable: true, staleLeader: false },
  90: { name: "PRODUCER_FENCED", retriable: false, staleLeader: false },
  100: { name: "UNKNOWN_TOPIC_ID", retriable: true, staleLeader: true },
} as const satisfies Record<number, KafkaErrorInfo>;

/** What is known of one of Kafka's error codes. */
export interface KafkaErrorInfo {
  readonly name: string;
  readonly retriable: boolean;
  readonly staleLeader: boolean;
}

/** Name of one of Kafka's errors in {@link KAFKA_ERRORS}. */
export type KafkaErrorName = (typeof KAFKA_ERRORS)[keyof typeof KAFKA_ERRORS]["name"];

/** Error codes by name. */
export const KAFKA_ERROR_CODE = Object.fromEntries(
  Object.entries(KAFKA_ERRORS).map(([code, { name }]) => [name, Number(code)]),
) as Record<KafkaErrorName, number>;

/** What is known of a code; an unlisted one is not retriable. */
export function kafkaErrorInfo(code: number): KafkaErrorInfo {
  const known: Record<number, KafkaErrorInfo> = KAFKA_ERRORS;
  return known[code] ?? { name: `error ${code}`, retriable: false, staleLeader: false };
}
