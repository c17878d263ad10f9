import { normaliseArgv } from "../config/normalise-argv.ts";
import type { CommandLine } from "../config/option-rules.ts";
import { PcaptsError } from "../errors.ts";
import { exitStatusOf, formatError } from "./error-text.ts";
import type { CommandLogger } from "./logging.ts";
import { catchStopSignals } from "./stop-signals.ts";

/*
 * argv -> options -> one library call -> exit status. Everything heavy (yargs,
 * pino, kafkajs) is loaded when it is known to be needed.
 */

/** Runs the command line of this process. */
export async function main(): Promise<void> {
  const argv = process.argv.slice(2);
  try {
    if (argv[0] === "broker") {
      await runBroker(argv.slice(1));
      return;
    }
    if (argv[0] === "extcap") {
      await runExtcap(argv.slice(1));
      return;
    }
    if (argv[0] === "audit") process.exit(await runAudit(argv.slice(1)));
    const answer = await answerQuestion(argv);
    if (answer === undefined) process.exit(await runCommand(argv));
    await writeAnswer(answer);
  } catch (error) {
    process.stderr.write(await formatFailure(error, argv));
    process.exitCode = exitStatusOf(error);
  }
}

/** `pcapts broker` has flags of its own. */
async function runBroker(argv: readonly string[]): Promise<void> {
  const { parseBrokerCommandLine } = await import("./broker-command-line.ts");
  if (argv.includes("-h") || parseBrokerCommandLine(argv).help) {
    await writeAnswer((await import("./help.ts")).formatBrokerHelp());
    return;
  }
  const values = parseBrokerCommandLine(argv);
  const signals = catchStopSignals();
  const logger = await openLogger(values);
  process.exit(
    await reportFailure(logger, async () => {
      const { brokerCommand } = await import("./broker-command.ts");
      return brokerCommand(values, { logger, signals });
    }),
  );
}

/** `pcapts extcap` is called by Wireshark, which shows what is on standard error. */
async function runExtcap(argv: readonly string[]): Promise<void> {
  const { ExtcapLine } = await import("./extcap/extcap-line.ts");
  const line = new ExtcapLine(argv);
  if (line.has("help")) {
    await writeAnswer((await import("./help.ts")).formatExtcapHelp());
    return;
  }
  const { extcapCommand } = await import("./extcap/extcap-command.ts");
  const { text, status } = await extcapCommand(line, {
    variables: process.env,
    signals: catchStopSignals(),
    sayError: (message) => process.stderr.write(`${message}\n`),
  });
  await writeAnswer(text);
  process.exit(status);
}

/** So has `pcapts audit`. */
async function runAudit(argv: readonly string[]): Promise<number> {
  if (argv.some((token) => /^(-h|--help)$/.test(token))) {
    await writeAnswer((await import("./help.ts")).formatAuditHelp());
    return 0;
  }
  const { parseAuditCommandLine } = await import("./audit-command-line.ts");
  const audit = parseAuditCommandLine(argv, process.env);
  const signals = catchStopSignals();
  signals.onStop(() => process.exit(EXIT_STATUS_OF_STOPPED_AUDIT));
  const logger = await openLogger(audit.line.values);
  return reportFailure(logger, async () => {
    const { auditCommand } = await import("./audit-command.ts");
    const { text, status } = await auditCommand(audit, logger);
    await writeAnswer(text);
    return status;
  });
}

/** It said nothing, so it is not "complete". */
const EXIT_STATUS_OF_STOPPED_AUDIT = 130;

/** `--help` and `--version` win over all else on the line, right or wrong, as under argparse. */
async function answerQuestion(argv: readonly string[]): Promise<string | undefined> {
  const flags = withoutWords(argv);
  const help = flags.findIndex((token) => /^(-h|--help|--help=all)$/.test(token));
  if (help !== -1) return formatHelp(flags[help] === "--help=all" || flags[help + 1] === "all");
  if (flags.includes("--version")) return formatVersions();

  const normal = normaliseArgv(argv);
  if (withoutWords(normal).includes("--help")) return formatHelp(normal.at(-1) === "all");
  if (withoutWords(normal).includes("--version")) return formatVersions();
  return undefined;
}

