import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { CompressionTypes, Kafka, logLevel, type Message, type Producer } from "kafkajs";
import { createTopic, randomTopicName, sharedBroker } from "../brokers.ts";
import { type CapturedFrame, readCapture, wholeFrames } from "../capture-frames.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { committedOffsets } from "./group-offsets.ts";
import { runProgram } from "./other-programs.ts";
import {
  assertNoStackTrace,
  publish,
  readConsumedCounts,
  runPcapts,
  startPcapts,
  succeedPcapts,
} from "./pcapts-process.ts";

/*
 * A topic that others write to as well, with kafkajs as the others: what is no frame is counted and
 * passed over, and neither order nor offsets nor files care. test/integration/other-clients.test.ts
 * has the reasons one by one.
 */

const FIRST_SECOND = 1_700_000_000;
const FRAMES = 600;
const FOREIGN_ALONE = 3000;

/** The frames are old enough to be deleted. */
const KEPT = { "retention.ms": -1 };

const scratch = mkdtempSync(path.join(tmpdir(), "pcapts-foreign-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

let kafka: Kafka;
let bootstrap: string;
let others: Producer;
/** Partition 0 has no frame at all, 1 has all kinds of strangers between its frames, 2 transactions. */
let topic: string;
let foreign = 0;
before(async () => {
  ({ bootstrap } = await sharedBroker());
  kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING });
  others = kafka.producer();
  await others.connect();
  topic = randomTopicName("neighbours");
  await createTopic(bootstrap, topic, {
    partitions: 4,
    config: { ...KEPT, "max.message.bytes": 3_000_000 },
  });
  await fillTopic();
});
after(async () => {
  await others.disconnect();
});

/** Frame number `n`, captured `n` milliseconds after the first. */
function frameRecord(n: number): Message & { key: Buffer; value: Buffer } {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(BigInt(FIRST_SECOND) * 1_000_000n + BigInt(n) * 1000n);
  const timestamp = String(FIRST_SECOND * 1000 + n);
  return { key, value: buildUdpFrame(n, 80), timestamp };
}

function numbers(from: number, step = 1): number[] {
  return Array.from({ length: Math.ceil((FRAMES - from) / step) }, (_, n) => from + n * step);
}

const json = (n: number): Message => ({ value: JSON.stringify({ order: n, text: "none" }) });

async function send(to: string, partition: number, messages: readonly Message[]): Promise<void> {
  const records = messages.map((message) => ({ ...message, partition }));
  await others.send({ topic: to, messages: records });
}

async function fillTopic(): Promise<void> {
  await others.sendBatch({
    compression: CompressionTypes.GZIP,
    topicMessages: [
      {
        topic,
        messages: Array.from({ length: FOREIGN_ALONE }, (_, n) => ({
          ...json(n),
          // Eight bytes as well, but no time that a file can hold.
          ...(n % 3 === 0 && { key: `order-${10 + (n % 90)}` }),
          partition: 0,
        })),
      },
    ],
  });
  foreign += FOREIGN_ALONE;

  const strangers: readonly Message[] = [
    json(1),
    { key: "x", value: buildUdpFrame(1, 80) },
    { key: frameRecord(1).key, value: null },
    { key: "tombstone", value: null },
    { value: Buffer.alloc(1_000_000, "{") },
    { key: frameRecord(1).key, value: Buffer.alloc(300_000) },
  ];
  const mixed = numbers(0, 3).flatMap((n) => [
    frameRecord(n),
    ...(n % 30 === 0 ? strangers.slice(0, 4) : []),
    ...(n % 300 === 0 ? strangers.slice(4) : []),
  ]);
  foreign += mixed.length - numbers(0, 3).length;
  for (let at = 0; at < mixed.length; at += 60) await send(topic, 1, mixed.slice(at, at + 60));

  const own = kafka.producer({ transactionalId: topic, maxInFlightRequests: 1, idempotent: true });
  await own.connect();
  const mine = numbers(1, 3);
  for (let at = 0; at < mine.length; at += 50) {
    const wanted = mine.slice(at, at + 25).map(frameRecord);
    const dropped = mine.slice(at, at + 25).map((n) => frameRecord(n + 10_000));
    const aborted = await own.transaction();
    const inPartition = (messages: readonly Message[]): Message[] =>
      messages.map((message) => ({ ...message, partition: 2 }));
    await aborted.send({ topic, messages: inPartition(dropped) });
    // Of nobody's transaction, in the middle of it.
    await send(topic, 2, wanted);
    await aborted.send({ topic, messages: inPartition([...dropped, json(at)]) });
    await aborted.abort();
    const committed = await own.transaction();
    const rest = mine.slice(at + 25, at + 50).map(frameRecord);
    await committed.send({ topic, messages: inPartition([...rest, json(at)]) });
    await committed.commit();
    foreign++;
  }
  await own.disconnect();

  const withHeaders = numbers(2, 3).map((n) => ({
    ...frameRecord(n),
    headers: { traceparent: `00-${n}`, empty: "", origlen: "80" },
    partition: 3,
  }));
  await others.send({ topic, compression: CompressionTypes.GZIP, messages: withHeaders });
}

