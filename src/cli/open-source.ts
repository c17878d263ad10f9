import { hostname } from "node:os";
import type { FrameSource } from "../capture/frame-source.ts";
import type { LiveSource } from "../capture/live-source.ts";
import type { ProcessUser } from "../capture/process-user.ts";
import type { ReplayPace } from "../capture/replay-timeline.ts";
import { parseAutostop } from "../config/autostop.ts";
import { formatBrokerAddress } from "../config/broker-address.ts";
import { type CommandLine, filterOf } from "../config/option-rules.ts";
import type { OptionValues } from "../config/option-table.ts";
import { parseTcpInterface } from "../config/tcp-interface.ts";
import { PcaptsError } from "../errors.ts";
import type { BrokerAddress } from "../kafka/client-options.ts";
import type { Logger } from "../logger.ts";
import { MAX_FRAME_BYTES } from "../packet/frame-chunk.ts";
import { formatLinkType } from "../packet/link-types.ts";

/** What a producer reads. */
export interface OpenedSource {
  readonly source: FrameSource;
  /** The interfaces that `source` is made of; none for a file. */
  readonly interfaces: readonly LiveSource[];
}

/** Puts something in between that looks at what an interface gives. */
type WatchSource = (source: LiveSource) => Promise<LiveSource>;

/**
 * Opens what a producer reads: `-r`, `--read-listen` or every `-i`.
 *
 * @param line the command line
 * @param processUser who a process that an engine starts changes to once its interface is open
 * @param logger told what is captured from, and how
 * @param watchSource stands between an interface and whoever reads it
 * @throws PcaptsError what keeps the file or an interface from being read
 */
export async function openSource(
  line: CommandLine,
  processUser: ProcessUser | undefined,
  logger: Logger,
  watchSource?: WatchSource,
): Promise<OpenedSource> {
  if (line.values.read.length > 0) {
    return { source: await openFiles(line, logger), interfaces: [] };
  }
  const listen = line.values["read-listen"];
  if (listen !== undefined) {
    const source = await openListener(line, listen, logger, watchSource);
    return { source, interfaces: [source] };
  }
  const interfaces = await openInterfaces(line, processUser, logger, watchSource);
  for (const each of interfaces) logger.info(describeCapture(each));
  const { mergeLiveSources } = await import("../capture/several-sources.ts");
  return { source: mergeLiveSources(interfaces), interfaces };
}

/**
 * The snaplen that `-s` means.
 *
 * @param given its value; 0 is the longest frame that is carried
 */
export function snapLengthOf(given: number): number {
  return given === 0 ? MAX_FRAME_BYTES : given;
}

/**
 * The interfaces that `-i` names, in the order given.
 *
 * @param wanted names, numbers as in `-D`, or addresses
 * @throws PcaptsError INTERFACE_NOT_FOUND, and USAGE when one is named twice
 */
export async function findInterfaces(wanted: readonly string[]): Promise<readonly string[]> {
  const { listInterfaces, selectInterface } = await import("../capture/interfaces.ts");
  const existing = await listInterfaces();
  const spellings = new Map<string, string>();
  for (const spelling of wanted) {
    const { name } = selectInterface(existing, spelling);
    const before = spellings.get(name);
    if (before !== undefined) {
      const twice = before === spelling ? "twice" : `twice, as "${before}" and as "${spelling}"`;
      throw new PcaptsError("USAGE", `-i, --interface names "${name}" ${twice}`);
    }
    spellings.set(name, spelling);
  }
  return [...spellings.keys()];
}

/** Filtered first: what a filter leaves out takes no time of a replay. */
async function openFiles(line: CommandLine, logger: Logger): Promise<FrameSource> {
  const pace = readPace(line.values);
  if (pace === undefined) return openMatching(line, logger);
  const { ReplayTimeline } = await import("../capture/replay-timeline.ts");
  const { paceSource } = await import("../capture/paced-source.ts");
  const timeline = new ReplayTimeline(pace);
  const source = await openMatching(line, logger, () => timeline.beginFile());
  return paceSource(source, timeline, logger);
}

/** The speed that was asked for; undefined is as fast as Kafka takes frames. */
function readPace({ multiplier, pps, mbps }: OptionValues): ReplayPace | undefined {
  if (multiplier !== undefined) return { unit: "multiplier", value: multiplier };
  if (pps !== undefined) return { unit: "pps", value: pps };
  return mbps === undefined ? undefined : { unit: "mbps", value: mbps };
}

async function openMatching(
  line: CommandLine,
  logger: Logger,
  onNextFile?: () => void,
): Promise<FrameSource> {
  const { values } = line;
  const file = await (values.monitor
    ? openFolder(values, logger)
    : openAllFiles(values, logger, onNextFile));
  const expression = filterOf(line);
  if (expression === undefined) return file;
  const { openFilteredSource } = await import("../capture/filtered-source.ts");
  const maxPackets = maxPacketsOf(values);
  try {
    return openFilteredSource(file, { expression, maxPackets }, logger);
  } catch (error) {
    await file.stop();
    throw error;
  }
}

