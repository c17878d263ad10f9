import { PcaptsError } from "../errors.ts";
import type { KafkaClientOptions } from "../kafka/client-options.ts";
import { asUnreachable, persistently } from "../kafka/persistently.ts";
import { readExtent, readRecords } from "../kafka/read-records.ts";
import { findTopic } from "../kafka/topic.ts";
import { createTransport, type Transport } from "../kafka/transport.ts";
import type { Logger } from "../logger.ts";
import { auditLedger, type PartitionEnds, type RunAudit } from "./audit-ledger.ts";
import { type LedgerRecord, parseLedgerRecord } from "./ledger-record.ts";

/** What is audited. */
export interface AuditOptions {
  readonly kafka: KafkaClientOptions;
  /** The topic of the frames. */
  readonly topic: string;
  readonly ledgerTopic: string;
  /** Only runs of this probe. */
  readonly sensor?: string | undefined;
}

/**
 * Reads the books of a topic back and judges them.
 *
 * @returns a judgement of each run, the earliest first; none where the ledger has no run of the topic
 * @throws PcaptsError TOPIC_MISSING when there is no ledger
 */
export async function auditTopic(options: AuditOptions, logger: Logger): Promise<RunAudit[]> {
  const { kafka, topic, ledgerTopic, sensor } = options;
  const transport = createTransport(kafka, logger);
  try {
    await transport.connect();
    const records = await readLedger(transport, options);
    const own = records.filter(
      (record) => record.topic === topic && (sensor === undefined || record.sensor === sensor),
    );
    const others = [...new Set(records.map((record) => record.topic))].filter(
      (name) => name !== topic,
    );
    if (others.length > 0) {
      logger.debug(`Topic "${ledgerTopic}" also has the books of ${others.join(", ")}`);
    }
    // Afterwards: what the books say by now is in the topic by now.
    return auditLedger(own, await readEnds(transport, options), Date.now());
  } catch (error) {
    throw asUnreachable(error);
  } finally {
    await transport.close();
  }
}

async function readLedger(
  transport: Transport,
  { kafka, ledgerTopic }: AuditOptions,
): Promise<LedgerRecord[]> {
  const leaders = await findTopic(transport, ledgerTopic, kafka);
  if (leaders === undefined) {
    throw new PcaptsError(
      "TOPIC_MISSING",
      `Cannot audit by topic "${ledgerTopic}": it does not exist (--ledger-topic)`,
    );
  }
  const values = await persistently(`read topic "${ledgerTopic}"`, kafka, undefined, () =>
    readRecords(transport, ledgerTopic, leaders),
  );
  return values.flatMap((value) => parseLedgerRecord(value) ?? []);
}

async function readEnds(
  transport: Transport,
  { kafka, topic }: AuditOptions,
): Promise<PartitionEnds> {
  const leaders = await findTopic(transport, topic, kafka);
  if (leaders === undefined) return new Map();
  const { begin, end } = await persistently(
    `ask for offsets of topic "${topic}"`,
    kafka,
    undefined,
    () => readExtent(transport, topic, leaders),
  );
  return new Map(
    [...end].map(([partition, behindLast]) => [
      partition,
      { begin: Number(begin.get(partition) ?? 0n), end: Number(behindLast) },
    ]),
  );
}
