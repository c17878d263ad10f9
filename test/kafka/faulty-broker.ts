import { type BrokerFaults, NO_FAULTS } from "../../src/broker/faults.ts";
import { decompressBatch, loadCodec } from "../../src/kafka-wire/compression.ts";
import { encodeCreateTopics } from "../../src/kafka-wire/create-topics.ts";
import { encodeFetch } from "../../src/kafka-wire/fetch.ts";
import { readRecordBatchHeader, RecordCursor } from "../../src/kafka-wire/record-batch-reader.ts";
import type { PublishableTopic } from "../../src/kafka/topic.ts";
import { createTransport, type Transport } from "../../src/kafka/transport.ts";
import { silentLogger } from "../../src/logger.ts";
import { randomTopicName } from "../brokers.ts";
import { type EmbeddedBroker, startEmbeddedBroker } from "../embedded-broker.ts";

/** A partition as the broker keeps it. */
export interface PartitionContent {
  /** Values of its records. */
  readonly values: readonly Buffer[];
  /** Batches that are kept compressed. */
  readonly compressedBatches: number;
}

/** Pauses before another try, short: faults are over at once. */
export const IMPATIENT = { connectTimeoutMs: 10_000, retryBackoffMs: 1, retryBackoffMaxMs: 4 };

const FETCH_LIMITS = {
  maxWaitMs: 0,
  minBytes: 0,
  maxBytes: 10_000_000,
  maxPartitionBytes: 10_000_000,
  readCommitted: false,
};

/** A connected way to the brokers that are found at these ports of this machine. */
export async function connectTo(...ports: readonly number[]): Promise<Transport> {
  const transport = createTransport(
    {
      brokers: ports.map((port) => ({ host: "127.0.0.1", port })),
      clientId: "test",
      connectionSetupTimeoutMs: 30_000,
      requestTimeoutMs: 60_000,
      ...IMPATIENT,
    },
    silentLogger,
  );
  await transport.connect();
  return transport;
}

/** An embedded broker whose faults a test changes as it goes. */
export class FaultyBroker {
  /** What goes wrong at present. */
  faults: BrokerFaults = NO_FAULTS;
  readonly #transports: Transport[] = [];
  #embedded!: EmbeddedBroker;

  private constructor() {}

  /** Starts one on a free port. */
  static async start(): Promise<FaultyBroker> {
    const broker = new FaultyBroker();
    broker.#embedded = await startEmbeddedBroker({
      faults: {
        onRequest: (request) => broker.faults.onRequest?.(request),
        onBatch: (batch) => broker.faults.onBatch?.(batch),
        isLeaderless: (topic, partition) => broker.faults.isLeaderless?.(topic, partition) === true,
        refuseConnections: () => broker.faults.refuseConnections?.() === true,
      },
    });
    return broker;
  }

  /** `127.0.0.1:PORT` */
  get bootstrap(): string {
    return this.#embedded.bootstrap;
  }

  /** A connected way to it, which ends with it. */
  async connect(): Promise<Transport> {
    const transport = await connectTo(this.#embedded.broker.port);
    this.#transports.push(transport);
    return transport;
  }

  /** Makes a topic with a name of its own. */
  async newTopic(transport: Transport, partitions: number): Promise<PublishableTopic> {
    const name = randomTopicName("faulty");
    const connection = await transport.connectionToController();
    const version = connection.versionOf("CreateTopics");
    const { errorCode } = await connection.send(
      encodeCreateTopics(version, name, partitions, 1, 10_000),
    );
    const found = await transport.lookUpTopic(name);
    if (errorCode !== 0 || !("leaders" in found)) {
      throw new Error(`Cannot make topic ${name}: error ${errorCode}`);
    }
    return { name, leaders: found.leaders, maxMessageBytes: undefined, retentionMs: undefined };
  }

  /** Closes it and the ways to it, and deletes its data. */
  async remove(): Promise<void> {
    for (const transport of this.#transports) await transport.close();
    await this.#embedded.remove();
  }
}

/**
 * Reads a partition from its beginning. It asks on the connection that
 * publishers use: whatever they sent before is dealt with first.
 */
export async function readPartition(
  transport: Transport,
  { name, leaders }: PublishableTopic,
  partition: number,
): Promise<PartitionContent> {
  const values: Buffer[] = [];
  let compressedBatches = 0;
  for (let offset = 0n; ;) {
    const connection = await transport.connectionTo(leaders[partition]!, "requests");
    const version = connection.versionOf("Fetch");
    const answer = await connection.send(
      encodeFetch(version, name, [{ partition, offset }], FETCH_LIMITS),
    );
    const fetched = answer.partitions[0]!;
    if (fetched.errorCode !== 0) throw new Error(`Fetch: error ${fetched.errorCode}`);
    let at = fetched.recordsStart;
    while (at < fetched.recordsEnd) {
      const header = readRecordBatchHeader(answer.bytes, at, fetched.recordsEnd, true);
      if (header === undefined) break;
      if (header.baseOffset !== offset) {
        throw new Error(`Offset ${header.baseOffset} follows, not ${offset}`);
      }
      if (header.compression !== "none") compressedBatches++;
      values.push(...valuesOf(await decompressed(answer.bytes.subarray(at, header.recordsEnd))));
      offset += BigInt(header.lastOffsetDelta) + 1n;
      at = header.recordsEnd;
    }
    if (offset === fetched.highWatermark) return { values, compressedBatches };
  }
}

/** All partitions of a topic, see {@link readPartition}. */
export function readTopic(
  transport: Transport,
  topic: PublishableTopic,
): Promise<PartitionContent[]> {
  return Promise.all(
    topic.leaders.map((_, partition) => readPartition(transport, topic, partition)),
  );
}

/** All partitions of a topic by its name, over a connection of its own to brokers at these ports. */
export async function readTopicAt(
  ports: readonly number[],
  name: string,
): Promise<PartitionContent[]> {
  const way = await connectTo(...ports);
  try {
    const found = await way.lookUpTopic(name);
    if (!("leaders" in found))
      throw new Error(`Cannot read topic ${name}: error ${found.errorCode}`);
    const { leaders } = found;
    return await readTopic(way, {
      name,
      leaders,
      maxMessageBytes: undefined,
      retentionMs: undefined,
    });
  } finally {
    await way.close();
  }
}

/** As it was before it was compressed. */
async function decompressed(batch: Buffer): Promise<Buffer> {
  const { compression } = readRecordBatchHeader(batch, 0, batch.length, false)!;
  return compression === "none" ? batch : decompressBatch(batch, await loadCodec(compression));
}

/** Values of a batch's records, which are not compressed. */
export function valuesOf(batch: Buffer): Buffer[] {
  const header = readRecordBatchHeader(batch, 0, batch.length, false)!;
  const cursor = new RecordCursor(
    batch,
    header.recordsStart,
    header.recordsEnd,
    header.recordCount,
  );
  const values: Buffer[] = [];
  while (cursor.next()) {
    values.push(
      Buffer.from(batch.subarray(cursor.valueStart, cursor.valueStart + cursor.valueLength)),
    );
  }
  return values;
}
