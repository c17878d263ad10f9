import assert from "node:assert/strict";
import { readdirSync, rmSync } from "node:fs";
import { afterEach, beforeEach, test } from "node:test";
import type { BrokerState } from "../../src/broker/broker-api.ts";
import { BufferPool } from "../../src/broker/buffer-pool.ts";
import { FetchRead, type WantedPartition } from "../../src/broker/fetch-read.ts";
import type { PartitionLog } from "../../src/broker/partition-log.ts";
import { KAFKA_ERROR_CODE } from "../../src/kafka-wire/error-codes.ts";
import { silentLogger } from "../../src/logger.ts";
import { newDataDirectory } from "../embedded-broker.ts";
import { append, openLog } from "./batches.ts";

let directory = "";
beforeEach(() => {
  directory = newDataDirectory();
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const KIBIBYTE = 1024;

/** As much of a broker as a read looks at: one topic of one partition. */
function stateOf(log: PartitionLog, limitBytes: number): BrokerState {
  const topics = { find: () => ({ partitions: [log] }), log: () => log };
  const state = { topics, fetchMemory: new BufferPool(limitBytes), logger: silentLogger };
  return state as unknown as BrokerState;
}

function wanted(offset: number, maxBytes: number): readonly WantedPartition[] {
  return [{ topic: "t", partition: 0, offset, maxBytes }];
}

test("readers of a batch larger than what they ask for do not wait for each other's memory", async () => {
  const log = await openLog(directory);
  await append(log, { valueBytes: 150 * KIBIBYTE });
  // Two hold 64 KiB each; with them the 256 KiB that the batch takes are more than there are.
  const state = stateOf(log, 256 * KIBIBYTE);
  const reads = [1, 2, 3].map(() => new FetchRead(state, wanted(0, 10), 1024 * KIBIBYTE));
  const lengths = await Promise.all(
    reads.map(async (read) => {
      await read.locate();
      const [fetched] = await read.read();
      const length = fetched!.records!.length;
      read.release();
      return length;
    }),
  );
  assert.deepEqual(lengths, [log.sizeBytes, log.sizeBytes, log.sizeBytes]);
  assert.equal(state.fetchMemory.lentBytes, 0);
});

test("a read of a segment that retention takes brings nothing, and the segment stays gone", async () => {
  const log = await openLog(directory, { segmentBytes: 500, retentionBytes: 400 });
  for (let n = 0; n < 20; n++) await append(log);
  // Syncing has files open, too.
  await log.checkpoint("synced");
  const state = stateOf(log, 256 * KIBIBYTE);
  const read = new FetchRead(state, wanted(0, 1000), 1000);
  await read.locate();
  await log.applyRetention();
  log.closeIdleFiles();
  const [fetched] = await read.read();
  assert.equal(fetched?.errorCode, 0);
  assert.equal(fetched.records?.length ?? 0, 0);
  read.release();
  assert.equal(state.fetchMemory.lentBytes, 0);
  // Its name would make a gap, behind which nothing is kept after an end that was not in order.
  assert.ok(!readdirSync(directory).includes("00000000000000000000.log"));
  const again = await openLog(directory);
  assert.equal(again.nextOffset, 20);
  assert.equal(again.logStartOffset, log.logStartOffset);
});

test("a file that cannot be read is that partition's error, and its memory is given back", async () => {
  const log = await openLog(directory, { segmentBytes: 500 });
  for (let n = 0; n < 20; n++) await append(log);
  // Syncing has files open, too.
  await log.checkpoint("synced");
  const state = stateOf(log, 256 * KIBIBYTE);
  const read = new FetchRead(state, wanted(0, 1000), 1000);
  await read.locate();
  log.closeIdleFiles();
  rmSync(`${directory}/00000000000000000000.log`);
  const [fetched] = await read.read();
  assert.equal(fetched?.errorCode, KAFKA_ERROR_CODE.KAFKA_STORAGE_ERROR);
  read.release();
  assert.equal(state.fetchMemory.lentBytes, 0);
});