async function openAllFiles(
  values: OptionValues,
  logger: Logger,
  onNextFile?: () => void,
): Promise<FrameSource> {
  const { openFileSources } = await import("../capture/file-sequence.ts");
  return openFileSources(values.read, {
    stdin: process.stdin,
    sensor: values.sensor ?? hostname(),
    loops: values.loop === 0 ? Infinity : values.loop,
    onNextFile,
    logger,
  });
}

async function openFolder({ read, sensor }: OptionValues, logger: Logger): Promise<FrameSource> {
  const [folder = ""] = read;
  const { openFolderSource } = await import("../capture/folder-source.ts");
  return openFolderSource(folder, { sensor: sensor ?? hostname(), logger });
}

async function openInterfaces(
  line: CommandLine,
  processUser: ProcessUser | undefined,
  logger: Logger,
  watchSource: WatchSource = (source) => Promise.resolve(source),
): Promise<readonly LiveSource[]> {
  const { values } = line;
  const streams = new Map<string, BrokerAddress>();
  const devices: string[] = [];
  for (const given of values.interface) {
    const address = parseTcpInterface(given);
    if (address === undefined) {
      devices.push(given);
      continue;
    }
    const name = `TCP@${formatBrokerAddress(address)}`;
    if (streams.has(name)) {
      throw new PcaptsError("USAGE", `-i, --interface names "${name}" twice`);
    }
    streams.set(name, address);
  }
  const names = devices.length === 0 ? [] : await findInterfaces(devices);
  if (names.length > 1 && names.includes("any")) {
    logger.warn('Interface "any" has the frames of all: those of the others are captured twice');
  }
  const opened: LiveSource[] = [];
  try {
    for (const [name, address] of streams) {
      const stream = await openTcpStream(line, name, address, streams.size + names.length, logger);
      opened.push(await watchSource(stream));
    }
    for (const interfaceName of names) {
      const { openLiveSource } = await import("../capture/open-live-source.ts");
      const options = {
        interfaceName,
        sensor: values.sensor ?? hostname(),
        snapLengthBytes: snapLengthOf(values.snaplen),
        bufferBytes: values["buffer-size"] * 1024,
        filter: filterOf(line) ?? "",
        promiscuous: !values["no-promiscuous-mode"],
        immediate: values["immediate-mode"],
        nanosecond: values["time-stamp-precision"] === "nano",
        linkType: values.linktype,
        timeStampType: values["time-stamp-type"],
        processUser,
      };
      opened.push(await watchSource(await openLiveSource(options, values.engine, logger)));
    }
  } catch (error) {
    await Promise.all(opened.map((source) => source.stop()));
    throw error;
  }
  return opened;
}

/** A stream of frames that are captured elsewhere, as an interface. */
async function openTcpStream(
  line: CommandLine,
  name: string,
  address: BrokerAddress,
  sources: number,
  logger: Logger,
): Promise<LiveSource> {
  const { values } = line;
  const { openTcpSource } = await import("../capture/tcp-source.ts");
  const source = await openTcpSource({
    ...address,
    name,
    sensor: values.sensor ?? hostname(),
    isOneOfSeveral: sources > 1,
    connectTimeoutMs: values["connect-timeout"] * 1000,
    logger,
  });
  return asInterface(line, source, logger);
}

/** What others send here, as an interface. */
async function openListener(
  line: CommandLine,
  listen: string,
  logger: Logger,
  watchSource: WatchSource = (source) => Promise.resolve(source),
): Promise<LiveSource> {
  const { values } = line;
  const { openListenSource } = await import("../capture/listen-source.ts");
  const { readListenSettings } = await import("../config/listen-settings.ts");
  const address = readListenSettings(listen, "--read-listen", values);
  const source = await openListenSource({
    address,
    maxSenders: values["max-senders"],
    sensor: values.sensor ?? hostname(),
    logger,
  });
  const stream = await asInterface(line, source, logger);
  logger.info(
    `Listening for senders at ${source.name}${address.tls === undefined ? "" : " over TLS"}`,
  );
  return watchSource(stream);
}

async function asInterface(
  line: CommandLine,
  source: FrameSource & { readonly kind: "live" },
  logger: Logger,
): Promise<LiveSource> {
  const { values } = line;
  const { openFilteredStream } = await import("../capture/filtered-source.ts");
  const options = {
    expression: filterOf(line) ?? "",
    maxPackets: maxPacketsOf(values),
    snapLengthBytes: snapLengthOf(values.snaplen),
  };
  try {
    return openFilteredStream(source, options, logger);
  } catch (error) {
    await source.stop();
    throw error;
  }
}

function maxPacketsOf(values: OptionValues): number {
  const { packets = Infinity } = parseAutostop(values.autostop);
  return Math.min(values["max-packets"] || Infinity, packets);
}

/** The line that says what is captured, on which engine, and what that gives. */
function describeCapture({ name, interfaces, engine, description }: LiveSource): string {
  const [first] = interfaces;
  if (engine === "stream") {
    const what =
      first === undefined
        ? "waiting for its first frame"
        : `${formatLinkType(first.linkType)}, snaplen ${first.snapLengthBytes}`;
    return `Connected to ${name} (${what})`;
  }
  const { linkType = 0, snapLengthBytes = 0 } = first ?? {};
  return `Capturing on ${name} (${formatLinkType(linkType)}, snaplen ${snapLengthBytes}) with ${description}`;
}
