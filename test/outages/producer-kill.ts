import assert from "node:assert/strict";
import type { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { encodePcap } from "../../src/capture-file/pcap-writer.ts";
import type { BrokerProcess } from "../embedded-broker.ts";
import { createTopic, randomTopicName } from "../brokers.ts";
import { type Ledger, readLedger, startPcapts } from "../integration/pcapts-process.ts";
import { connectTo, readTopic } from "../kafka/faulty-broker.ts";
import { numbersOf } from "../kafka/delivered-frames.ts";
import { numberedFrames, randomFrom } from "../kafka/numbered-frames.ts";

const FILE_HEADER = encodePcap([]);

/**
 * A producer is fed numbered frames, the broker goes and comes, and the producer
 * is killed with -9 in the middle; then another one is killed while it drains;
 * then a last one drains the rest.
 *
 * What the killed ones had in memory alone is gone: a gap at the place where each
 * was killed. What Kafka or the spool had is there once, in order.
 */
export async function killProducers(
  broker: BrokerProcess,
  spoolPath: string,
  seed: number,
): Promise<{ frames: number; missing: number; drained: number }> {
  const random = randomFrom(seed);
  const topic = randomTopicName("killed");
  await createTopic(broker.bootstrap, topic, { partitions: 3 });
  const line =
    `-p -k ${broker.bootstrap} -t ${topic} -r - --spool-dir ${spoolPath} --flush-timeout 60 ` +
    "-X batch.size=3000 -X queue.buffering.max.kbytes=300 -X retry.backoff.ms=5 -X retry.backoff.max.ms=50";
  let next = 0;
  for (let killed = 0; killed < 2; killed++) {
    const producer = startPcapts(line.split(" "));
    producer.child.stdin.write(FILE_HEADER);
    await producer.says(/Starting packet capture/, 60_000);
    const feeding = feed(producer.child, next, random);
    await sleep(random() * 300);
    if (random() < 0.7) {
      await broker.kill(random() < 0.5 ? "SIGKILL" : "SIGTERM");
      await sleep(1000 + random() * 2500);
      if (random() < 0.6) {
        await broker.start();
        await sleep(random() * 400);
      }
    }
    producer.child.kill("SIGKILL");
    await producer.ended;
    next = await feeding;
    if (broker.pid === undefined || !(await isUp(broker))) await broker.start();
  }
  const last = startPcapts(line.split(" "), {
    input: Buffer.concat([FILE_HEADER, numberedFrames(next, 100, 37).bytes]),
  });
  const ended = await last.ended;
  assert.equal(ended.status, 0, `seed ${seed}: ${ended.stderr}`);
  const ledger: Ledger = readLedger(ended.stderr);
  assert.equal(ledger.acknowledged, ledger.found + 100, `seed ${seed}`);
  assert.equal(ledger.spooled, 0);
  return { ...(await check(broker.port, topic, next, seed)), drained: ledger.found };
}

async function isUp(broker: BrokerProcess): Promise<boolean> {
  try {
    const way = await connectTo(broker.port);
    await way.close();
    return true;
  } catch {
    return false;
  }
}

/** Writes frames until nobody reads them. @returns number of the first that was certainly not read */
async function feed(
  child: { stdin: Writable; killed: boolean },
  first: number,
  random: () => number,
): Promise<number> {
  let next = first;
  const { stdin } = child;
  let wake = (): void => {};
  stdin.on("drain", () => wake());
  stdin.on("close", () => wake());
  while (!stdin.destroyed && !child.killed) {
    const count = 1 + Math.floor(random() * 400);
    const taken = stdin.write(numberedFrames(next, count, 37).bytes);
    next += count;
    if (!taken && !stdin.destroyed) await new Promise<void>((resolve) => (wake = resolve));
    await sleep(1);
  }
  return next;
}

async function check(
  port: number,
  topic: string,
  next: number,
  seed: number,
): Promise<{ frames: number; missing: number }> {
  const way = await connectTo(port);
  try {
    const found = await way.lookUpTopic(topic);
    assert.ok("leaders" in found);
    const partitions = await readTopic(way, {
      name: topic,
      leaders: found.leaders,
      maxMessageBytes: undefined,
      retentionMs: undefined,
    });
    const logged = numbersOf(partitions);
    for (const [partition, numbers] of logged.entries()) {
      const sorted = numbers.toSorted((a, b) => a - b);
      assert.deepEqual(numbers, sorted, `seed ${seed}: order of partition ${partition}`);
      assert.equal(new Set(numbers).size, numbers.length, `seed ${seed}: once, in ${partition}`);
    }
    const all = new Set(logged.flat());
    for (let number = next; number < next + 100; number++) {
      assert.ok(all.has(number), `seed ${seed}: frame ${number} of the last run`);
    }
    return { frames: all.size, missing: next + 100 - all.size };
  } finally {
    await way.close();
  }
}
