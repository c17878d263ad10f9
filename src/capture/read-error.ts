import { PcaptsError } from "../errors.ts";

/** What the operating system says of files and connections, in words, by the code of its error. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  ENOTDIR: "no such file (a part of its path is not a directory)",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EISDIR: "it is a directory",
  ELOOP: "too many symbolic links",
  EMFILE: "too many open files",
  ENXIO: "it is a socket or a device that is not there",
  EIO: "input/output error",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset by the other side",
  EHOSTUNREACH: "there is no way to this host",
  ENETUNREACH: "there is no way to this network",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "the name service does not answer",
  ETIMEDOUT: "no answer",
};

/**
 * Why something cannot be opened or read.
 *
 * @param cause what Node threw
 * @returns a phrase for the end of a message
 */
export function describeReadError(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const code = "code" in cause ? String(cause.code) : "";
  // What was tried at several addresses of a name has an error for each.
  const first: unknown = cause instanceof AggregateError ? cause.errors[0] : undefined;
  return REASONS[code] ?? (first === undefined ? cause.message : describeReadError(first));
}

/**
 * Says why a connection was lost: what the operating system said, without what was made of it on the way.
 *
 * @param error what was thrown
 */
export function describeLoss(error: unknown): string {
  return describeReadError(error instanceof PcaptsError ? error.cause : error);
}
