import { crc32c } from "../../src/bytes/crc32c.ts";
import { type BatchFacts, checkProducedBatch } from "../../src/broker/batch-check.ts";
import { PartitionLog } from "../../src/broker/partition-log.ts";
import type { LogEnvironment, LogSettings } from "../../src/broker/partition-settings.ts";
import { silentLogger } from "../../src/logger.ts";

/** What a test's batch is to be. */
export interface BatchShape {
  readonly records?: number;
  readonly valueBytes?: number;
  readonly timestampMs?: number;
  readonly producerId?: number;
  readonly epoch?: number;
  readonly sequence?: number;
}

/** An uncompressed batch as a producer sends it, its values filled with their place. */
export function buildBatch(shape: BatchShape = {}): Buffer {
  const { records = 1, valueBytes = 50, timestampMs = 1000 } = shape;
  const body: Buffer[] = [];
  for (let index = 0; index < records; index++) {
    // attributes, timestamp delta, offset delta, no key, value, no headers
    const record = Buffer.concat([
      Buffer.from([0, 0, ...varint(index), 1, ...varint(valueBytes)]),
      Buffer.alloc(valueBytes, index),
      Buffer.from([0]),
    ]);
    body.push(Buffer.from(varint(record.length)), record);
  }
  const header = Buffer.alloc(61);
  const bytes = Buffer.concat([header, ...body]);
  bytes.writeInt32BE(bytes.length - 12, 8);
  bytes[16] = 2;
  bytes.writeInt32BE(records - 1, 23);
  bytes.writeBigInt64BE(BigInt(timestampMs), 27);
  bytes.writeBigInt64BE(BigInt(timestampMs), 35);
  bytes.writeBigInt64BE(BigInt(shape.producerId ?? -1), 43);
  bytes.writeInt16BE(shape.epoch ?? (shape.producerId === undefined ? -1 : 0), 51);
  bytes.writeInt32BE(shape.sequence ?? (shape.producerId === undefined ? -1 : 0), 53);
  bytes.writeInt32BE(records, 57);
  bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17);
  return bytes;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value * 2;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return [...bytes, rest];
}

/** Settings of a log for tests. */
export const LOG_SETTINGS: LogSettings = {
  segmentBytes: 1_000_000,
  retentionBytes: -1,
  retentionMs: -1,
  maxMessageBytes: 1_000_000,
  logAppendTime: false,
};

/** Opens a partition's log as a broker would. */
export function openLog(
  directory: string,
  settings: Partial<LogSettings> = {},
  environment: Partial<LogEnvironment> = {},
): Promise<PartitionLog> {
  return PartitionLog.open(
    directory,
    { fsync: "never", bootId: "boot", logger: silentLogger, now: () => 1000, ...environment },
    { ...LOG_SETTINGS, ...settings },
  );
}

/** Checks and appends a batch. @returns its base offset */
export async function append(log: PartitionLog, shape: BatchShape = {}): Promise<number> {
  const batch = buildBatch(shape);
  const facts: BatchFacts = checkProducedBatch(batch, 8, log.maxMessageBytes);
  return (await log.append(batch, facts)).baseOffset;
}
