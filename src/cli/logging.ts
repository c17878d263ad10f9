import { styleText } from "node:util";
import type { DestinationStream, pino as Pino } from "pino";
import type { Logger } from "../logger.ts";
import { requirePackage } from "../require-package.ts";
import { debugContextOf } from "./debug-context.ts";
import { StatusLine } from "./status-line.ts";

const { pino } = requirePackage("pino") as { pino: typeof Pino };

const STDERR = 2;

/** Levels as they are named on the command line and in messages. */
export type LogLevel = "DEBUG" | "INFO" | "WARN" | "ERROR";

/** How messages are written. */
export interface LoggingOptions {
  /** Least level that is written. */
  readonly level: LogLevel;
  readonly format: "text" | "json" | "journal";
  /** Colour the level; text only. */
  readonly color: boolean;
  /** File that messages are appended to; default standard error. */
  readonly file?: string;
  /** Standard error is a terminal that a line can be rewritten on; text only. */
  readonly isTerminal?: boolean;
}

/** Counters by name, null being unknown, and what they are of. */
export type LogFields = Readonly<Record<string, number | string | null>>;

/** The command line's logger. */
export interface CommandLogger extends Logger {
  /** Writes a message that was asked for, whatever the level; the rest as {@link report}. */
  answer(message: string, fields: LogFields): void;
  /**
   * Writes counters at INFO.
   *
   * @param message a line that says them all
   * @param fields beside the message in JSON; text has the message alone
   */
  report(message: string, fields: LogFields): void;
  /**
   * Says which DEBUG messages are wanted from now on; those that name no context always are.
   *
   * @param contexts librdkafka's words; undefined or `all` among them: every message
   */
  limitDebug(contexts: readonly string[] | undefined): void;
  /**
   * Rewrites the last line of the terminal, below all messages; without a terminal nothing is written.
   *
   * @param line is cut to the width of the terminal; "" takes it away
   */
  showStatus(line: string): void;
}

/**
 * A logger on standard error or into a file, written before the call returns, so that the
 * last message of a dying process is not lost.
 *
 * @param options level and form; a line of text is
 *   `2026-01-31 09:30:00.123 INFO: message`, in the local zone, and one for the journal `<6>message`
 */
export function createLogger(options: LoggingOptions): CommandLogger {
  const { format, isTerminal = false } = options;
  const status = format === "text" && isTerminal ? new StatusLine() : undefined;
  const destination = openDestination(options, status);
  const logger = pino(
    {
      level: options.level.toLowerCase(),
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label.toUpperCase() }) },
    },
    destination,
  );
  const answers = logger.child({}, { level: "info" });
  const write = (target: Pino.Logger, message: string, fields: LogFields): void => {
    if (options.format === "json") target.info(fields, message);
    else target.info(message);
  };
  let wanted: ReadonlySet<string> | undefined;
  return {
    debug: (message, context) => {
      if (wanted !== undefined) {
        const about = context ?? debugContextOf(message);
        if (about !== undefined && !wanted.has(about)) return;
      }
      logger.debug(message);
    },
    info: (message) => logger.info(message),
    warn: (message) => logger.warn(message),
    error: (message) => logger.error(message),
    answer: (message, fields) => write(answers, message, fields),
    report: (message, fields) => write(logger, message, fields),
    limitDebug: (contexts) => {
      wanted = contexts === undefined || contexts.includes("all") ? undefined : new Set(contexts);
    },
    showStatus: (line) => status?.show(line),
    isDebugEnabled: () => options.level === "DEBUG",
  };
}

function openDestination(
  { format, color, file }: LoggingOptions,
  status: StatusLine | undefined,
): DestinationStream {
  const raw = pino.destination({ dest: file ?? STDERR, append: true, sync: true });
  raw.on("error", ignoreClosed);
  switch (format) {
    case "json":
      return raw;
    case "journal":
      return { write: (line) => raw.write(formatForJournal(line)) };
    case "text":
      return {
        write: (line) => {
          const text = formatForPeople(line, color);
          raw.write(status?.above(text) ?? text);
        },
      };
  }
}

/** What is read again of a line that pino wrote. */
interface LogLine {
  readonly time: string;
  readonly level: string;
  readonly msg: string;
}

const LEVEL_COLORS: Readonly<Record<string, "blue" | "green" | "yellow" | "red">> = {
  DEBUG: "blue",
  INFO: "green",
  WARN: "yellow",
  ERROR: "red",
};

/** Whether to colour is decided already. */
const ALWAYS = { validateStream: false };

/** What systemd takes a level for (sd-daemon(3)). */
const JOURNAL_PREFIXES: Readonly<Record<string, string>> = {
  DEBUG: "<7>",
  INFO: "<6>",
  WARN: "<4>",
  ERROR: "<3>",
};

/** The journal has time and process beside each line; a level is taken from the line's begin. */
function formatForJournal(line: string): string {
  const { level, msg } = JSON.parse(line) as LogLine;
  const prefix = JOURNAL_PREFIXES[level] ?? "<6>";
  return msg
    .split("\n")
    .map((part) => `${prefix}${part}\n`)
    .join("");
}

/** `2026-01-31 09:30:00.123 INFO: message`, in the local zone. */
function formatForPeople(line: string, color: boolean): string {
  const { time, level, msg } = JSON.parse(line) as LogLine;
  const name = color ? styleText(LEVEL_COLORS[level] ?? "green", level, ALWAYS) : level;
  return `${formatLocalTime(new Date(time))} ${name}: ${msg}\n`;
}

function formatLocalTime(time: Date): string {
  const local = new Date(time.getTime() - time.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, -1).replace("T", " ");
}

/** Nobody reads the messages any more: no reason to stop publishing. */
function ignoreClosed(): void {}
