import { homedir } from "node:os";
import { join } from "node:path";
import { Broker } from "../broker/broker.ts";
import { formatBrokerAddress, parseListenAddress } from "../config/broker-address.ts";
import type { BrokerOptionValues } from "../config/broker-option-table.ts";
import { parseFsyncPolicy } from "../config/fsync-policy.ts";
import type { Logger } from "../logger.ts";
import type { CommandContext } from "./command-context.ts";

const MS_PER_HOUR = 3_600_000;

/**
 * `pcapts broker`: serves until a signal.
 *
 * @param values flags
 * @param context logger and signals
 * @returns exit status
 * @throws PcaptsError what kept it from serving
 */
export async function brokerCommand(
  values: BrokerOptionValues,
  { logger, signals }: CommandContext,
): Promise<number> {
  const { host, port } = parseListenAddress(values.listen, "--listen");
  const hours = values["retention-hours"];
  const broker = await Broker.open({
    host,
    port,
    dataDirectory: values["data-dir"] ?? defaultDataDirectory(),
    insecureListen: values["insecure-listen"],
    partitions: values.partitions,
    topicDefaults: {
      "retention.ms": String(hours < 0 ? -1 : hours * MS_PER_HOUR),
      "retention.bytes": String(values["retention-bytes"]),
      "segment.bytes": String(values["segment-bytes"]),
    },
    fsync: parseFsyncPolicy(values.fsync),
    logger,
  });
  const stopped = new Promise<void>((resolve) => {
    signals.onStop(resolve);
  });
  const directory = values["data-dir"] ?? defaultDataDirectory();
  logger.info(
    `Broker listens at ${formatBrokerAddress({ host, port: broker.port })}, data in ${directory}; ` +
      "one node without replication, transactions or security",
  );
  await stopped;
  logger.info("Broker is closing");
  await broker.close();
  return 0;
}

/**
 * Starts a broker for a producer of the same process, with the settings that
 * `pcapts broker` has by default.
 *
 * @param address where the producer is going to look for it
 * @throws PcaptsError USAGE, BROKER_DATA_DIRECTORY, BROKER_LISTEN
 */
export async function startEmbeddedBroker(
  { host, port }: { readonly host: string; readonly port: number },
  logger: Logger,
): Promise<Broker> {
  const { parseBrokerCommandLine } = await import("./broker-command-line.ts");
  const values = parseBrokerCommandLine([]);
  const dataDirectory = defaultDataDirectory();
  // Names may mean ::1 here and 127.0.0.1 there; the number means one thing.
  const broker = await Broker.open({
    host: host === "localhost" ? "127.0.0.1" : host,
    port,
    dataDirectory,
    insecureListen: false,
    partitions: values.partitions,
    topicDefaults: {},
    fsync: parseFsyncPolicy(values.fsync),
    // The producer says what is done; twice would be too much.
    logger: { ...logger, info: (message) => logger.debug(message) },
  });
  logger.info(
    `Broker of this process listens at ${formatBrokerAddress({ host, port })}, data in ${dataDirectory}`,
  );
  return broker;
}

function defaultDataDirectory(): string {
  const dataHome = process.env["XDG_DATA_HOME"];
  return join(dataHome ? dataHome : join(homedir(), ".local/share"), "pcapts/broker");
}
