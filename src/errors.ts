/**
 * Every error a user can meet, one row each: the code that callers match, the
 * exit status the command line ends with, and whether trying again may help.
 * Messages are written where the error is found, in the form
 * action, quoted value, reason, next step.
 */
export const ERROR_TABLE = {
  USAGE: { exitCode: 2, retriable: false },
  FILTER_INVALID: { exitCode: 2, retriable: false },
  INTERFACE_NOT_FOUND: { exitCode: 1, retriable: false },
  INTERFACE_PERMISSION: { exitCode: 1, retriable: false },
  PRIVILEGES_NOT_DROPPED: { exitCode: 1, retriable: false },
  INTERFACE_GONE: { exitCode: 1, retriable: false },
  ENGINE_UNAVAILABLE: { exitCode: 1, retriable: false },
  CAPTURE_FAILED: { exitCode: 1, retriable: false },
  FILE_NOT_READABLE: { exitCode: 1, retriable: false },
  FILE_NOT_A_CAPTURE: { exitCode: 1, retriable: false },
  FILE_CUT: { exitCode: 1, retriable: false },
  FEED_UNREACHABLE: { exitCode: 1, retriable: true },
  OUTPUT_NOT_WRITABLE: { exitCode: 1, retriable: false },
  BROKER_UNREACHABLE: { exitCode: 1, retriable: true },
  BROKER_TOO_OLD: { exitCode: 1, retriable: false },
  BROKER_PROTOCOL: { exitCode: 1, retriable: false },
  LISTENER_MISMATCH: { exitCode: 1, retriable: false },
  TLS_FAILED: { exitCode: 1, retriable: false },
  AUTHENTICATION_FAILED: { exitCode: 1, retriable: false },
  KERBEROS_UNAVAILABLE: { exitCode: 1, retriable: false },
  AUTHORIZATION_FAILED: { exitCode: 1, retriable: false },
  TOPIC_MISSING: { exitCode: 1, retriable: false },
  TOPIC_NOT_CREATABLE: { exitCode: 1, retriable: false },
  TOPIC_UNSUITABLE: { exitCode: 1, retriable: false },
  SPOOL_UNUSABLE: { exitCode: 1, retriable: true },
  RECORD_BATCH_INVALID: { exitCode: 1, retriable: false },
  BROKER_DATA_DIRECTORY: { exitCode: 1, retriable: true },
  BROKER_LISTEN: { exitCode: 1, retriable: true },
  METRICS_LISTEN: { exitCode: 1, retriable: true },
  LISTEN_FAILED: { exitCode: 1, retriable: true },
  FRAME_REFUSED: { exitCode: 1, retriable: false },
} as const satisfies Record<string, { exitCode: 1 | 2; retriable: boolean }>;

/** The code of a {@link PcaptsError}. */
export type ErrorCode = keyof typeof ERROR_TABLE;

/** An error with a code to match and a message fit for an operator. */
export class PcaptsError extends Error {
  readonly code: ErrorCode;

  /**
   * @param code row of {@link ERROR_TABLE}
   * @param message action, quoted value, reason, next step
   * @param options `cause`: what the operating system, libpcap or Kafka said
   */
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "PcaptsError";
    this.code = code;
  }

  /** Exit status the command line ends with. */
  get exitCode(): 1 | 2 {
    return ERROR_TABLE[this.code].exitCode;
  }

  /** True when the same call may succeed later. */
  get retriable(): boolean {
    return ERROR_TABLE[this.code].retriable;
  }
}
