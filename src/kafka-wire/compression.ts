import {
  BATCH_ATTRIBUTE,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_OVERHEAD,
  OFFSET_OF,
} from "./record-batch-format.ts";
import type { COMPRESSION_NAMES } from "./record-batch-format.ts";
import { RecordBatchError } from "./record-batch-reader.ts";
import type { RecordBatchHeader } from "./record-batch-reader.ts";

/** A codec that has to be loaded. */
export type CodecName = Exclude<(typeof COMPRESSION_NAMES)[number], "none">;

/**
 * Most bytes that the records of one batch may come to, 128 MiB: 128 times
 * what brokers take unless told otherwise, and that compressed. A batch that
 * states or produces more would fill the memory before its first frame is seen.
 */
export const MAX_RECORDS_BYTES = 128 * 1024 * 1024;

/**
 * Compresses and decompresses the records of a batch, all of them at once; in
 * the thread pool where that measures better.
 *
 * Measured whole, 1,000,000 frames of 200 bytes in batches of 1 MB, two cores,
 * the broker on them too. Publishing in the thread pool and at once: gzip 3.5
 * and 5.1 s (Node 20), zstd 1.2 and 1.3 s (Node 26), so these go to the pool.
 * snappy and lz4 take 2 to 5 ms of a batch and stay: in the pool they took as
 * long, and as much CPU, but 370 instead of 140 MB of memory (snappy), because
 * each thread keeps what its allocator once had. Reading takes as long either
 * way; what goes to the pool leaves the event loop to others.
 */
export interface RecordCodec {
  readonly name: CodecName;
  /** `records` must not change until it is done. */
  compress(records: Buffer): Uint8Array | Promise<Uint8Array>;
  /**
   * `bytes` must not change until it is done.
   *
   * @param limitBytes refuse what comes to more
   * @returns memory that is the caller's alone
   * @throws Error of any kind on damaged bytes
   */
  decompress(bytes: Buffer, limitBytes: number): Buffer | Promise<Buffer>;
  /** The same at once. */
  decompressSync(bytes: Buffer, limitBytes: number): Buffer;
}

/** What a codec needs is not there; the message says what. */
export class CodecUnavailableError extends Error {
  override name = "CodecUnavailableError";
}

const loaded = new Map<string, Promise<RecordCodec>>();

/**
 * Loads a codec and the package it needs. Nothing of them is loaded before.
 *
 * @param level the codec's own scale, kept within its range; undefined or -1: its default
 * @throws CodecUnavailableError
 *
 * @example
 * const codec = await loadCodec("lz4");
 * const records = await codec.decompress(bytes, MAX_RECORDS_BYTES);
 */
export function loadCodec(name: CodecName, level?: number): Promise<RecordCodec> {
  const key = `${name} ${level ?? ""}`;
  let codec = loaded.get(key);
  if (codec === undefined) {
    codec = createCodec(name, level === undefined || level < 0 ? undefined : level);
    loaded.set(key, codec);
  }
  return codec;
}

async function createCodec(name: CodecName, level: number | undefined): Promise<RecordCodec> {
  switch (name) {
    case "gzip":
      return (await import("./gzip-codec.ts")).createGzipCodec(level);
    case "snappy":
      return (await import("./snappy-codec.ts")).createSnappyCodec();
    case "lz4":
      return (await import("./lz4-codec.ts")).createLz4Codec();
    case "zstd":
      return (await import("./zstd-codec.ts")).createZstdCodec(level);
  }
}

/**
 * Imports the package a codec needs.
 *
 * @throws CodecUnavailableError naming the package
 */
export async function importPackage<Module>(
  codec: CodecName,
  packageName: string,
  load: () => Promise<Module>,
  otherwise = "",
): Promise<Module> {
  try {
    return await load();
  } catch (error) {
    throw new CodecUnavailableError(
      `${codec} needs the package ${packageName}, which cannot be loaded: ` +
        `npm install ${packageName}${otherwise}`,
      { cause: error },
    );
  }
}

/** Compressed records smaller than this are decompressed at once: the thread pool costs more. */
const THREAD_POOL_FROM_BYTES = 16 * 1024;

/**
 * Decompresses the records of a batch.
 *
 * @param bytes what `header` was read from
 * @returns the records alone, in memory that is the caller's
 * @throws RecordBatchError damaged, larger than {@link MAX_RECORDS_BYTES}, or the codec is not there
 */
export async function decompressRecords(bytes: Buffer, header: RecordBatchHeader): Promise<Buffer> {
  const { recordsStart, recordsEnd } = header;
  try {
    const codec = await loadCodec(header.compression as CodecName);
    const records = bytes.subarray(recordsStart, recordsEnd);
    return records.length < THREAD_POOL_FROM_BYTES
      ? codec.decompressSync(records, MAX_RECORDS_BYTES)
      : await codec.decompress(records, MAX_RECORDS_BYTES);
  } catch (error) {
    throw undecodable(header, error as Error);
  }
}

/**
 * A batch as it was before it was compressed, for those that look into or
 * divide what they compressed themselves.
 *
 * @param batch a whole batch; its checksum is not brought up to date
 * @param codec the one it was compressed with, if it was
 * @returns `batch` itself when it is not compressed
 */
export function decompressBatch(batch: Buffer, codec: RecordCodec): Buffer {
  const attributes = batch.readInt16BE(OFFSET_OF.attributes);
  if ((attributes & BATCH_ATTRIBUTE.compressionMask) === 0) return batch;
  const records = codec.decompressSync(batch.subarray(BATCH_HEADER_BYTES), MAX_RECORDS_BYTES);
  const whole = Buffer.concat([batch.subarray(0, BATCH_HEADER_BYTES), records]);
  whole.writeInt16BE(attributes & ~BATCH_ATTRIBUTE.compressionMask, OFFSET_OF.attributes);
  whole.writeInt32BE(whole.length - BATCH_LENGTH_OVERHEAD, OFFSET_OF.batchLength);
  return whole;
}

function undecodable(header: RecordBatchHeader, cause: Error): RecordBatchError {
  const { baseOffset, compression } = header;
  const what =
    cause instanceof CodecUnavailableError
      ? "cannot be read"
      : `is damaged, its ${compression} data cannot be read`;
  return new RecordBatchError(`the batch at offset ${baseOffset} ${what}: ${cause.message}`, {
    cause,
  });
}

/** What a codec throws when a batch would come to more than it may. */
export function tooLarge(limitBytes: number): Error {
  return new Error(`it comes to more than ${limitBytes} bytes`);
}
