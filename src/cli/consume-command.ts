import { isatty } from "node:tty";
import type { CommandLine } from "../config/option-rules.ts";
import { keepWholeFrames } from "../capture-file/capture-writer.ts";
import { parseRingLimits } from "../config/ring-limits.ts";
import { PcaptsError } from "../errors.ts";
import type { ConsumeSummary } from "../pipeline/pipeline-options.ts";
import type { CommandContext } from "./command-context.ts";
import { readConsumeOptions } from "./consume-options.ts";
import { checkFilePath, isFile, openPcapOutput } from "./pcap-output.ts";
import { wantsProgress } from "./progress-line.ts";
import { type RunReport, runToEnd } from "./run-to-end.ts";
import { openRunService } from "./run-service.ts";
import { formatConsumeSummary } from "./summary-text.ts";
import { openTextOutput } from "./text-output.ts";

const STDOUT = 1;

/**
 * `pcapts --consumer`: streams frames out of a topic.
 *
 * @param line the command line
 * @param context logger and signals
 * @returns exit status
 * @throws PcaptsError what kept the run from starting
 */
export async function consumeCommand(line: CommandLine, context: CommandContext): Promise<number> {
  const { values } = line;
  const every = values["pretty-print"];
  if (every === 0 && values.write === "-" && isatty(STDOUT)) {
    throw new PcaptsError(
      "USAGE",
      "Standard output is a terminal, and pcap is not for reading: " +
        'say -w FILE, a pipe such as "| tshark -r -", or -pp 1 for text',
    );
  }
  const options = await readConsumeOptions(line, context.logger);

  const service = await openRunService("consumer", values, context);
  let closed = false;
  let stop = (): void => {};
  const onClosed = (): void => {
    closed = true;
    stop();
  };
  // Opening a named pipe waits for its reader.
  context.signals.onStop(() => process.exit(0));
  const limits = parseRingLimits({
    ringBuffer: values["ring-buffer"],
    rotateSize: values["rotate-size"],
    rotateSeconds: values["rotate-seconds"],
    rotateCount: values["rotate-count"],
  });
  const resumes =
    options.group?.autoCommit === true &&
    every === 0 &&
    values.write !== "-" &&
    isFile(values.write);
  const ring =
    resumes || limits !== undefined ? { path: values.write, limits: limits ?? {} } : undefined;
  if (ring !== undefined) await checkFilePath(ring.path);
  const output = await openPcapOutput(
    every === 0 && ring === undefined ? values.write : undefined,
    onClosed,
    { keepOfTorn: keepWholeFrames(values["file-type"], values["compress-output"] !== undefined) },
  );
  const { consumePackets } = await import("../pipeline/consume-packets.ts");
  const run = consumePackets(
    ring ?? output.stream,
    {
      ...options,
      observer: service?.observer,
      resumes,
      prettyPrint:
        every === 0
          ? undefined
          : { every, format: values["pretty-print-format"], ...openTextOutput(onClosed) },
    },
    context.logger,
  );
  stop = () => run.stop();
  service?.watchConsumer(run);
  const report: RunReport<ConsumeSummary> = {
    format: formatConsumeSummary,
    intervalMs: values["stats-interval"] * 1000,
    showsProgress: (values["exit-at-end"] || values.to !== undefined) && wantsProgress(values),
    judge: ({ otherLinkType }) => (otherLinkType > 0 ? 1 : 0),
    isAbandoned: () => closed,
  };
  const status = await runToEnd(run, report, context);
  await output.close();
  return status;
}
