/**
 * A broker could not be reached, or the connection to it was lost before it
 * answered. Trying again is up to the caller.
 */
export class ConnectionError extends Error {
  override name = "ConnectionError";
}

const REASONS: Record<string, string> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  EPIPE: "connection closed",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "the host name cannot be looked up",
  ETIMEDOUT: "no answer",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "no route to the network",
};

/** What Node and kafkajs say when the other side ends a connection, or what it sends is not TLS. */
const CLOSED =
  /closed connection|connection closed|connection reset|ECONNRESET|EPIPE|disconnected before secure|wrong version number|packet length too long/i;

/** True when a broker ended a connection that was open, or spoke another protocol. */
export function isClosedByBroker(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (CLOSED.test(cause.message)) return true;
  }
  return false;
}

/** Why a connection failed, in words: from an error of Node's or kafkajs's. */
export function connectionFailureReason(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const reason = code === undefined ? undefined : REASONS[code];
    if (reason !== undefined) return reason;
  }
  const message = error instanceof Error ? error.message : String(error);
  const { code } = error as NodeJS.ErrnoException;
  if (/timed? ?out/i.test(message)) return "no answer";
  for (const [errno, reason] of Object.entries(REASONS)) {
    if (code === errno || message.includes(errno)) return reason;
  }
  return message.replace(/^Connection error: /, "");
}
