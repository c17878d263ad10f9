import { PcaptsError } from "../errors.ts";

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "no space left on the device",
  EIO: "input/output error",
  EDQUOT: "the disk quota is used up",
  EFBIG: "the file is too large",
};

/** What a failed write is to a user; other errors, and a reader that went away (EPIPE), as they are. */
export function asOutputError(error: unknown): unknown {
  const { code = "", syscall, message } = error as NodeJS.ErrnoException;
  if (error instanceof PcaptsError || syscall !== "write" || code === "EPIPE") return error;
  return new PcaptsError(
    "OUTPUT_NOT_WRITABLE",
    `Cannot write the output: ${REASONS[code] ?? message}`,
    { cause: error },
  );
}