/** Numbers of the frames of a file, by their capture times. */
function numbersOf(frames: readonly CapturedFrame[]): number[] {
  return frames.map(({ seconds, fraction, bytes }) => {
    const n = (seconds - FIRST_SECOND) * 1000 + fraction / 1000;
    assert.ok(bytes.equals(buildUdpFrame(n, 80)), `frame ${n}`);
    return n;
  });
}

function ascending(frames: readonly number[]): number[] {
  return frames.toSorted((a, b) => a - b);
}

const reading = (of: string, ...args: readonly string[]): string[] =>
  ["-c", "-k", bootstrap, "-t", of, "-o", "begin"].concat(args);

const warningsOf = (stderr: string): string[] =>
  stderr.split("\n").filter((line) => / (WARN|ERROR): /.test(line));

test("frames come in order from between strangers, which are counted, and reported once", async () => {
  const { status, stdout, stderr } = await runPcapts(reading(topic, "-e"));
  assert.equal(status, 0, stderr);
  assert.deepEqual(numbersOf(readCapture(stdout).frames), numbers(0));
  const counts = { read: FRAMES + foreign, written: FRAMES, notFrames: foreign, otherLinkType: 0 };
  assert.deepEqual(readConsumedCounts(stderr), counts);
  const warnings = warningsOf(stderr);
  assert.equal(warnings.length, 1, stderr);
  assert.match(warnings[0]!, new RegExp(`"${topic}", partition \\d, offset \\d+ is not a frame`));
  assertNoStackTrace(stderr);
});

test("aborted frames are there with isolation.level=read_uncommitted alone", async () => {
  const line = reading(topic, "-e", "-X", "isolation.level=read_uncommitted");
  const { stdout } = await succeedPcapts(line);
  const found = numbersOf(readCapture(stdout).frames);
  assert.deepEqual(
    found.filter((n) => n < FRAMES),
    numbers(0),
  );
  // Each aborted transaction has them twice.
  assert.equal(found.length - FRAMES, FRAMES / 3);
});

test("a group passes over strangers: -m and -e share the frames, and the offsets are those of the ends", async () => {
  const group = randomTopicName("group");
  const folder = mkdtempSync(path.join(scratch, "group-"));
  const file = path.join(folder, "ring.pcap");
  const line = reading(topic, "-X", `group.id=${group}`, "-w", file, "-b", "packets:70");
  await succeedPcapts([...line, "-m", "100"]);
  await succeedPcapts([...line, "-m", "50"]);
  await succeedPcapts([...line, "-e"]);
  const written = readdirSync(folder)
    .filter((name) => !name.endsWith(".offsets"))
    .flatMap((name) => readCapture(readFileSync(path.join(folder, name))).frames);
  assert.deepEqual(ascending(numbersOf(written)), numbers(0));

  const admin = kafka.admin();
  await admin.connect();
  const ends = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  const byPartition = (offsets: readonly { partition: number; offset: number | string }[]) =>
    Object.fromEntries(offsets.map(({ partition, offset }) => [partition, Number(offset)]));
  assert.deepEqual(byPartition(await committedOffsets(bootstrap, group, topic)), byPartition(ends));
  const { stderr } = await succeedPcapts([...line, "-e"]);
  assert.equal(readConsumedCounts(stderr).read, 0);
});

