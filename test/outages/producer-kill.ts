import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { encodePcap } from "../../src/capture-file/pcap-writer.ts";
import type { BrokerProcess } from "../embedded-broker.ts";
import { createTopic, randomTopicName } from "../brokers.ts";
import { readLedger, startPcapts } from "../integration/pcapts-process.ts";
import { assertAcknowledgedOnce, numbersOf } from "../kafka/delivered-frames.ts";
import { connectTo, type PartitionContent, readTopicAt } from "../kafka/faulty-broker.ts";
import { numberedFrames, randomFrom } from "../kafka/numbered-frames.ts";
import { FedProducer } from "./fed-producer.ts";
import type { RoundResult } from "./round-result.ts";

const LAST_FRAMES = 100;

/** What came of a round of kills. */
export interface KillResult extends RoundResult {
  /** Frames that the last producer found in the spool. */
  readonly drained: number;
}

/**
 * A producer is fed numbered frames, the broker goes and comes, and the producer
 * is killed with -9 in the middle; then another one is killed while it drains;
 * then a last one drains the rest.
 *
 * What the killed ones had in memory alone is lost: a gap at the place where each
 * was killed. What Kafka or the spool had is there once, in order, and so is all
 * that was printed as delivered.
 *
 * @param spoolPath undefined: without a spool
 */
export async function killProducers(
  broker: BrokerProcess,
  spoolPath: string | undefined,
  seed: number,
): Promise<KillResult> {
  const random = randomFrom(seed);
  const topic = randomTopicName("killed");
  await createTopic(broker.bootstrap, topic, { partitions: 3 });
  const line = [
    `-p -k ${broker.bootstrap} -t ${topic} --flush-timeout 60 -pp ${PRINT_EVERY} --pretty-print-format line`,
    "-X batch.size=3000 -X queue.buffering.max.kbytes=300 -X retry.backoff.ms=5 -X retry.backoff.max.ms=50",
    ...(spoolPath === undefined ? [] : [`--spool-dir ${spoolPath}`]),
  ];
  const args = line.join(" ").split(" ");
  const what = `seed ${seed}`;
  const printed: Printed[] = [];
  const begins = [0];
  let faults = 0;
  let peakMegabytes = 0;
  while (begins.length < 3) {
    const producer = await FedProducer.start(args, begins.at(-1)!, random);
    await sleep(random() * 300);
    if (random() < 0.7) {
      faults++;
      await broker.kill(random() < 0.5 ? "SIGKILL" : "SIGTERM");
      await sleep(1000 + random() * 1500);
      if (random() < 0.6) {
        await broker.start();
        await sleep(random() * 400);
      }
    }
    faults++;
    await producer.kill();
    peakMegabytes = Math.max(peakMegabytes, producer.peakMegabytes);
    printed.push(...readPrinted(producer.process.stdout.toString()));
    begins.push(producer.next);
    if (!(await isUp(broker))) await broker.start();
  }
  const next = begins.at(-1)!;
  const last = startPcapts([...args, "-r", "-"], {
    input: Buffer.concat([encodePcap([]), numberedFrames(next, LAST_FRAMES, 37).bytes]),
  });
  const ended = await last.ended;
  assert.equal(ended.status, 0, `${what}: ${ended.stderr}`);
  const { acknowledged, found, spooled } = readLedger(ended.stderr);
  assert.equal(acknowledged, found + LAST_FRAMES, what);
  assert.equal(spooled, 0);
  printed.push(...readPrinted(ended.stdout.toString()));

  const content = await readTopicAt([broker.port], topic);
  const frames = next + LAST_FRAMES;
  const ofLastRun = Array.from({ length: LAST_FRAMES }, (_, n) => next + n);
  assertAcknowledgedOnce(content, ofLastRun, Infinity, what);
  assertPrinted(content, printed, what);
  if (spoolPath === undefined) assertOnlyEndsAreMissing(content, begins, what);
  const logged = content.reduce((sum, { values }) => sum + values.length, 0);
  return {
    frames,
    faults,
    acknowledged: logged,
    lost: frames - logged,
    resends: undefined,
    peakMegabytes,
    drained: found,
  };
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

/** Every frame would be more text than frames. */
const PRINT_EVERY = 10;

/** A delivery as a producer printed it. */
interface Printed {
  readonly micros: number;
  readonly partition: number;
  readonly offset: number;
}

function readPrinted(stdout: string): Printed[] {
  const lines = stdout.matchAll(
    /Packet delivered\[\d+\]: date=\S+ \S+\.(\d{6}) topic=\S+ partition=(\d+) offset=(-?\d+) len=\d+\n/g,
  );
  return [...lines].map(([, micros, partition, offset]) => ({
    micros: Number(micros),
    partition: Number(partition),
    offset: Number(offset),
  }));
}

/** What was printed as delivered is where it was said to be. */
function assertPrinted(
  content: readonly PartitionContent[],
  printed: readonly Printed[],
  what: string,
): void {
  assert.ok(printed.length > 0, `${what}: no delivery was printed`);
  const numbers = numbersOf(content);
  for (const { micros, partition, offset } of printed) {
    // A broker that had the batch before does not say where.
    if (offset < 0) continue;
    const number = numbers[partition]![offset];
    assert.equal(number! % 1_000_000, micros, `${what}: partition ${partition}, offset ${offset}`);
  }
}

/**
 * Without a spool the log has the beginning of what each process was given, up to
 * somewhere: nothing is missing before something that is there.
 *
 * @param begins number of the first frame of each process
 */
function assertOnlyEndsAreMissing(
  content: readonly PartitionContent[],
  begins: readonly number[],
  what: string,
): void {
  for (const numbers of numbersOf(content)) {
    const flows = new Set(numbers.map((number) => number % 37));
    const logged = new Set(numbers);
    for (const [run, begin] of begins.entries()) {
      const end = begins[run + 1] ?? Infinity;
      const last = Math.max(-1, ...lastOf(numbers, begin, end));
      for (let number = begin; number < last; number++) {
        if (!flows.has(number % 37)) continue;
        assert.ok(logged.has(number), `${what}: ${number} is missing before ${last}`);
      }
    }
  }
}

function lastOf(numbers: readonly number[], begin: number, end: number): number[] {
  const last = numbers.findLast((number) => number >= begin && number < end);
  return last === undefined ? [] : [last];
}
