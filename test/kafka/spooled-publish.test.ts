import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import type { BatchFault } from "../../src/broker/faults.ts";
import { encodeFetch } from "../../src/kafka-wire/fetch.ts";
import { readRecordBatchHeader } from "../../src/kafka-wire/record-batch-reader.ts";
import { KAFKA_ERROR_CODE } from "../../src/kafka-wire/error-codes.ts";
import type { PublisherOptions } from "../../src/kafka/client-options.ts";
import { Publisher } from "../../src/kafka/publisher.ts";
import type { PublisherSetup } from "../../src/kafka/publisher-setup.ts";
import type { PublishableTopic } from "../../src/kafka/topic.ts";
import type { Transport } from "../../src/kafka/transport.ts";
import { cutFrames } from "../../src/packet/chunk-stages.ts";
import { SpoolDirectory } from "../../src/spool/spool-directory.ts";
import { Spool } from "../../src/spool/spool.ts";
import { readCapture } from "../capture-frames.ts";
import { consume, eventually } from "../integration/pcapts-process.ts";
import { assertInOrder, assertOnceAndInOrder } from "./delivered-frames.ts";
import { FaultyBroker, readTopic } from "./faulty-broker.ts";
import { numberedFrames, randomFrom } from "./numbered-frames.ts";
import { HeardLogger, publisherSetup, SMALL_BATCHES } from "./publisher-setup.ts";

const directory = mkdtempSync(path.join(tmpdir(), "pcapts-spooled-"));
let broker: FaultyBroker;
let transport: Transport;
before(async () => {
  broker = await FaultyBroker.start();
  transport = await broker.connect();
});
after(async () => {
  await broker.remove();
  rmSync(directory, { recursive: true, force: true });
});

let spools = 0;
const newDirectory = (): string => path.join(directory, String(spools++));

interface SpoolRun {
  readonly publisher: Publisher;
  readonly spool: Spool;
  readonly logger: HeardLogger;
  /** Ends it as a stop whose time is over. */
  readonly end: () => Promise<number>;
}

async function openRun(
  topic: PublishableTopic,
  spoolPath: string,
  changes: Partial<PublisherOptions> = {},
  sizeBytes = 1 << 30,
  setup: Partial<PublisherSetup> = {},
): Promise<SpoolRun> {
  const logger = new HeardLogger();
  const target = { topic: topic.name, partitionCount: topic.leaders.length, clusterId: "" };
  const spool = await Spool.open(await SpoolDirectory.take(spoolPath), sizeBytes, target, logger);
  const options = { ...SMALL_BATCHES, messageTimeoutMs: 0, ...changes };
  const publisher = await Publisher.open(
    publisherSetup(transport, topic, {
      options,
      logger,
      spool,
      isLive: true,
      ...setup,
    }),
  );
  const end = async (): Promise<number> => {
    const kept = await publisher.keepHeld();
    publisher.close();
    await spool.close();
    return kept;
  };
  return { publisher, spool, logger, end };
}

const away: BatchFault = {
  errorCode: KAFKA_ERROR_CODE.NOT_LEADER_OR_FOLLOWER,
  isAppended: false,
};

test("what memory and Kafka do not take goes to the spool, and comes out in order", async () => {
  broker.faults = {};
  const topic = await broker.newTopic(transport, 3);
  broker.faults = { onBatch: () => away };
  const { publisher, spool, end } = await openRun(topic, newDirectory(), { queueBytes: 200_000 });
  const frames = 15_000;
  for (let next = 0; next < frames; next += 500) await publisher.publish(numberedFrames(next, 500));
  assert.ok(spool.frameCount > 5000, `${spool.frameCount} frames`);
  broker.faults = {};
  assert.equal(await publisher.flush(), true);
  assert.equal(spool.frameCount, 0);
  assert.equal(await end(), 0);
  assert.equal(spool.bytes, 0);
  assert.deepEqual(publisher.counters, { acknowledged: frames, failed: 0, unknown: 0 });
  assertOnceAndInOrder(await readTopic(transport, topic), frames);
});