for (const [what, args] of [
  ["a pipe", []],
  ["a member's pipe", ["-X", "group.id=GROUP"]],
  ["text", ["-pp", "1", "--pretty-print-format", "line"]],
] as const) {
  test(`a partition into which only strangers are written does not keep the frames of others from ${what}`, async () => {
    const busy = randomTopicName("busy");
    await createTopic(bootstrap, busy, { partitions: 2, config: KEPT });
    await send(busy, 1, numbers(0).map(frameRecord));
    const group = randomTopicName("group");
    const consumer = startPcapts(reading(busy, ...args.map((arg) => arg.replace("GROUP", group))));
    const countOf = (bytes: Buffer): number => {
      if (args[0] === "-pp") return [...bytes.toString().matchAll(/^Packet\[/gm)].length;
      return bytes.length < 24 ? 0 : wholeFrames(bytes).length;
    };
    const isThere = new AbortController();
    const strangers = (async (): Promise<void> => {
      while (!isThere.signal.aborted) await send(busy, 0, [json(1), json(2)]);
    })();
    await consumer
      .writes((bytes) => countOf(bytes) === FRAMES, 60_000)
      .finally(async () => {
        isThere.abort();
        await strangers;
      });
    consumer.child.kill("SIGTERM");
    const { status, stderr } = await consumer.ended;
    assert.equal(status, 0, stderr);
    assert.equal(warningsOf(stderr).length, 1, stderr);
  });
}

test("a reader of --listen gets the frames alone", async () => {
  const server = startPcapts(reading(topic, "-e", "--listen", "127.0.0.1:0"));
  const [, port = ""] = await server.says(/Serving topic ".*" at .*:(\d+) as /, 60_000);
  const { stdout } = await runProgram(["nc", "-d", "127.0.0.1", port]);
  server.child.kill("SIGTERM");
  const { status, stderr } = await server.ended;
  assert.deepEqual(numbersOf(readCapture(stdout).frames), numbers(0));
  assert.equal(status, 0, stderr);
  assert.equal(readConsumedCounts(stderr).notFrames, foreign);
  assert.equal(warningsOf(stderr).length, 1, stderr);
});

test("--from and --to choose by capture time where the broker stamps the records", async () => {
  const stamped = randomTopicName("stamped");
  const config = { ...KEPT, "message.timestamp.type": "LogAppendTime" };
  await createTopic(bootstrap, stamped, { config });
  const records = numbers(0).flatMap((n) => [frameRecord(n), ...(n % 50 === 0 ? [json(n)] : [])]);
  await send(stamped, 0, records);
  const time = (n: number): string => new Date(FIRST_SECOND * 1000 + n).toISOString();
  const line = ["-c", "-k", bootstrap, "-t", stamped, "--from", time(100), "--to", time(300)];
  const { stdout } = await succeedPcapts(line);
  const expected = numbers(0).filter((n) => n >= 100 && n < 300);
  assert.deepEqual(numbersOf(readCapture(stdout).frames), expected);
});

test("strangers in a topic and among its books are nothing to pcapts audit", async () => {
  const audited = randomTopicName("audited");
  const books = `${audited}-ledger`;
  const frames = numbers(0).map((n) => ({ bytes: frameRecord(n).value }));
  for (const topicOf of [audited, books]) await createTopic(bootstrap, topicOf, { config: KEPT });
  for (const topicOf of [audited, books]) await send(topicOf, 0, [json(0), { value: null }]);
  await publish(bootstrap, audited, buildCapture({ frames }), "--ledger-topic", books);
  for (const topicOf of [audited, books]) await send(topicOf, 0, [json(1), { value: null }]);
  const line = ["audit", "-k", bootstrap, "-t", audited, "--ledger-topic", books];
  const { stdout } = await succeedPcapts(line);
  assert.match(stdout.toString(), /complete/);
});
