import { PcaptsError } from "../errors.ts";
import { CodecUnavailableError, loadCodec } from "../kafka-wire/compression.ts";
import type { RecordCodec } from "../kafka-wire/compression.ts";
import { BATCH_HEADER_BYTES } from "../kafka-wire/record-batch-format.ts";
import type { RecordBatchWriter } from "../kafka-wire/record-batch-writer.ts";
import type { PublisherOptions } from "./client-options.ts";

/**
 * Loads the codec that was asked for.
 *
 * @returns undefined for none
 * @throws USAGE when it cannot be loaded
 */
export async function openCodec(options: PublisherOptions): Promise<RecordCodec | undefined> {
  const { compression, compressionLevel } = options;
  if (compression === "none") return undefined;
  try {
    return await loadCodec(compression, compressionLevel);
  } catch (error) {
    if (!(error instanceof CodecUnavailableError)) throw error;
    throw new PcaptsError(
      "USAGE",
      `Cannot publish with compression.codec=${compression}: ${error.message}`,
      { cause: error },
    );
  }
}

/** Node's thread pool has four threads: one is left for files and names. */
const MAX_CONCURRENT = 3;

/** A batch whose records are compressed: they stand behind room for its header. Undefined: that is not smaller. */
export type CompressedBatch = Buffer | undefined;

/**
 * Compresses batches, at once or in the thread pool as the codec likes it;
 * there in the order they come, a few at a time.
 */
export class BatchCompressor {
  readonly codec: RecordCodec;
  /** Those that wait for one of the others to be done. */
  readonly #turns: (() => void)[] = [];
  #running = 0;

  constructor(codec: RecordCodec) {
    this.codec = codec;
  }

  /**
   * Compresses the records of a batch.
   *
   * @param writer its buffer must not change until it is done
   */
  compress(writer: RecordBatchWriter): CompressedBatch | Promise<CompressedBatch> {
    if (this.#running >= MAX_CONCURRENT) return this.#compressLater(writer);
    const records = this.codec.compress(writer.records);
    if (!(records instanceof Promise)) return withHeaderRoom(records, writer);
    this.#running++;
    return this.#finish(records, writer);
  }

  async #compressLater(writer: RecordBatchWriter): Promise<CompressedBatch> {
    await new Promise<void>((resolve) => this.#turns.push(resolve));
    return this.#finish(this.codec.compress(writer.records), writer);
  }

  async #finish(
    records: Uint8Array | Promise<Uint8Array>,
    writer: RecordBatchWriter,
  ): Promise<CompressedBatch> {
    try {
      return withHeaderRoom(await records, writer);
    } finally {
      const next = this.#turns.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}

function withHeaderRoom(records: Uint8Array, writer: RecordBatchWriter): CompressedBatch {
  const length = BATCH_HEADER_BYTES + records.length;
  if (length >= writer.length) return undefined;
  // Not the pool's memory: a batch may wait for long.
  const batch = Buffer.allocUnsafeSlow(length);
  batch.set(records, BATCH_HEADER_BYTES);
  return batch;
}
