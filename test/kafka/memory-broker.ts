import { ByteReader } from "../../src/bytes/byte-reader.ts";
import { decompressBatch } from "../../src/kafka-wire/compression.ts";
import type { RecordCodec } from "../../src/kafka-wire/compression.ts";
import type { EncodedRequest } from "../../src/kafka-wire/api.ts";
import { API } from "../../src/kafka-wire/api.ts";
import { KAFKA_ERROR_CODE } from "../../src/kafka-wire/error-codes.ts";
import { readRecordBatchHeader, RecordCursor } from "../../src/kafka-wire/record-batch-reader.ts";
import { ANONYMOUS } from "../../src/kafka/client-identity.ts";
import type { BrokerConnection } from "../../src/kafka/broker-connection.ts";
import type { BrokerPath } from "../../src/kafka/broker-path.ts";
import type { BrokerAddress } from "../../src/kafka/client-options.ts";
import { ConnectionError } from "../../src/kafka/connection-error.ts";
import type { TopicLookup, Transport } from "../../src/kafka/transport.ts";

/** A record as the log holds it. */
export interface LoggedRecord {
  readonly key: bigint;
  readonly value: Buffer;
}

/** What a broker does with one batch. */
export type BatchFate =
  | { readonly kind: "append" }
  /** Answers with an error; the batch is in the log when `appended`. */
  | { readonly kind: "error"; readonly code: number; readonly appended: boolean }
  /** Refuses records for good; names them, as Produce version 8 does, or not. */
  | { readonly kind: "refuse"; readonly records: ReadonlySet<number>; readonly named: boolean };

/** How a {@link MemoryBroker} misbehaves. */
export interface Faults {
  /** Decides for each batch; one that is not in sequence is refused for that unless it is refused here. */
  batchFate(partition: number, records: readonly LoggedRecord[]): BatchFate;
  /** Loses the connection with this request: before it arrives, or after it was dealt with. */
  loseConnection(): "before" | "after" | undefined;
}

interface ProducerState {
  epoch: number;
  /** The last five batches, as Kafka remembers them (ProducerStateManager). */
  batches: { first: number; last: number }[];
}

/**
 * One broker that leads all partitions of one topic, in memory, with Kafka's
 * rules for idempotent producers (ProducerAppendInfo): sequence numbers follow
 * each other, the last five batches are recognised, a new epoch begins at 0, and
 * a producer that is not known yet may begin anywhere. It stands in for the
 * transport; real Kafka is in test/integration.
 */
export class MemoryBroker implements Transport {
  readonly principal = ANONYMOUS;
  readonly logs: LoggedRecord[][];
  /** Batches that came compressed. */
  compressedBatches = 0;
  readonly #faults: Faults;
  readonly #codec: RecordCodec | undefined;
  readonly #producers = new Map<string, ProducerState>();
  #connection: MemoryConnection | undefined;
  #nextProducerId = 1000n;

  /** @param codec reads the batches that come compressed */
  constructor(partitions: number, faults: Faults, codec?: RecordCodec) {
    this.#codec = codec;
    this.logs = Array.from({ length: partitions }, () => []);
    this.#faults = faults;
  }

  async connect(): Promise<void> {}

  brokers(): readonly BrokerAddress[] {
    return [];
  }

  paths(): readonly BrokerPath[] {
    return [];
  }

  changed(): Promise<void> {
    return new Promise(() => {});
  }

  async close(): Promise<void> {}

  async lookUpTopic(): Promise<TopicLookup> {
    return { leaders: this.logs.map(() => 0) };
  }

  async topicSettings(): Promise<ReadonlyMap<string, string>> {
    return new Map();
  }

  async defaultReplicationFactor(): Promise<number> {
    return 1;
  }

  async connectionTo(): Promise<BrokerConnection> {
    if (this.#connection?.isOpen() !== true) {
      this.#connection = new MemoryConnection((request) => this.#handle(request));
    }
    return this.#connection;
  }

  connectionToController(): Promise<BrokerConnection> {
    return this.connectionTo();
  }

