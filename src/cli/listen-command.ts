import { formatBrokerAddress } from "../config/broker-address.ts";
import { readListenSettings } from "../config/listen-settings.ts";
import type { CommandLine } from "../config/option-rules.ts";
import type { ServeSummary } from "../pipeline/serve-packets.ts";
import type { CommandContext } from "./command-context.ts";
import { readLastingConsumeOptions } from "./consume-options.ts";
import { formatError } from "./error-text.ts";
import { openRunService } from "./run-service.ts";
import { listFields, type RunReport, runToEnd } from "./run-to-end.ts";
import { formatConsumeSummary, formatServeSummary } from "./summary-text.ts";

/** What is said of a reader that ended, before its counters. */
const ENDS = {
  complete: "has it all",
  gone: "is gone",
  stalled: "took nothing any more",
  failed: "failed",
} as const;

/**
 * `pcapts --consumer --listen`: serves a topic to whoever connects, until a signal.
 *
 * @param line the command line
 * @param listen where
 * @param context logger and signals
 * @returns exit status
 * @throws PcaptsError what kept it from serving
 */
export async function listenCommand(
  line: CommandLine,
  listen: string,
  context: CommandContext,
): Promise<number> {
  const { values } = line;
  const { logger, signals } = context;
  const { host, port, tls } = readListenSettings(listen, "--listen", values);
  const consume = await readLastingConsumeOptions(line, logger);
  const service = await openRunService("consumer", values, context);
  // Nobody has got anything yet.
  signals.onStop(() => process.exit(0));
  const { servePackets } = await import("../pipeline/serve-packets.ts");
  const maxReaders = values["max-readers"];
  const server = await servePackets(
    {
      host,
      port,
      tls,
      maxReaders,
      consume: () => ({ ...consume(Date.now()), observer: service?.observer }),
      onConnect: (address, readers) => {
        logger.info(`Reader ${address} is connected, ${readers} of at most ${maxReaders}`);
      },
      onEnd: (address, { how, error }, summary) => {
        if (how === "failed") {
          logger.error(`Reader ${address}: ${formatError(error, logger.isDebugEnabled())}`);
        }
        const text = `Reader ${address} ${ENDS[how]}: ${formatConsumeSummary(summary)}`;
        logger.report(text, { reader: address, ...listFields(summary) });
      },
      onFull: () => {
        logger.warn(
          `A reader is turned away: ${maxReaders} are connected (--max-readers); ` +
            "so are others until one of them is gone",
        );
      },
    },
    logger,
  );
  const address = formatBrokerAddress({ host, port: server.port });
  const form = `${values["file-type"]}${tls === undefined ? "" : " over TLS"}`;
  logger.info(`Serving topic "${values["kafka-topic"]}" at ${address} as ${form}`);
  service?.watchConsumer(server);
  const report: RunReport<ServeSummary> = {
    format: formatServeSummary,
    intervalMs: values["stats-interval"] * 1000,
    judge: ({ failed, otherLinkType }) => (failed > 0 || otherLinkType > 0 ? 1 : 0),
  };
  return runToEnd(server, report, context);
}
