import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import kafkajs from "kafkajs";
import { generateCapture } from "../../bench/generate-capture.ts";
import { createTopic, randomTopicName, sharedBroker, startBroker } from "../brokers.ts";
import { assertSameFrames, assertSameOrderInFlows, readCapture } from "../capture-frames.ts";
import type { CapturedFrame } from "../capture-frames.ts";
import { encodePcap } from "../../src/capture-file/pcap-writer.ts";
import { consume, eventually, readLedger, runPcapts, startPcapts } from "./pcapts-process.ts";

const { ConfigResourceTypes, Kafka, logLevel } = kafkajs;

const directory = await mkdtemp(path.join(tmpdir(), "pcapts-faults-"));
process.on("exit", () => void rm(directory, { recursive: true, force: true }));

function generate(name: string, frames: number): string {
  const file = path.join(directory, name);
  generateCapture(file, { frames });
  return file;
}

/** The frames as a capture file, with other times for some of them. */
function encodeWithTimes(
  frames: readonly CapturedFrame[],
  secondsOf: (index: number) => number,
): Buffer {
  return encodePcap(
    frames.map(({ bytes, fraction, wireLength }, index) => ({
      bytes,
      wireLength,
      timestampNs: BigInt(secondsOf(index)) * 1_000_000_000n + BigInt(fraction) * 1000n,
    })),
  );
}

test("records whose time the broker refuses are counted, and all others are there once and in order", async () => {
  const { bootstrap } = await sharedBroker();
  const topic = randomTopicName();
  await createTopic(bootstrap, topic, {
    partitions: 2,
    config: { "message.timestamp.after.max.ms": "3600000" },
  });
  const { frames } = readCapture(await readFile(generate("times.pcap", 20_000)));
  const now = Math.floor(Date.now() / 1000);
  const isRefused = (index: number): boolean => index % 1997 === 1000;
  const capture = encodeWithTimes(frames, (index) => (isRefused(index) ? now + 7200 : now - 60));

  const ended = await runPcapts(
    // Small batches: five are in flight when one is refused.
    `-p -k ${bootstrap} -t ${topic} -r - --record-timestamp capture -X batch.size=20000`.split(" "),
    { input: capture },
  );

  const sent = readCapture(capture).frames;
  const kept = sent.filter((_, index) => !isRefused(index));
  const ledger = readLedger(ended.stderr);
  assert.equal(ledger.captured, 20_000);
  assert.equal(ledger.acknowledged, kept.length);
  assert.equal(ledger.failed, sent.length - kept.length);
  assert.equal(ended.status, 1);
  const future = new Date((now + 7200) * 1000).toISOString().slice(0, 19);
  assert.match(ended.stderr, /INVALID_TIMESTAMP/);
  assert.match(ended.stderr, new RegExp(`record time ${future}.*clock here 20`));
  const logged = readCapture(await consume(bootstrap, topic)).frames;
  assertSameFrames(logged, kept);
  assertSameOrderInFlows(logged, kept);
});

test("a topic whose limit is lowered during the run takes all frames that are below it, once and in order", async () => {
  const { bootstrap } = await sharedBroker();
  const topic = randomTopicName();
  await createTopic(bootstrap, topic, { partitions: 1 });
  const { frames } = readCapture(await readFile(generate("limit.pcap", 10_000)));
  const large = Buffer.alloc(30_000, 7);
  frames[5000]!.bytes.copy(large);
  const list = frames.map((frame, index) =>
    index === 5000 ? { ...frame, bytes: large, capturedLength: 30_000, wireLength: 30_000 } : frame,
  );
  const capture = encodeWithTimes(list, (index) => list[index]!.seconds);
  const firstPart = 24 + 16 + list[0]!.capturedLength;

  const producer = startPcapts(["-p", "-k", bootstrap, "-t", topic, "-r", "-"]);
  producer.child.stdin.write(capture.subarray(0, firstPart));
  await producer.says(/Starting packet capture/);
  await lowerMaxMessageBytes(bootstrap, topic, 20_000);
  producer.child.stdin.end(capture.subarray(firstPart));
  const ended = await producer.ended;

  assert.equal(ended.status, 1);
  assert.match(ended.stderr, /MESSAGE_TOO_LARGE.*broker's max\.message\.bytes/);
  const ledger = readLedger(ended.stderr);
  assert.equal(ledger.failed, 1);
  const kept = readCapture(capture).frames.filter((_, index) => index !== 5000);
  assert.equal(ledger.acknowledged, kept.length);
  const logged = readCapture(await consume(bootstrap, topic)).frames;
  assertSameFrames(logged, kept);
  assertSameOrderInFlows(logged, kept);
});

async function lowerMaxMessageBytes(
  bootstrap: string,
  topic: string,
  bytes: number,
): Promise<void> {
  const admin = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  await admin.alterConfigs({
    validateOnly: false,
    resources: [
      {
        type: ConfigResourceTypes.TOPIC,
        name: topic,
        configEntries: [{ name: "max.message.bytes", value: String(bytes) }],
      },
    ],
  });
  await eventually("the lower limit", async () => {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [
        { type: ConfigResourceTypes.TOPIC, name: topic, configNames: ["max.message.bytes"] },
      ],
    });
    return resources[0]!.configEntries[0]!.configValue === String(bytes);
  });
  await admin.disconnect();
}

test("a broker that is killed and started again during a publish has every frame once and in order", async () => {
  const broker = await startBroker();
  try {
    const { bootstrap } = broker;
    const topic = randomTopicName();
    await createTopic(bootstrap, topic, { partitions: 3 });
    const file = generate("killed.pcap", 100_000);
    const capture = await readFile(file);
    const producer = startPcapts(
      `-p -k ${bootstrap} -t ${topic} -r - -ll DEBUG -X batch.size=50000`.split(" "),
    );
    // A third goes through, the next is written while the broker dies, the last while it is back.
    const third = Math.floor(capture.length / 3);
    producer.child.stdin.write(capture.subarray(0, third));
    await producer.says(/Starting packet capture/);
    producer.child.stdin.write(capture.subarray(third, 2 * third));
    await broker.kill();
    await producer.says(/trying again/);
    await broker.start();
    producer.child.stdin.end(capture.subarray(2 * third));
    const ended = await producer.ended;

    const sent = readCapture(capture).frames;
    assert.equal(ended.status, 0, ended.stderr.slice(-2000));
    assert.equal(readLedger(ended.stderr).acknowledged, sent.length);
    const logged = readCapture(await consume(bootstrap, topic)).frames;
    assertSameFrames(logged, sent);
    assertSameOrderInFlows(logged, sent);
  } finally {
    await broker.remove();
  }
});