/** What stands before `--`. */
function withoutWords(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf("--");
  return end === -1 ? argv : argv.slice(0, end);
}

async function formatHelp(all: boolean): Promise<string> {
  return (await import("./help.ts")).formatHelp(all ? "all" : "brief");
}

async function formatVersions(): Promise<string> {
  return (await import("./version.ts")).formatVersions();
}

/** Resolves when the text is written, or when nobody reads it (`| head`). */
async function writeAnswer(text: string): Promise<void> {
  await new Promise<void>((resolve) => {
    process.stdout.once("error", () => resolve());
    process.stdout.write(text, () => resolve());
  });
}

async function runCommand(argv: readonly string[]): Promise<number> {
  const { parseCommandLine } = await import("./parse-command-line.ts");
  const line = parseCommandLine(argv, process.env);
  if (line.values["list-interfaces"]) {
    const { listInterfacesCommand } = await import("./list-interfaces-command.ts");
    await writeAnswer(await listInterfacesCommand(line.values.json));
    return 0;
  }
  if (line.values["list-data-link-types"] || line.values["list-time-stamp-types"]) {
    const { listChoicesCommand } = await import("./list-choices-command.ts");
    await writeAnswer(await listChoicesCommand(line.values));
    return 0;
  }
  if (line.values.completion !== undefined) {
    const { formatCompletion } = await import("./completion.ts");
    await writeAnswer(formatCompletion(line.values.completion));
    return 0;
  }
  const signals = catchStopSignals();
  const logger = await openLogger(line.values);
  const context = { logger, signals };
  const ended = reportFailure(logger, async () => {
    if (line.values.producer) {
      const { produceCommand } = await import("./produce-command.ts");
      return produceCommand(line, context);
    }
    if (line.values.listen !== undefined) {
      const { listenCommand } = await import("./listen-command.ts");
      return listenCommand(line, line.values.listen, context);
    }
    const { consumeCommand } = await import("./consume-command.ts");
    return consumeCommand(line, context);
  });
  return ended.finally(() => signals.release());
}

/** Runs a command; what it throws becomes a message and the exit status, except for wrong use. */
async function reportFailure(
  logger: CommandLogger,
  command: () => Promise<number>,
): Promise<number> {
  try {
    return await command();
  } catch (error) {
    if (isUsageError(error)) throw error;
    logger.error(formatError(error, logger.isDebugEnabled()));
    return exitStatusOf(error);
  }
}

async function openLogger(
  values: Pick<CommandLine["values"], "log-level" | "log-format">,
): Promise<CommandLogger> {
  const { createLogger } = await import("./logging.ts");
  const logger = createLogger({
    level: values["log-level"],
    format: values["log-format"],
    color: process.stderr.isTTY && !process.env["NO_COLOR"],
    isTerminal: process.stderr.isTTY && process.env["TERM"] !== "dumb",
  });
  // Node's own warnings are about this program's inside, not about anything a user did.
  process.removeAllListeners("warning");
  process.on("warning", (warning) => logger.debug(`${warning.name}: ${warning.message}`));
  process.on("uncaughtException", (error) => {
    logger.error(formatError(error, logger.isDebugEnabled()));
    process.exit(1);
  });
  return logger;
}

function isUsageError(error: unknown): error is PcaptsError {
  return error instanceof PcaptsError && error.code === "USAGE";
}

const COMMANDS = ["audit", "broker", "extcap"] as const;

/** Errors that come before there is a logger, and wrong use whenever it is found. */
async function formatFailure(error: unknown, argv: readonly string[]): Promise<string> {
  const text = formatError(error, false);
  // Wireshark shows it in a box of its own.
  if (argv[0] === "extcap" && argv.includes("--extcap-interface")) return `${text}\n`;
  const message = `pcapts: error: ${text}\n`;
  if (!isUsageError(error)) return message;
  const { USAGE_LINES } = await import("./help.ts");
  const command = COMMANDS.find((name) => name === argv[0]) ?? "";
  const program = `pcapts ${command}`.trimEnd();
  return `${USAGE_LINES[command]}\n${message}${program} --help lists the flags\n`;
}
