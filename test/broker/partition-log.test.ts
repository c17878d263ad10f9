import assert from "node:assert/strict";
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { crc32c } from "../../src/bytes/crc32c.ts";
import { checkProducedBatch } from "../../src/broker/batch-check.ts";
import { BrokerError } from "../../src/broker/broker-error.ts";
import { KAFKA_ERROR_CODE, type KafkaErrorName } from "../../src/kafka-wire/error-codes.ts";
import { recoverLog } from "../../src/broker/log-recovery.ts";
import { silentLogger } from "../../src/logger.ts";
import { newDataDirectory } from "../embedded-broker.ts";
import { append, buildBatch, openLog } from "./batches.ts";

let directory = "";
beforeEach(() => {
  directory = newDataDirectory();
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const FIRST = "00000000000000000000.log";

function fails(name: KafkaErrorName): (error: unknown) => boolean {
  return (error) => error instanceof BrokerError && error.errorCode === KAFKA_ERROR_CODE[name];
}

test("a log torn at any byte of its last batch ends with the batch before", async () => {
  const log = await openLog(directory);
  for (let n = 0; n < 5; n++) await append(log, { records: 3 });
  const file = path.join(directory, FIRST);
  const whole = statSync(file).size;
  const batchBytes = whole / 5;
  const copy = newDataDirectory();
  for (let cut = 1; cut < batchBytes; cut += 3) {
    copyFileSync(file, path.join(copy, FIRST));
    truncateSync(path.join(copy, FIRST), whole - cut);
    const torn = await openLog(copy);
    assert.equal(torn.nextOffset, 12, `cut by ${cut}`);
    assert.equal(statSync(path.join(copy, FIRST)).size, whole - batchBytes);
    assert.equal(await append(torn), 12);
    rmSync(path.join(copy, FIRST));
  }
  rmSync(copy, { recursive: true });
});

test("a damaged byte behind the checkpoint cuts the log there, one in front of it is not looked at", async () => {
  const log = await openLog(directory);
  for (let n = 0; n < 4; n++) await append(log);
  await log.checkpoint("written");
  for (let n = 0; n < 4; n++) await append(log);
  const file = path.join(directory, FIRST);
  const bytes = readFileSync(file);
  const batchBytes = bytes.length / 8;
  bytes[batchBytes * 5 + 80]! ^= 1;
  writeFileSync(file, bytes);
  assert.equal((await openLog(directory)).nextOffset, 5);
});

test("after a restart of the machine only what was synced is trusted", async () => {
  const log = await openLog(directory);
  await append(log);
  await log.checkpoint("synced");
  for (let n = 0; n < 4; n++) await append(log);
  await log.checkpoint("written");
  // The system had not written the last pages: they are zeros.
  const file = path.join(directory, FIRST);
  const bytes = readFileSync(file);
  bytes.fill(0, (bytes.length / 5) * 2);
  writeFileSync(file, bytes);
  assert.equal((await openLog(directory, {}, { bootId: "next boot" })).nextOffset, 2);
});

test("sequences are known after a restart, from the checkpoint and from what came behind it", async () => {
  const log = await openLog(directory);
  for (let sequence = 0; sequence < 4; sequence++) await append(log, { producerId: 7, sequence });
  await log.checkpoint("written");
  for (let sequence = 4; sequence < 8; sequence++) await append(log, { producerId: 7, sequence });
  const again = await openLog(directory);
  assert.equal(await append(again, { producerId: 7, sequence: 7 }), 7);
  assert.equal(await append(again, { producerId: 7, sequence: 3 + 1 }), 4);
  await assert.rejects(
    append(again, { producerId: 7, sequence: 9 }),
    fails("OUT_OF_ORDER_SEQUENCE_NUMBER"),
  );
  // The sixth batch before the last is forgotten.
  await assert.rejects(
    append(again, { producerId: 7, sequence: 1 }),
    fails("OUT_OF_ORDER_SEQUENCE_NUMBER"),
  );
  assert.equal(await append(again, { producerId: 7, sequence: 8 }), 8);
  assert.equal(await append(again, { producerId: 7, epoch: 1, sequence: 0 }), 9);
  await assert.rejects(
    append(again, { producerId: 7, epoch: 0, sequence: 9 }),
    fails("INVALID_PRODUCER_EPOCH"),
  );
  await assert.rejects(
    append(again, { producerId: 7, epoch: 2, sequence: 5 }),
    fails("OUT_OF_ORDER_SEQUENCE_NUMBER"),
  );
});

test("sequences go on with 0 behind 2^31 - 1", async () => {
  const log = await openLog(directory);
  const last = 2 ** 31 - 1;
  await append(log, { producerId: 1, sequence: last - 1, records: 2 });
  assert.equal(await append(log, { producerId: 1, sequence: 0 }), 2);
  await append(log, { producerId: 2, sequence: last, records: 3 });
  assert.equal(await append(log, { producerId: 2, sequence: 2 }), 6);
});

test("offsets and times are found over segments, also when their indexes are lost", async () => {
  const log = await openLog(directory, { segmentBytes: 200_000 });
  for (let n = 0; n < 300; n++)
    await append(log, { records: 2, valueBytes: 2000, timestampMs: n * 10 });
  await log.close(true);
  for (const withIndexes of [true, false]) {
    const files = readdirSync(directory).filter((name) => name.endsWith(".index"));
    assert.ok(files.length > 3);
    if (!withIndexes) for (const name of files) rmSync(path.join(directory, name));
    const again = await openLog(directory, { segmentBytes: 200_000 });
    for (const offset of [0, 1, 77, 300, 511, 599]) {
      const at = await again.locate(offset);
      const bytes = readFileSync(
        path.join(directory, `${String(at!.segment.baseOffset).padStart(20, "0")}.log`),
      );
      assert.equal(Number(bytes.readBigInt64BE(at!.position)), offset - (offset % 2));
    }
    assert.equal(await again.locate(600), undefined);
    await assert.rejects(again.locate(601), fails("OFFSET_OUT_OF_RANGE"));
    for (const [timestampMs, offset] of [
      [0, 0],
      [1, 2],
      [1500, 300],
      [1501, 302],
      [2990, 598],
    ] as const) {
      assert.equal((await again.findTime(timestampMs))?.offset, offset, `time ${timestampMs}`);
    }
    assert.equal(await again.findTime(2991), undefined);
    assert.equal((await again.findLatest())?.offset, 598);
    await again.close(true);
  }
});

test("retention deletes whole segments by size and by time, and offsets go on", async () => {
  let nowMs = 10_000;
  const environment = { now: () => nowMs };
  const bySize = { segmentBytes: 1000, retentionBytes: 3000 };
  const log = await openLog(directory, bySize, environment);
  for (let n = 0; n < 100; n++) await append(log, { timestampMs: nowMs });
  await log.applyRetention();
  assert.ok(log.sizeBytes >= 3000 && log.sizeBytes < 4000 + 200, `${log.sizeBytes} bytes`);
  assert.ok(log.logStartOffset > 50);
  await log.close(true);

  const byTime = await openLog(directory, { segmentBytes: 1000, retentionMs: 5000 }, environment);
  nowMs += 5001;
  await byTime.applyRetention();
  assert.equal(byTime.logStartOffset, 100);
  assert.equal(byTime.sizeBytes, 0);
  assert.equal(await append(byTime), 100);
  // Killed at once: the empty segment's name is enough.
  assert.equal((await openLog(directory)).nextOffset, 101);
});

test("the files of a log that is being written are those of a broker killed at that moment", async () => {
  const log = await openLog(directory, { segmentBytes: 3000 });
  for (let round = 0; round < 60; round++) {
    const written = log.nextOffset;
    const appending = append(log, { records: 1 + (round % 4), producerId: 3, sequence: written });
    if (round % 7 === 0) await log.checkpoint(round % 2 === 0 ? "written" : "synced");
    const copy = newDataDirectory();
    cpSync(directory, copy, { recursive: true });
    const found = await openLog(copy, { segmentBytes: 3000 });
    assert.ok(found.nextOffset >= written, `${found.nextOffset} of ${written}`);
    await appending;
    rmSync(copy, { recursive: true });
  }
});

test("LogAppendTime puts the broker's time into the batch, and the checksum is right", async () => {
  const log = await openLog(directory, { logAppendTime: true }, { now: () => 77_000 });
  await append(log, { timestampMs: 5 });
  assert.equal((await log.findTime(6))?.timestampMs, 77_000);
  assert.equal((await openLog(directory, {}, { bootId: "other" })).nextOffset, 1);
});

test("what is no batch, or not one alone, is refused as Kafka refuses it", () => {
  const refused = (name: KafkaErrorName, change: (batch: Buffer) => Buffer): void => {
    assert.throws(
      () => checkProducedBatch(change(buildBatch({ records: 2 })), 8, 1000),
      fails(name),
    );
  };
  refused("CORRUPT_MESSAGE", (batch) => batch.subarray(0, 40));
  refused("CORRUPT_MESSAGE", (batch) => batch.subarray(0, batch.length - 1));
  refused("CORRUPT_MESSAGE", (batch) =>
    Buffer.concat([batch.subarray(0, 100), Buffer.from([9]), batch.subarray(101)]),
  );
  refused("INVALID_RECORD", (batch) => Buffer.concat([batch, batch]));
  refused("INVALID_RECORD", (batch) => {
    batch[16] = 1;
    return batch;
  });
  refused("INVALID_RECORD", (batch) => {
    batch.writeBigInt64BE(5n, 0);
    return batch;
  });
  refused("MESSAGE_TOO_LARGE", () => buildBatch({ valueBytes: 2000 }));
});

test("batches that claim more offsets than an index counts begin new segments", async () => {
  const log = await openLog(directory);
  // Compressed records are not looked into: a batch holds as many as it says.
  const claimed = 2 ** 31 - 1;
  for (let n = 0; n < 4; n++) {
    const batch = buildBatch();
    batch.writeInt16BE(1, 21);
    batch.writeInt32BE(claimed - 1, 23);
    batch.writeInt32BE(claimed, 57);
    batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
    await log.append(batch, checkProducedBatch(batch, 8, 1000));
  }
  assert.equal(await append(log), 4 * claimed);
  await log.close(true);
  rmSync(path.join(directory, "written.json"));
  rmSync(path.join(directory, "synced.json"));
  const again = await openLog(directory);
  assert.equal(again.nextOffset, 4 * claimed + 1);
  // Their times are in their headers, whatever is in them.
  assert.equal((await again.findTime(1))?.offset, 0);
});

test("files that no synced checkpoint stands for are synced before the next one does", async () => {
  const log = await openLog(directory, { segmentBytes: 500 });
  for (let n = 0; n < 20; n++) await append(log);
  await log.checkpoint("written");
  await log.checkpoint("synced");
  const environment = {
    fsync: "never",
    bootId: "boot",
    logger: silentLogger,
    now: () => 0,
  } as const;
  assert.equal((await recoverLog(directory, environment)).unsynced.length, 0);
  // As when it was killed before it had synced anything.
  rmSync(path.join(directory, "synced.json"));
  const { segments, unsynced } = await recoverLog(directory, environment);
  assert.ok(segments.length > 2);
  assert.deepEqual(unsynced, segments.slice(0, -1));
});

test("a segment that could not be begun leaves no name that hides what still fits into the one before", async () => {
  const log = await openLog(directory, { segmentBytes: 500 });
  for (let n = 0; n < 3; n++) await append(log);
  const inTheWay = path.join(directory, FIRST.replace("log", "index"));
  mkdirSync(inTheWay);
  await assert.rejects(append(log, { valueBytes: 300 }), fails("KAFKA_STORAGE_ERROR"));
  assert.deepEqual(
    readdirSync(directory).filter((name) => name.endsWith(".log")),
    [FIRST],
  );
  rmSync(inTheWay, { recursive: true });
  assert.equal(await append(log), 3);
  assert.equal(await append(log), 4);
  await log.close(true);
  const again = await openLog(directory, { segmentBytes: 500 });
  const at = await again.locate(3);
  assert.equal(at?.segment.baseOffset, 0);
  assert.ok(at.position < at.segment.sizeBytes);
  await again.close(true);
});