for (const { what, size } of [
  { what: "of --spool-size", size: 100_000 },
  { what: "that has no space left", size: 1 << 30 },
]) {
  test(`a spool ${what} makes publish() wait, and nothing is lost`, async () => {
    const spoolPath = newDirectory();
    mkdirSync(spoolPath);
    if (size > 1e6) execFileSync("mount", ["-t", "tmpfs", "-o", "size=200k", "tmpfs", spoolPath]);
    try {
      broker.faults = {};
      const topic = await broker.newTopic(transport, 2);
      broker.faults = { onBatch: () => away };
      const changes = { queueBytes: 100_000 };
      const { publisher, spool, logger, end } = await openRun(topic, spoolPath, changes, size);
      let isTaken = false;
      const publishing = publisher.publish(numberedFrames(0, 20_000)).then((count) => {
        isTaken = true;
        return count;
      });
      await eventually("a full spool", () => spool.isFull);
      const { unsent, unanswered } = publisher.countHeld();
      assert.equal(isTaken, false);
      // 46 bytes of a frame, 20 around it; beside the memory and the spool there is nothing.
      assert.ok((unsent + unanswered) * 66 <= 100_000 + 200_000, `${unsent + unanswered} frames`);
      broker.faults = {};
      assert.equal(await publishing, 20_000);
      assert.equal(await publisher.flush(), true);
      assert.equal(await end(), 0);
      assert.equal(
        logger.matching(/ERROR.*write to it: ENOSPC.*counts as full/).length,
        size > 1e6 ? 1 : 0,
      );
      assertOnceAndInOrder(await readTopic(transport, topic), 20_000);
    } finally {
      if (size > 1e6) execFileSync("umount", [spoolPath]);
    }
  });
}

test("a file of the spool that is damaged costs its own frames, which are counted, and no others", async () => {
  broker.faults = {};
  const topic = await broker.newTopic(transport, 1);
  const spoolPath = newDirectory();
  broker.faults = { onBatch: () => away };
  const first = await openRun(topic, spoolPath, { queueBytes: 100_000 }, 1_000_000);
  await first.publisher.publish(numberedFrames(0, 12_000));
  assert.equal(await first.end(), 12_000);
  const files = readdirSync(spoolPath)
    .filter((name) => name.endsWith(".batches"))
    .toSorted();
  assert.ok(files.length >= 3, files.join());
  const damaged = path.join(spoolPath, files[1]!);
  const bytes = readFileSync(damaged);
  bytes[bytes.length >> 1] = bytes[bytes.length >> 1]! ^ 0xff;
  writeFileSync(damaged, bytes);
  broker.faults = {};
  const second = await openRun(topic, spoolPath);
  assert.equal(await second.publisher.flush(), true);
  assert.equal(await second.end(), 0);
  const { acknowledged, failed, unknown } = second.publisher.counters;
  assert.equal(acknowledged + failed, 12_000);
  assert.equal(unknown, 0);
  assert.ok(failed > 0);
  assert.equal(second.logger.matching(/ERROR.*of the spool is damaged/).length, 1);
  const content = await readTopic(transport, topic);
  assertInOrder(content);
  assert.equal(content[0]!.values.length, acknowledged);
});

test("what a crash left half written is cut, and what was whole is sent", async () => {
  broker.faults = {};
  const topic = await broker.newTopic(transport, 1);
  const spoolPath = newDirectory();
  broker.faults = { onBatch: () => away };
  const first = await openRun(topic, spoolPath, { queueBytes: 50_000 });
  await first.publisher.publish(numberedFrames(0, 3000));
  await first.end();
  const last = readdirSync(spoolPath)
    .filter((name) => name.endsWith(".batches"))
    .toSorted()
    .at(-1)!;
  const whole = readFileSync(path.join(spoolPath, last));
  appendFileSync(path.join(spoolPath, last), whole.subarray(0, 300));
  broker.faults = {};
  const second = await openRun(topic, spoolPath);
  assert.equal(
    second.logger.matching(/WARN.*ended in the middle of a batch: 300 bytes were cut/).length,
    1,
  );
  assert.equal(await second.publisher.flush(), true);
  await second.end();
  assertOnceAndInOrder(await readTopic(transport, topic), 3000);
});

