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
  return REASONS[code] ?? cause.message;
}
