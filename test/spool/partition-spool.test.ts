import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { NO_PRODUCER_ID, RecordBatchWriter } from "../../src/kafka-wire/record-batch-writer.ts";
import { silentLogger } from "../../src/logger.ts";
import type { SpoolableBatch } from "../../src/spool/partition-spool.ts";
import { SpoolDirectory } from "../../src/spool/spool-directory.ts";
import { Spool } from "../../src/spool/spool.ts";

const directory = mkdtempSync(path.join(tmpdir(), "pcapts-partition-spool-"));
after(() => rmSync(directory, { recursive: true, force: true }));

let spools = 0;
const newPath = (): string => path.join(directory, String(spools++));

async function openSpool(spoolPath: string): Promise<Spool> {
  const target = { topic: "t", partitionCount: 1, clusterId: "" };
  return Spool.open(await SpoolDirectory.take(spoolPath), 1 << 30, target, silentLogger);
}

/** A batch of one frame that is told from others by when it was born. */
function batch(bornMs: number, isSent = false): SpoolableBatch {
  const writer = new RecordBatchWriter(Buffer.alloc(100));
  const bytes = Buffer.from(writer.seal(isSent ? 7n : NO_PRODUCER_ID, 0, bornMs));
  return { bytes, frameCount: 1, bornMs, sentMs: isSent ? 1000 : undefined };
}

async function append(spool: Spool, ...bornMs: readonly number[]): Promise<void> {
  for (const each of bornMs) assert.ok(await spool.append(0, batch(each)));
}

/** Reads an entry. @returns its serial */
async function read(spool: Spool): Promise<{ serial: number; bornMs: number } | undefined> {
  const result = await spool.partitions[0]!.read((bytes) => Buffer.alloc(bytes));
  return result.kind === "entry" ? result.entry : undefined;
}

/** Opens it as the next process does. @returns entries in their order, and how many were said to be there */
async function readAgain(spoolPath: string): Promise<{ bornMs: number[]; frameCount: number }> {
  const spool = await openSpool(spoolPath);
  const { frameCount } = spool;
  const bornMs: number[] = [];
  for (let entry = await read(spool); entry !== undefined; entry = await read(spool)) {
    bornMs.push(entry.bornMs);
  }
  await spool.close();
  return { bornMs, frameCount };
}

// The file with the entries behind it was taken for one that is done, and deleted.
test("a batch that stayed in memory finds its place in the middle of a file, when an entry behind it is done", async () => {
  const spoolPath = newPath();
  const spool = await openSpool(spoolPath);
  await append(spool, 2, 3, 4);
  const acknowledged = (await read(spool))!;
  const inFlight = (await read(spool))!;
  spool.partitions[0]!.done(acknowledged.serial);
  assert.ok(await spool.insert(0, [batch(1, true)], inFlight.serial));
  await spool.close();
  assert.deepEqual(await readAgain(spoolPath), { bornMs: [1, 3, 4], frameCount: 3 });
});

test("batches find their places before several entries, read or not, and behind the end", async () => {
  const spoolPath = newPath();
  const spool = await openSpool(spoolPath);
  await append(spool, 20, 30, 40, 50);
  const acknowledged = (await read(spool))!;
  const inFlight = (await read(spool))!;
  await read(spool);
  spool.partitions[0]!.done(acknowledged.serial);
  assert.ok(await spool.insert(0, [batch(25, true), batch(26)], inFlight.serial));
  assert.ok(await spool.insert(0, [batch(45)]));
  await append(spool, 60);
  await spool.close();
  const expected = [25, 26, 30, 40, 45, 50, 60];
  assert.deepEqual(await readAgain(spoolPath), { bornMs: expected, frameCount: 7 });
});

// Frames that stand before an inserted batch were counted once more when they were done before it.
test("frames are counted once when what stands before an inserted batch is done first", async () => {
  const spoolPath = newPath();
  const spool = await openSpool(spoolPath);
  await append(spool, 10);
  await read(spool);
  await append(spool, 30);
  assert.ok(await spool.insert(0, [batch(20), batch(21)]));
  await spool.close();
  const next = await openSpool(spoolPath);
  const first = (await read(next))!;
  const second = (await read(next))!;
  assert.deepEqual([first.bornMs, second.bornMs], [10, 20]);
  next.partitions[0]!.done(first.serial);
  await next.close();
  assert.deepEqual(await readAgain(spoolPath), { bornMs: [20, 21, 30], frameCount: 3 });
});

test("a crash between the new file and the end of the old one leaves each entry there once", async () => {
  const spoolPath = newPath();
  const spool = await openSpool(spoolPath);
  await append(spool, 2, 3, 4);
  const acknowledged = (await read(spool))!;
  const inFlight = (await read(spool))!;
  spool.partitions[0]!.done(acknowledged.serial);
  const old = readdirSync(spoolPath).find((name) => name.endsWith(".batches"));
  const whole = readFileSync(path.join(spoolPath, old!));
  assert.ok(await spool.insert(0, [batch(1, true)], inFlight.serial));
  await spool.close();
  writeFileSync(path.join(spoolPath, old!), whole);
  assert.deepEqual(await readAgain(spoolPath), { bornMs: [1, 3, 4], frameCount: 3 });
});

test("what was sent out of the memory is known to be old when it is found", async () => {
  const spoolPath = newPath();
  const spool = await openSpool(spoolPath);
  await append(spool, 2);
  assert.ok(await spool.insert(0, [batch(1, true)]));
  await spool.close();
  const next = await openSpool(spoolPath);
  assert.equal(next.partitions[0]!.lastSentMs, 1000);
  await next.close();
});

test("batches that were sent to another cluster are not sent under the same identity to this one", async () => {
  const spoolPath = newPath();
  const spool = await openSpool(spoolPath);
  await append(spool, 2);
  assert.ok(await spool.insert(0, [batch(1, true)]));
  await spool.close();
  const target = { topic: "t", partitionCount: 1, clusterId: "other" };
  for (const run of ["the first there", "the one after it"]) {
    const next = await Spool.open(
      await SpoolDirectory.take(spoolPath),
      1 << 30,
      target,
      silentLogger,
    );
    const result = await next.partitions[0]!.read((bytes) => Buffer.alloc(bytes));
    assert.ok(result.kind === "entry");
    assert.equal(result.entry.bornMs, 1);
    assert.equal(result.entry.identity, undefined, run);
    await next.close();
  }
});
