import { PcaptsError } from "../errors.ts";
import type { Run } from "../pipeline/pipeline-options.ts";
import type { CommandContext } from "./command-context.ts";
import { answerCountersSignal } from "./counters-signal.ts";
import { exitStatusOf, formatError, isCausedBy } from "./error-text.ts";
import type { LogFields } from "./logging.ts";
import { showProgress } from "./progress-line.ts";

/** Counters of one of several interfaces. */
export interface PartReport {
  readonly message: string;
  readonly fields: LogFields;
}

/** What is said of a run. */
export interface RunReport<Summary extends object> {
  /** One line with all counters. */
  readonly format: (summary: Summary) => string;
  /** Counters of its parts, printed before that line. */
  readonly listParts?: () => readonly PartReport[];
  /** The counters are printed every so many ms; 0 is never. */
  readonly intervalMs: number;
  /** Exit status of a run that ended in order; says what was wrong, if anything. */
  readonly judge: (summary: Summary) => number;
  /** How far it has come is shown on a terminal. Default: it is not. */
  readonly showsProgress?: boolean;
  /** True when nobody wants to know any more; the exit status then is 0. */
  readonly isAbandoned?: () => boolean;
}

/**
 * Sees a run through: signals stop it, its counters are printed on SIGUSR1,
 * now and then if that is wanted, and at the end, whatever the end was.
 *
 * @param run a producer or consumer at work
 * @param report how its counters are read
 * @param context logger and signals
 * @returns exit status
 */
export async function runToEnd<Summary extends object>(
  run: Run<Summary>,
  report: RunReport<Summary>,
  { logger, signals }: CommandContext,
): Promise<number> {
  signals.onStop(() => run.stop());
  const print = (write: "answer" | "report", summary: Summary): void => {
    for (const { message, fields } of report.listParts?.() ?? []) logger[write](message, fields);
    logger[write](report.format(summary), listFields(summary));
  };
  answerCountersSignal(() => print("answer", run.summary()));
  const { intervalMs } = report;
  const timer = intervalMs > 0 && setInterval(() => print("report", run.summary()), intervalMs);
  const hideProgress = report.showsProgress === true ? showProgress(run, logger) : () => {};
  try {
    const summary = await run.done.finally(hideProgress);
    if (report.isAbandoned?.() === true) return 0;
    print("report", summary);
    return report.judge(summary);
  } catch (error) {
    if (isClosedOutput(error) || report.isAbandoned?.() === true) return 0;
    logger.error(formatError(error, logger.isDebugEnabled()));
    print("report", run.summary());
    return exitStatusOf(error);
  } finally {
    clearInterval(timer || undefined);
  }
}

/**
 * Counters as fields of a message: JSON has no undefined, so what an engine cannot tell is null.
 *
 * @param counters numbers by name
 */
export function listFields(counters: object): LogFields {
  return Object.fromEntries(
    Object.entries(counters as Readonly<Record<string, number | undefined>>).map(
      ([name, count]): [string, number | null] => [name, count ?? null],
    ),
  );
}

/** The reader of the output has gone, as `head` does when it has enough: no failure. */
function isClosedOutput(error: unknown): boolean {
  return (
    error instanceof PcaptsError &&
    error.code === "OUTPUT_NOT_WRITABLE" &&
    isCausedBy(error, "EPIPE")
  );
}
