import { PcaptsError } from "../errors.ts";

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "no space left on the device",
  EIO: "input/output error",
  EDQUOT: "the disk quota is used up",
  EFBIG: "the file is too large",
};

/** What writing and bringing to the disk is done with. */
const OPERATIONS = new Set(["write", "fdatasync", "ftruncate"]);

/** What a failed write is to a user; other errors, and a reader that went away (EPIPE), as they are. */
export function asOutputError(error: unknown): unknown {
  const { code = "", syscall = "", path } = error as NodeJS.ErrnoException;
  if (error instanceof PcaptsError || !OPERATIONS.has(syscall) || code === "EPIPE") {
    return error;
  }
  return describeOutputError(path, error);
}

/**
 * An error that names what could not be written.
 *
 * @param path undefined for an output that is no file
 */
export function describeOutputError(path: string | undefined, error: unknown): PcaptsError {
  const { code = "", message } = error as NodeJS.ErrnoException;
  const output = path === undefined ? "the output" : `"${path}"`;
  return new PcaptsError(
    "OUTPUT_NOT_WRITABLE",
    `Cannot write ${output}: ${REASONS[code] ?? message}`,
    { cause: error },
  );
}
