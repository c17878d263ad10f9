import { closeSync, openSync } from "node:fs";
import { PcaptsError } from "../../errors.ts";
import { describeSystemError } from "../error-text.ts";
import type { CommandLogger, LogLevel } from "../logging.ts";
import { quietLogger } from "../quiet-logger.ts";
import type { ExtcapLine } from "./extcap-line.ts";
import type { Toolbar } from "./toolbar.ts";

const LEVELS: readonly LogLevel[] = ["DEBUG", "INFO", "WARN", "ERROR"];

/**
 * The logger of a capture. Wireshark shows whatever is on standard error as an error, so only errors
 * go there; all messages are in the log of the tool bar and in the log file, where there are any.
 *
 * @param line says which level, and which file
 * @param toolbar shows messages, too
 * @param sayError writes to standard error
 * @throws PcaptsError OUTPUT_NOT_WRITABLE, USAGE
 */
export async function createCaptureLogger(
  line: ExtcapLine,
  toolbar: Toolbar | undefined,
  sayError: (message: string) => void,
): Promise<CommandLogger> {
  const level = line.text("log-level") as LogLevel;
  const file = await openLogFile(line.text("log-file"), level);
  const isWanted = (of: LogLevel): boolean => LEVELS.indexOf(of) >= LEVELS.indexOf(level);
  const show = (of: LogLevel, message: string): void => {
    if (isWanted(of)) toolbar?.log(`${of}: ${message}`);
  };
  return {
    ...quietLogger,
    debug: (message, context) => {
      file?.debug(message, context);
      show("DEBUG", message);
    },
    info: (message) => {
      file?.info(message);
      show("INFO", message);
    },
    warn: (message) => {
      file?.warn(message);
      show("WARN", message);
      toolbar?.status(message);
    },
    error: (message) => {
      file?.error(message);
      show("ERROR", message);
      sayError(message);
    },
    answer: (message, fields) => file?.answer(message, fields),
    report: (message, fields) => {
      file?.report(message, fields);
      show("INFO", message);
    },
    isDebugEnabled: () => level === "DEBUG" && (file !== undefined || toolbar !== undefined),
  };
}

async function openLogFile(
  path: string | undefined,
  level: LogLevel,
): Promise<CommandLogger | undefined> {
  if (path === undefined) return undefined;
  try {
    closeSync(openSync(path, "a", 0o600));
  } catch (error) {
    throw new PcaptsError(
      "OUTPUT_NOT_WRITABLE",
      `Cannot write "${path}": ${describeSystemError(error)} (--log-file)`,
      { cause: error },
    );
  }
  const { createLogger } = await import("../logging.ts");
  return createLogger({ level, format: "text", color: false, file: path });
}
