import type { RecordCodec } from "../kafka-wire/compression.ts";
import { BATCH_HEADER_BYTES } from "../kafka-wire/record-batch-format.ts";
import type { RecordBatchWriter } from "../kafka-wire/record-batch-writer.ts";

/** Node's thread pool has four threads: one is left for files and names. */
const MAX_CONCURRENT = 3;

/**
 * Compresses batches in the thread pool, in the order they come, a few at a
 * time. What becomes of a batch is the caller's matter; its buffer must not
 * change until `done` is called.
 */
export class BatchCompressor {
  readonly codec: RecordCodec;
  readonly #failed: (error: unknown) => void;
  readonly #waiting: { writer: RecordBatchWriter; done: (compressed?: Buffer) => void }[] = [];
  #running = 0;

  /** @param failed told of what ends the run: a codec fails on no input */
  constructor(codec: RecordCodec, failed: (error: unknown) => void) {
    this.codec = codec;
    this.#failed = failed;
  }

  /**
   * Compresses the records of a batch.
   *
   * @param done gets memory of the whole batch's size: the records compressed, behind room for the
   *   header; undefined when that is not smaller
   */
  compress(writer: RecordBatchWriter, done: (compressed?: Buffer) => void): void {
    this.#waiting.push({ writer, done });
    this.#next();
  }

  #next(): void {
    if (this.#running >= MAX_CONCURRENT) return;
    const batch = this.#waiting.shift();
    if (batch === undefined) return;
    this.#running++;
    void this.#run(batch.writer, batch.done).catch(this.#failed);
  }

  async #run(writer: RecordBatchWriter, done: (compressed?: Buffer) => void): Promise<void> {
    const records = await this.codec.compress(writer.records);
    this.#running--;
    this.#next();
    if (BATCH_HEADER_BYTES + records.length >= writer.length) return done();
    const batch = Buffer.allocUnsafeSlow(BATCH_HEADER_BYTES + records.length);
    batch.set(records, BATCH_HEADER_BYTES);
    done(batch);
  }
}
