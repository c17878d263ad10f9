import type { KafkaSettings } from "../config/kafka-settings.ts";
import { type CommandLine, filterOf } from "../config/option-rules.ts";
import { chooseStartPosition, parseTimeMicros } from "../config/start-position.ts";
import { PcaptsError } from "../errors.ts";
import { MAX_FRAME_BYTES } from "../packet/frame-chunk.ts";
import type { ConsumeOptions } from "../pipeline/pipeline-options.ts";
import { readKafkaSettings } from "./command-settings.ts";
import type { CommandLogger } from "./logging.ts";
import { isFile } from "./pcap-output.ts";
import { readPcaptsVersion } from "./version.ts";

/** How far apart partitions may be in a file: a frame is in it within a second of its capture. */
const FILE_WINDOW_MS = 500;

/** At most, where somebody may wait for the frames. */
const PIPE_WINDOW_MS = 100;

/**
 * What a command line says of a consumer, but for the text that `-pp` prints.
 *
 * @param line the command line
 * @param logger told what was accepted though it changes nothing
 * @throws PcaptsError USAGE or FILE_NOT_READABLE
 */
export async function readConsumeOptions(
  line: CommandLine,
  logger: CommandLogger,
): Promise<ConsumeOptions> {
  return (await readLastingConsumeOptions(line, logger))(Date.now());
}

/**
 * The same for a consumer that begins again and again: "five minutes ago" is another time each time.
 *
 * @returns options for a run that begins at a time, milliseconds since the epoch
 * @throws PcaptsError USAGE or FILE_NOT_READABLE
 */
export async function readLastingConsumeOptions(
  line: CommandLine,
  logger: CommandLogger,
): Promise<(nowMs: number) => ConsumeOptions> {
  const settings = await readKafkaSettings(line, "consumer", logger);
  return (nowMs) => assembleOptions(line, settings, nowMs);
}

function assembleOptions(
  line: CommandLine,
  settings: KafkaSettings,
  nowMs: number,
): ConsumeOptions {
  const { values, given } = line;
  const range = readRange(line, nowMs);
  return {
    kafka: settings.client,
    fetcher: settings.fetcher,
    topic: values["kafka-topic"],
    group: settings.group,
    start: chooseStartPosition({
      fromMicros: range?.fromMicros,
      toMicros: range?.toMicros,
      text: given.has("kafka-offset") ? values["kafka-offset"] : undefined,
      reset: settings.start,
      inGroup: settings.group !== undefined,
      nowMs,
    }),
    exitAtEnd: values["exit-at-end"],
    maxPackets: values["max-packets"],
    range,
    filter: filterOf(line),
    order: readOrdering(line),
    fileType: values["file-type"],
    application: `pcapts ${readPcaptsVersion()}`,
    compression: values["compress-output"],
    linkType: values.linktype,
    headerNow: values["header-now"],
    snapLengthBytes: MAX_FRAME_BYTES,
    flushTimeoutMs: values["flush-timeout"] * 1000,
    prettyPrint: undefined,
  };
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

/** Nobody waits for a file, so its frames may wait for each other for longer. */
function readOrdering({ values, given }: CommandLine): ConsumeOptions["order"] {
  if (values.unordered) return undefined;
  if (values.ordered !== undefined && given.has("ordered")) return { windowMs: values.ordered };
  const path = values["pretty-print"] === 0 ? values.write : "-";
  const isForFile = values.listen === undefined && isFile(path);
  return isForFile ? { windowMs: FILE_WINDOW_MS } : { windowMs: PIPE_WINDOW_MS, isPrompt: true };
}