test("spooled frames that are older than the topic keeps get the time of publishing, and keep their keys", async () => {
  broker.faults = {};
  const topic = { ...(await broker.newTopic(transport, 1)), retentionMs: 60_000 };
  const spoolPath = newDirectory();
  broker.faults = { onBatch: () => away };
  const first = await openRun(topic, spoolPath, { queueBytes: 50_000 }, 1 << 30, {
    recordTimestamp: "capture",
  });
  await first.publisher.publish(numberedFrames(0, 3000));
  await first.end();
  broker.faults = {};
  const beginMs = Date.now();
  const second = await openRun(topic, spoolPath);
  assert.equal(await second.publisher.flush(), true);
  await second.end();
  assert.equal(
    second.logger.matching(/WARN.*older than topic .* keeps .*time of publishing/).length,
    1,
  );
  assertOnceAndInOrder(await readTopic(transport, topic), 3000);
  const times = await readTimestamps(transport, topic);
  assert.ok(Math.min(...times) >= beginMs - 1000, `${Math.min(...times)}`);
});

async function readTimestamps(
  way: Transport,
  { name, leaders }: PublishableTopic,
): Promise<number[]> {
  const connection = await way.connectionTo(leaders[0]!, "requests");
  const version = connection.versionOf("Fetch");
  const limits = {
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: 1e7,
    maxPartitionBytes: 1e7,
    readCommitted: false,
  };
  const { bytes, partitions } = await connection.send(
    encodeFetch(version, name, [{ partition: 0, offset: 0n }], limits),
  );
  const times: number[] = [];
  for (let at = partitions[0]!.recordsStart; at < partitions[0]!.recordsEnd;) {
    const header = readRecordBatchHeader(bytes, at, partitions[0]!.recordsEnd, true)!;
    times.push(header.maxTimestampMs);
    at = header.recordsEnd;
  }
  return times;
}

const HOUR_MS = 3_600_000;

for (const { hours, warnings } of [
  { hours: 12, warnings: 0 },
  { hours: 25, warnings: 1 },
]) {
  test(`spooled frames that were sent ${hours} hours ago without an answer are ${warnings === 0 ? "no" : "a"} reason to warn of repetitions`, async () => {
    broker.faults = {};
    const topic = await broker.newTopic(transport, 2);
    const spoolPath = newDirectory();
    broker.faults = { onBatch: () => away };
    const sentMs = Date.now() - hours * HOUR_MS;
    const first = await openRun(topic, spoolPath, { queueBytes: 50_000 }, 1 << 30, {
      wallClock: () => sentMs,
    });
    await first.publisher.publish(numberedFrames(0, 3000));
    await eventually("batches that came back", () => first.publisher.countHeld().unanswered > 0);
    await first.end();
    broker.faults = {};
    const second = await openRun(topic, spoolPath);
    const said = second.logger.matching(
      /WARN: Some of the spooled frames were sent at .* without an answer: .*producer\.id\.expiration\.ms/,
    );
    assert.equal(said.length, warnings, second.logger.lines.join("\n"));
    for (const line of said) assert.ok(line.includes(new Date(sentMs).toISOString()), line);
    assert.equal(await second.publisher.flush(), true);
    await second.end();
    assertOnceAndInOrder(await readTopic(transport, topic), 3000);
  });
}

test("frames that were cut before they were spooled say how long they were, also to the next process", async () => {
  broker.faults = {};
  const topic = await broker.newTopic(transport, 1);
  const spoolPath = newDirectory();
  broker.faults = { onBatch: () => away };
  const first = await openRun(topic, spoolPath, { queueBytes: 50_000 });
  await first.publisher.publish(numberedFrames(0, 2000));
  await first.publisher.publish(cutFrames(numberedFrames(2000, 2000), 20));
  assert.ok(first.spool.frameCount > 0);
  await first.end();
  broker.faults = {};
  const second = await openRun(topic, spoolPath);
  assert.equal(await second.publisher.flush(), true);
  await second.end();
  const { frames } = readCapture(await consume(broker.bootstrap, topic.name));
  assert.deepEqual(
    frames.map(({ bytes, wireLength }) => [bytes.length, wireLength]),
    Array.from({ length: 4000 }, (_, number) => [number < 2000 ? 46 : 20, 46]),
  );
});

