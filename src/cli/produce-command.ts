import { parseOverload } from "../config/overload.ts";
import { parseAutostop } from "../config/autostop.ts";
import type { Broker } from "../broker/broker.ts";
import type { KafkaSettings } from "../config/kafka-settings.ts";
import { PcaptsError } from "../errors.ts";
import type { CommandLine } from "../config/option-rules.ts";
import type { LiveSource } from "../capture/live-source.ts";
import type { ProcessUser } from "../capture/process-user.ts";
import type { KafkaClientOptions } from "../kafka/client-options.ts";
import type { Logger } from "../logger.ts";
import type { OptionValues } from "../config/option-table.ts";
import type { ProduceOptions, ProduceSummary, SpoolOptions } from "../pipeline/pipeline-options.ts";
import type { CommandContext } from "./command-context.ts";
import { readKafkaSettings } from "./command-settings.ts";
import { openSource, snapLengthOf } from "./open-source.ts";
import { dropPrivileges, findUser } from "./privileges.ts";
import { wantsProgress } from "./progress-line.ts";
import { listFields, type PartReport, runToEnd } from "./run-to-end.ts";
import { openRunService } from "./run-service.ts";
import { formatInterfaceCounters, formatProduceSummary } from "./summary-text.ts";
import { createTextPrinter } from "./text-output.ts";

/**
 * `pcapts --producer`: publishes the frames of an interface or a file.
 *
 * @param line the command line
 * @param context logger and signals
 * @returns exit status
 * @throws PcaptsError what kept the run from starting
 */
export async function produceCommand(line: CommandLine, context: CommandContext): Promise<number> {
  const { values } = line;
  const { logger, signals } = context;
  const settings = await readKafkaSettings(line, "producer", logger);
  const user = readUser(values["relinquish-privileges"]);
  if (!values.embedded) {
    // Opening may wait for a pipe's first bytes; nothing is lost by leaving then.
    signals.onStop(() => process.exit(0));
    return produce(line, settings, user, context);
  }
  const broker = await startBroker(settings, logger);
  try {
    signals.onStop(() => void broker.close().finally(() => process.exit(0)));
    return await produce(line, settings, user, context);
  } finally {
    // However it ends: while the broker listens the process does not.
    await broker.close();
  }
}

async function produce(
  line: CommandLine,
  settings: KafkaSettings,
  user: ProcessUser | undefined,
  context: CommandContext,
): Promise<number> {
  const { values, given } = line;
  const { logger } = context;
  const service = await openRunService("producer", values, context);
  const { source, interfaces } = await openSource(line, user, logger, service?.watchSource);
  if (user !== undefined) dropPrivileges(user, logger, keytabOf(settings.client));
  const { producePackets } = await import("../pipeline/produce-packets.ts");

  let stop = (): void => {};
  const every = values["pretty-print"];
  const run = producePackets(
    source,
    {
      kafka: settings.client,
      publisher: settings.publisher,
      topic: values["kafka-topic"],
      newTopicPartitions: values.partitions,
      partitioner: values.partitioner,
      headers: values.headers,
      recordTimestamp: values["record-timestamp"],
      maxPackets: values["max-packets"],
      limits: parseAutostop(values.autostop),
      captureSelf: values["capture-self"],
      spool: readSpool(line),
      overload: values.overload === undefined ? undefined : parseOverload(values.overload),
      snapLengthBytes: given.has("snaplen") ? snapLengthOf(values.snaplen) : undefined,
      flushTimeoutMs: values["flush-timeout"] * 1000,
      ledger: readLedger(values),
      observer: service?.observer,
      prettyPrint:
        every === 0
          ? undefined
          : {
              every,
              format: values["pretty-print-format"],
              print: createTextPrinter(() => stop()),
            },
    },
    logger,
  );
  stop = () => run.stop();
  service?.watchProducer(run);
  return runToEnd(
    run,
    {
      format: formatProduceSummary,
      listParts: () => (interfaces.length < 2 ? [] : interfaces.map(reportInterface)),
      intervalMs: values["stats-interval"] * 1000,
      showsProgress: values.read.length > 0 && wantsProgress(values),
      judge: (summary) => judgeLedger(summary, logger),
    },
    context,
  );
}

function readSpool({ values }: CommandLine): SpoolOptions | undefined {
  const directory = values["spool-dir"];
  return directory === undefined ? undefined : { directory, sizeBytes: values["spool-size"] };
}

function readLedger(values: OptionValues): ProduceOptions["ledger"] {
  const topic = values["ledger-topic"];
  return topic === undefined ? undefined : { topic, intervalMs: values["ledger-interval"] * 1000 };
}

function reportInterface(source: LiveSource): PartReport {
  const counters = source.counters();
  return {
    message: formatInterfaceCounters(source.name, counters),
    fields: { interface: source.name, ...listFields(counters) },
  };
}

async function startBroker({ client }: KafkaSettings, logger: Logger): Promise<Broker> {
  const [address, ...more] = client.brokers;
  if (address === undefined || more.length > 0) {
    throw new PcaptsError(
      "USAGE",
      "--embedded starts one broker: name one with -k, --kafka-broker",
    );
  }
  const { startEmbeddedBroker } = await import("./broker-command.ts");
  return startEmbeddedBroker(address, logger);
}

function keytabOf({ security }: KafkaClientOptions): string | undefined {
  return security?.sasl?.mechanism === "GSSAPI" ? security.sasl.keytab : undefined;
}

/** Undefined where it is not asked for: an unknown user is refused before anything is opened. */
function readUser(wanted: string | undefined): ProcessUser | undefined {
  return wanted === undefined ? undefined : findUser(wanted);
}

/**
 * Frames that the kernel dropped were never captured: a warning. Frames that
 * were captured and are not in Kafka, or may not be, are a failure.
 */
function judgeLedger(summary: ProduceSummary, logger: Logger): number {
  const { droppedByKernel = 0, droppedByInterface = 0 } = summary;
  if (droppedByKernel > 0) {
    logger.warn(
      `'${droppedByKernel}' frame(s) were dropped before they could be captured: ` +
        `a larger -B, --buffer-size or a smaller -s, --snaplen may help`,
    );
  }
  if (droppedByInterface > 0) {
    logger.warn(
      `'${droppedByInterface}' frame(s) were dropped by the interface, before the kernel saw them: ` +
        "a larger ring of the device may help (ethtool -g, ethtool -G)",
    );
  }
  const { captured, acknowledged, foundInSpool = 0, spooled = 0 } = summary;
  if (spooled > 0) {
    logger.warn(
      `'${spooled}' frame(s) are left in the spool: the next run with the same --spool-dir sends them`,
    );
  }
  const lost = captured + foundInSpool - acknowledged - spooled;
  if (lost === 0 && spooled > 0) return 1;
  if (lost !== 0) {
    logger.error(
      `'${lost}' captured frame(s) were not acknowledged by Kafka, see the counts above`,
    );
    return 1;
  }
  return 0;
}