  #handle(request: EncodedRequest<unknown>): Buffer {
    const body = Buffer.concat(request.body);
    if (request.api === "InitProducerId") return this.#initProducerId();
    if (request.api !== "Produce") throw new Error(`${request.api} is not spoken here`);
    const loss = this.#faults.loseConnection();
    if (loss === "before") throw new ConnectionError("connection lost before the request");
    const answer = this.#produce(new ByteReader(body), request.version);
    if (loss === "after") throw new ConnectionError("connection lost before the answer");
    return answer;
  }

  #initProducerId(): Buffer {
    const answer = Buffer.alloc(16);
    answer.writeBigInt64BE(this.#nextProducerId++, 6);
    return answer;
  }

  #produce(reader: ByteReader, version: number): Buffer {
    reader.readNullableString();
    reader.readInt16();
    reader.readInt32();
    reader.readInt32();
    reader.readString();
    const answers: Buffer[] = [];
    const count = reader.readInt32();
    for (let left = count; left > 0; left--) {
      const partition = reader.readInt32();
      const size = reader.readInt32();
      const start = reader.skip(size);
      const batch = reader.bytes.subarray(start, start + size);
      answers.push(this.#append(partition, batch, version));
    }
    const head = Buffer.alloc(4 + 2 + 1 + 4);
    head.writeInt32BE(1, 0);
    head.writeInt16BE(1, 4);
    head.write("t", 6);
    head.writeInt32BE(count, 7);
    return Buffer.concat([head, ...answers, Buffer.alloc(4)]);
  }

  #append(partition: number, sent: Buffer, version: number): Buffer {
    const { compression } = readRecordBatchHeader(sent, 0, sent.length, true)!;
    if (compression !== "none") this.compressedBatches++;
    const batch = compression === "none" ? sent : decompressBatch(sent, this.#codec!);
    const header = readRecordBatchHeader(batch, 0, batch.length, false)!;
    const { recordsStart, recordsEnd, recordCount, producerId, producerEpoch } = header;
    const cursor = new RecordCursor(batch, recordsStart, recordsEnd, recordCount);
    const records: LoggedRecord[] = [];
    while (cursor.next()) {
      records.push({
        key: batch.readBigUInt64BE(cursor.keyStart),
        value: Buffer.from(
          batch.subarray(cursor.valueStart, cursor.valueStart + cursor.valueLength),
        ),
      });
    }
    // As in Kafka's UnifiedLog: records are validated before their sequence numbers.
    const fate = this.#faults.batchFate(partition, records);
    if (fate.kind === "refuse") {
      return answerFor(
        partition,
        KAFKA_ERROR_CODE.INVALID_TIMESTAMP,
        version,
        fate.named ? [...fate.records] : [],
      );
    }
    const first = header.baseSequence;
    const last = first + recordCount - 1;
    const key = `${producerId} ${partition}`;
    const state = this.#producers.get(key);
    if (state !== undefined && producerEpoch === state.epoch) {
      if (state.batches.some((known) => known.first === first && known.last === last)) {
        return answerFor(partition, KAFKA_ERROR_CODE.NONE, version, []);
      }
      if (first !== state.batches.at(-1)!.last + 1) {
        return answerFor(partition, KAFKA_ERROR_CODE.OUT_OF_ORDER_SEQUENCE_NUMBER, version, []);
      }
    } else if (state !== undefined && producerEpoch < state.epoch) {
      return answerFor(partition, KAFKA_ERROR_CODE.INVALID_PRODUCER_EPOCH, version, []);
    } else if (state !== undefined && first !== 0) {
      return answerFor(partition, KAFKA_ERROR_CODE.OUT_OF_ORDER_SEQUENCE_NUMBER, version, []);
    }

    if (fate.kind === "append" || fate.appended) {
      const before = state?.epoch === producerEpoch ? state.batches : [];
      this.#producers.set(key, {
        epoch: producerEpoch,
        batches: [...before, { first, last }].slice(-5),
      });
      this.logs[partition]!.push(...records);
    }
    return answerFor(partition, fate.kind === "error" ? fate.code : 0, version, []);
  }
}

class MemoryConnection implements BrokerConnection {
  readonly nodeId = 0;
  readonly address = "memory:0";
  #open = true;
  readonly #handle: (request: EncodedRequest<unknown>) => Buffer;
  #last: Promise<unknown> = Promise.resolve();

  constructor(handle: (request: EncodedRequest<unknown>) => Buffer) {
    this.#handle = handle;
  }

  isOpen(): boolean {
    return this.#open;
  }

  versionOf(api: keyof typeof API): number {
    return API[api].maxVersion;
  }

  /** Requests are dealt with one after another, each some turns of the event loop later. */
  send<Response>(request: EncodedRequest<Response>): Promise<Response> {
    const answered = this.#last.then(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      if (!this.#open) throw new ConnectionError("connection lost");
      try {
        return request.decode(new ByteReader(this.#handle(request)));
      } catch (error) {
        this.close();
        throw error;
      }
    });
    this.#last = answered.catch(() => undefined);
    return answered;
  }

  giveBack(): void {}

  close(): void {
    this.#open = false;
  }
}

function answerFor(
  partition: number,
  errorCode: number,
  version: number,
  recordErrors: readonly number[],
): Buffer {
  const answer = Buffer.alloc(4 + 2 + 8 + 8 + 8);
  answer.writeInt32BE(partition, 0);
  answer.writeInt16BE(errorCode, 4);
  if (version < 8) return answer;
  const errors = Buffer.alloc(4 + recordErrors.length * 6 + 2);
  errors.writeInt32BE(recordErrors.length, 0);
  for (const [i, index] of recordErrors.entries()) {
    errors.writeInt32BE(index, 4 + i * 6);
    errors.writeInt16BE(-1, 8 + i * 6);
  }
  errors.writeInt16BE(-1, 4 + recordErrors.length * 6);
  return Buffer.concat([answer, errors]);
}