test("a spool is one process's, and of one topic with its partitions", async () => {
  broker.faults = {};
  const topic = await broker.newTopic(transport, 2);
  const spoolPath = newDirectory();
  broker.faults = { onBatch: () => away };
  const { publisher, end } = await openRun(topic, spoolPath);
  await publisher.publish(numberedFrames(0, 100));
  await assert.rejects(SpoolDirectory.take(spoolPath), {
    code: "SPOOL_UNUSABLE",
    message: `Cannot use the spool "${spoolPath}": another process is running on it; stop that one, or choose another with --spool-dir`,
  });
  assert.equal(await end(), 100);
  await assert.rejects(openRun({ ...topic, name: "other" }, spoolPath), {
    code: "SPOOL_UNUSABLE",
    message: new RegExp(`it holds frames for topic "${topic.name}", this run is for "other"`),
  });
  await assert.rejects(openRun({ ...topic, leaders: [0, 0, 0] }, spoolPath), {
    code: "SPOOL_UNUSABLE",
    message: /it holds frames for 2 partition\(s\), topic .* has 3 now/,
  });
  broker.faults = {};
  const drained = await openRun(topic, spoolPath);
  assert.equal(await drained.publisher.flush(), true);
  await drained.end();
  // Empty, it is anybody's.
  const other = await openRun({ ...topic, name: "other" }, spoolPath);
  await other.end();
});

test("runs that end at any moment leave what they hold to the next ones, which send each frame once and in order", async () => {
  const firstSeed = Math.floor(Math.random() * 2 ** 31);
  for (let seed = firstSeed; seed < firstSeed + 15; seed++) await randomRound(seed);
});

async function randomRound(seed: number): Promise<void> {
  const random = randomFrom(seed);
  broker.faults = {};
  const topic = await broker.newTopic(transport, 1 + Math.floor(random() * 4));
  const spoolPath = newDirectory();
  const compressions = ["none", "none", "gzip", "snappy", "zstd"] as const;
  let next = 0;
  let acknowledged = 0;
  let kept = 0;
  for (let runs = 1 + Math.floor(random() * 4); runs > 0; runs--) {
    const troubles = random();
    const answers = random();
    broker.faults = {
      onRequest: ({ api }) => {
        if (api !== "Produce" || random() >= troubles * 0.3) return undefined;
        return { drop: random() < 0.5 ? "before" : "after" };
      },
      onBatch: () => {
        if (random() >= troubles) return undefined;
        if (random() < answers) return away;
        return {
          errorCode: KAFKA_ERROR_CODE.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
          isAppended: random() < 0.5,
        };
      },
    };
    const run = await openRun(topic, spoolPath, {
      queueBytes: 8_000 + Math.floor(random() * 200_000),
      compression: compressions[Math.floor(random() * compressions.length)]!,
    });
    assert.equal(run.spool.frameCount, kept, `seed ${seed}: what was left is found`);
    for (let left = Math.floor(random() * 4000); left > 0;) {
      const count = Math.min(left, 1 + Math.floor(random() * 300));
      await run.publisher.publish(numberedFrames(next, count, 11));
      next += count;
      left -= count;
      if (random() < 0.2) await new Promise((resolve) => setTimeout(resolve, random() * 5));
    }
    kept = await run.end();
    acknowledged += run.publisher.counters.acknowledged;
    assert.deepEqual(
      { ...run.publisher.counters, acknowledged: acknowledged + kept },
      { acknowledged: next, failed: 0, unknown: 0 },
      `seed ${seed}: counters`,
    );
  }
  broker.faults = {};
  const last = await openRun(topic, spoolPath);
  assert.equal(await last.publisher.flush(), true, `seed ${seed}`);
  assert.equal(await last.end(), 0);
  assertOnceAndInOrder(await readTopic(transport, topic), next, `seed ${seed}`);
}
