import { PcaptsError } from "../errors.ts";
import type { Run } from "../pipeline/pipeline-options.ts";
import type { CommandContext } from "./command-context.ts";
import { answerCountersSignal } from "./counters-signal.ts";
import { exitStatusOf, formatError, isCausedBy } from "./error-text.ts";

/** What is said of a run. */
export interface RunReport<Summary> {
  /** One line with all counters. */
  readonly format: (summary: Summary) => string;
  /** Exit status of a run that ended in order; says what was wrong, if anything. */
  readonly judge: (summary: Summary) => number;
  /** True when nobody wants to know any more; the exit status then is 0. */
  readonly isAbandoned?: () => boolean;
}

/**
 * Sees a run through: signals stop it, SIGUSR1 prints its counters, and at
 * the end the counters are printed, whatever the end was.
 *
 * @param run a producer or consumer at work
 * @param report how its counters are read
 * @param context logger and signals
 * @returns exit status
 */
export async function runToEnd<Summary>(
  run: Run<Summary>,
  report: RunReport<Summary>,
  { logger, signals }: CommandContext,
): Promise<number> {
  signals.onStop(() => run.stop());
  answerCountersSignal(() => logger.answer(report.format(run.summary())));
  let status: number;
  try {
    const summary = await run.done;
    if (report.isAbandoned?.() === true) return 0;
    logger.info(report.format(summary));
    status = report.judge(summary);
  } catch (error) {
    if (isClosedOutput(error) || report.isAbandoned?.() === true) return 0;
    logger.error(formatError(error, logger.isDebugEnabled()));
    logger.info(report.format(run.summary()));
    status = exitStatusOf(error);
  }
  return status;
}

/** The reader of the output has gone, as `head` does when it has enough: no failure. */
function isClosedOutput(error: unknown): boolean {
  return (
    error instanceof PcaptsError &&
    error.code === "OUTPUT_NOT_WRITABLE" &&
    isCausedBy(error, "EPIPE")
  );
}
