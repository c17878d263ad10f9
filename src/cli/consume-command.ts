import { isatty } from "node:tty";
import { type CommandLine, filterOf } from "../config/option-rules.ts";
import { parseRingLimits } from "../config/ring-limits.ts";
import { chooseStartPosition, parseTimeMicros } from "../config/start-position.ts";
import { PcaptsError } from "../errors.ts";
import { MAX_FRAME_BYTES } from "../packet/frame-chunk.ts";
import type { ConsumeOptions, ConsumeSummary } from "../pipeline/pipeline-options.ts";
import type { CommandContext } from "./command-context.ts";
import { readKafkaSettings } from "./command-settings.ts";
import { checkRingPath, openPcapOutput } from "./pcap-output.ts";
import { type RunReport, runToEnd } from "./run-to-end.ts";
import { formatConsumeSummary } from "./summary-text.ts";
import { createTextPrinter } from "./text-output.ts";
import { readPcaptsVersion } from "./version.ts";

const STDOUT = 1;
/** How far apart partitions may be in a file. */
const FILE_WINDOW_MS = 1000;

/**
 * `pcapts --consumer`: streams frames out of a topic.
 *
 * @param line the command line
 * @param context logger and signals
 * @returns exit status
 * @throws PcaptsError what kept the run from starting
 */
export async function consumeCommand(line: CommandLine, context: CommandContext): Promise<number> {
  const { values, given } = line;
  const every = values["pretty-print"];
  if (every === 0 && values.write === "-" && isatty(STDOUT)) {
    throw new PcaptsError(
      "USAGE",
      "Standard output is a terminal, and pcap is not for reading: " +
        'say -w FILE, a pipe such as "| tshark -r -", or -pp 1 for text',
    );
  }
  const settings = await readKafkaSettings(line, "consumer", context.logger);
  const nowMs = Date.now();
  const range = readRange(line, nowMs);
  const start = chooseStartPosition({
    fromMicros: range?.fromMicros,
    text: given.has("kafka-offset") ? values["kafka-offset"] : undefined,
    reset: settings.start,
    inGroup: settings.group !== undefined,
    nowMs,
  });

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
  const ring = limits && { path: values.write, limits };
  if (ring !== undefined) await checkRingPath(ring.path);
  const output = await openPcapOutput(
    every === 0 && ring === undefined ? values.write : undefined,
    onClosed,
  );
  const { consumePackets } = await import("../pipeline/consume-packets.ts");
  const run = consumePackets(
    ring ?? output.stream,
    {
      kafka: settings.client,
      fetcher: settings.fetcher,
      topic: values["kafka-topic"],
      group: settings.group,
      start,
      exitAtEnd: values["exit-at-end"],
      maxPackets: values["max-packets"],
      range,
      filter: filterOf(line),
      order: readOrdering(line, settings.group !== undefined),
      fileType: values["file-type"],
      application: `pcapts ${readPcaptsVersion()}`,
      compression: values["compress-output"],
      linkType: values.linktype,
      headerNow: values["header-now"],
      snapLengthBytes: MAX_FRAME_BYTES,
      flushTimeoutMs: values["flush-timeout"] * 1000,
      prettyPrint:
        every === 0
          ? undefined
          : { every, format: values["pretty-print-format"], print: createTextPrinter(onClosed) },
    },
    context.logger,
  );
  stop = () => run.stop();
  const report: RunReport<ConsumeSummary> = {
    format: formatConsumeSummary,
    intervalMs: values["stats-interval"] * 1000,
    judge: ({ otherLinkType }) => (otherLinkType > 0 ? 1 : 0),
    isAbandoned: () => closed,
  };
  const status = await runToEnd(run, report, context);
  await output.close();
  return status;
}

function readRange({ values }: CommandLine, nowMs: number): ConsumeOptions["range"] {
  const { from, to } = values;
  if (from === undefined && to === undefined) return undefined;
  const fromMicros = from === undefined ? undefined : parseTimeMicros(from, nowMs, "--from");
  const toMicros = to === undefined ? undefined : parseTimeMicros(to, nowMs, "--to");
  if (fromMicros !== undefined && toMicros !== undefined && fromMicros >= toMicros) {
    throw new PcaptsError("USAGE", `--from "${from}" is not before --to "${to}"`);
  }
  return { fromMicros, toMicros };
}

/** Nobody waits for a file, so its frames may wait for each other; in a group they may be another's soon. */
function readOrdering({ values, given }: CommandLine, isInGroup: boolean): ConsumeOptions["order"] {
  if (values.unordered) return undefined;
  if (values.ordered !== undefined && given.has("ordered")) return { windowMs: values.ordered };
  return values.write === "-" || isInGroup ? undefined : { windowMs: FILE_WINDOW_MS };
}
