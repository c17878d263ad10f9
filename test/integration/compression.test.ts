import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { generateCapture } from "../../bench/generate-capture.ts";
import { encodeFetch } from "../../src/kafka-wire/fetch.ts";
import { readRecordBatchHeader } from "../../src/kafka-wire/record-batch-reader.ts";
import { createTransport } from "../../src/kafka/transport.ts";
import { silentLogger } from "../../src/logger.ts";
import { cacheDirectory, createTopic, randomTopicName, sharedBroker } from "../brokers.ts";
import { assertSameFrames, assertSameOrderInFlows, readCapture } from "../capture-frames.ts";
import { buildCapture } from "../fixtures/generate.ts";
import { runProgram, runPython } from "./other-programs.ts";
import { consume, publish, readLedger, runPcapts } from "./pcapts-process.ts";

const CODECS = ["gzip", "snappy", "lz4", "zstd"] as const;
const LARGE_FRAMES = 180_000;
const SMALL_FRAMES = 3_000;

let bootstrap: string;
let scratch: string;
let large: string;
let small: string;
before(async () => {
  ({ bootstrap } = await sharedBroker());
  scratch = mkdtempSync(path.join(tmpdir(), "pcapts-compression-"));
  large = path.join(scratch, "large.pcap");
  small = path.join(scratch, "small.pcap");
  generateCapture(large, { frames: LARGE_FRAMES });
  generateCapture(small, { frames: SMALL_FRAMES, flows: 20 });
});
after(() => rmSync(scratch, { recursive: true, force: true }));

async function newTopic(config: Readonly<Record<string, string>> = {}): Promise<string> {
  const topic = randomTopicName();
  await createTopic(bootstrap, topic, { config });
  return topic;
}

/** Codecs of the batches that a topic of one partition begins with, as they are in its log. */
async function storedCodecs(topic: string): Promise<Set<string>> {
  const [host = "", port] = bootstrap.split(":");
  const transport = createTransport(
    {
      brokers: [{ host, port: Number(port) }],
      clientId: "pcapts-test",
      connectTimeoutMs: 10_000,
      connectionSetupTimeoutMs: 10_000,
      requestTimeoutMs: 10_000,
      retryBackoffMs: 50,
      retryBackoffMaxMs: 200,
    },
    silentLogger,
  );
  try {
    await transport.connect();
    const found = await transport.lookUpTopic(topic);
    assert.ok("leaders" in found);
    const connection = await transport.connectionTo(found.leaders[0]!, "requests");
    const { bytes, partitions } = await connection.send(
      encodeFetch(connection.versionOf("Fetch"), topic, [{ partition: 0, offset: 0n }], {
        maxWaitMs: 100,
        minBytes: 1,
        maxBytes: 1 << 24,
        maxPartitionBytes: 1 << 24,
        readCommitted: false,
      }),
    );
    const codecs = new Set<string>();
    const { recordsStart, recordsEnd } = partitions[0]!;
    for (let at = recordsStart; at < recordsEnd;) {
      const header = readRecordBatchHeader(bytes, at, recordsEnd, true);
      if (header === undefined) break;
      codecs.add(header.compression);
      at = header.recordsEnd;
    }
    return codecs;
  } finally {
    await transport.close();
  }
}

/** Prints "key-hex value-hex" of every record of a topic of one partition. */
const READER = `
import sys
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
bootstrap, topic = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False,
                     "enable.partition.eof": True, "check.crcs": True})
consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
while True:
    message = consumer.poll(20)
    if message is None:
        sys.exit("nothing came for 20 s")
    if message.error():
        if message.error().code() == KafkaError._PARTITION_EOF:
            break
        sys.exit(str(message.error()))
    print(message.key().hex(), message.value().hex())
consumer.close()
`;

/** Publishes the frames of a capture file, the key packed as microseconds. */
const WRITER = `
import struct, sys
from confluent_kafka import Producer
bootstrap, topic, codec, capture = sys.argv[1:]
producer = Producer({"bootstrap.servers": bootstrap, "compression.codec": codec, "linger.ms": 50,
                     "queue.buffering.max.messages": 1000000})
data = open(capture, "rb").read()
at = 24
while at < len(data):
    seconds, micros, captured, wire = struct.unpack_from("<IIII", data, at)
    frame = data[at + 16:at + 16 + captured]
    producer.produce(topic, partition=0, key=struct.pack(">Q", seconds * 1000000 + micros), value=frame)
    at += 16 + captured
if producer.flush(30) > 0:
    sys.exit("not everything was delivered")
`;

/** What another client has to see of a capture: "key-hex value-hex" of each frame. */
function recordsOf(capture: string): string[] {
  const data = readFileSync(capture);
  const records: string[] = [];
  for (let at = 24; at < data.length;) {
    const end = at + 16 + data.readUInt32LE(at + 8);
    const micros = BigInt(data.readUInt32LE(at)) * 1_000_000n + BigInt(data.readUInt32LE(at + 4));
    const key = micros.toString(16).padStart(16, "0");
    records.push(`${key} ${data.toString("hex", at + 16, end)}`);
    at = end;
  }
  return records;
}

describe("compression", { concurrency: 2 }, () => {
  for (const codec of CODECS) {
    test(`a capture of 180,000 frames comes back whole through ${codec}`, async () => {
      const topic = randomTopicName();
      const produced = await publish(bootstrap, topic, large, "-X", `compression.codec=${codec}`);
      assert.equal(readLedger(produced.stderr).acknowledged, LARGE_FRAMES);
      assert.deepEqual([...(await storedCodecs(topic))], [codec]);
      const [sent, received] = [readFileSync(large), await consume(bootstrap, topic)].map(
        (file) => readCapture(file).frames,
      );
      assert.equal(received!.length, LARGE_FRAMES);
      assertSameOrderInFlows(received!, sent!);
    });

    test(`librdkafka and kcat read what was compressed with ${codec}`, async () => {
      const topic = await newTopic();
      await publish(bootstrap, topic, small, "-X", `compression.type=${codec}`);
      assert.deepEqual([...(await storedCodecs(topic))], [codec]);
      const expected = recordsOf(small);
      const seen = (await runPython(READER, bootstrap, topic)).trim().split("\n");
      assert.deepEqual(seen, expected);
      const { stdout } = await runProgram(
        ["kcat", "-C", "-q", "-e", "-b", bootstrap, "-t", topic, "-o", "beginning"].concat([
          "-X",
          "check.crcs=true",
          "-f",
          "%S\n",
        ]),
      );
      const lengths = expected.map((record) => (record.length - 17) / 2);
      assert.deepEqual(stdout.toString().trim().split("\n").map(Number), lengths);
    });

    test(`what librdkafka compressed with ${codec} is read`, async () => {
      const topic = await newTopic();
      await runPython(WRITER, bootstrap, topic, codec, small);
      assert.deepEqual([...(await storedCodecs(topic))], [codec]);
      assert.ok((await consume(bootstrap, topic)).equals(readFileSync(small)));
    });

    test(`what kcat -z ${codec} compressed is read`, async () => {
      const topic = await newTopic();
      const lines = textRecords(500);
      await runProgram(
        ["kcat", "-P", "-b", bootstrap, "-t", topic, "-p", "0", "-z", codec, "-K", "\t"],
        lines.map(({ key, value }) => `${key}\t${value}\n`).join(""),
      );
      assert.deepEqual([...(await storedCodecs(topic))], [codec]);
      assertTextRecords(await consume(bootstrap, topic, "--linktype", "1"), lines);
    });

    test(`what the Java client compressed with ${codec} is read, and it reads ours`, async () => {
      const topic = await newTopic();
      const lines = textRecords(500);
      await runJava(
        "org.apache.kafka.tools.ConsoleProducer",
        ["--compression-codec", codec, "--topic", topic, "--batch-size", "100000"].concat([
          "--timeout",
          "500",
          "--reader-property",
          "parse.key=true",
        ]),
        lines.map(({ key, value }) => `${key}\t${value}\n`).join(""),
      );
      assert.deepEqual([...(await storedCodecs(topic))], [codec]);
      const output = await consume(bootstrap, topic);
      assertTextRecords(output, lines);

      const ours = await newTopic();
      await publish(bootstrap, ours, output, "-X", `compression.codec=${codec}`);
      assert.deepEqual([...(await storedCodecs(ours))], [codec]);
      const seen = await runJava("org.apache.kafka.tools.consumer.ConsoleConsumer", [
        "--topic",
        ours,
        "--from-beginning",
        "--max-messages",
        String(lines.length),
      ]);
      assert.deepEqual(
        seen.trim().split("\n"),
        lines.map(({ value }) => value),
      );
    });
  }

  test("a broker that compresses anew itself gives the same frames", async () => {
    for (const codec of ["none", "lz4", "gzip"]) {
      const topic = await newTopic({ "compression.type": "gzip" });
      await publish(bootstrap, topic, small, "-X", `compression.codec=${codec}`);
      assert.deepEqual([...(await storedCodecs(topic))], ["gzip"]);
      assert.ok((await consume(bootstrap, topic)).equals(readFileSync(small)));
    }
  });

  test("batches of every codec in one partition are read in their order", async () => {
    const topic = await newTopic();
    for (const codec of ["none", ...CODECS, "none"]) {
      await publish(bootstrap, topic, small, "-X", `compression.codec=${codec}`);
    }
    assert.deepEqual([...(await storedCodecs(topic))].toSorted(), ["none", ...CODECS].toSorted());
    const { frames } = readCapture(readFileSync(small));
    const received = readCapture(await consume(bootstrap, topic, "--unordered")).frames;
    for (let n = 0; n < 6; n++) {
      assertSameFrames(received.slice(n * frames.length, (n + 1) * frames.length), frames);
    }
    assert.equal(received.length, 6 * frames.length);
  });

  test("a topic's max.message.bytes is held against what is compressed", async () => {
    const topic = await newTopic({ "max.message.bytes": "20000" });
    const produced = await publish(bootstrap, topic, small, "-X", "compression.codec=zstd");
    assert.equal(readLedger(produced.stderr).acknowledged, SMALL_FRAMES);
    assert.ok((await consume(bootstrap, topic)).equals(readFileSync(small)));

    const zeros = buildCapture({ frames: [{ bytes: Buffer.alloc(60_000) }] });
    const refused = await runPcapts(["-p", "-k", bootstrap, "-t", topic, "-r", "-"], {
      input: zeros,
    });
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /60000 bytes is above the broker's max\.message\.bytes \(20000\)/);
    await publish(bootstrap, topic, zeros, "-X", "compression.codec=zstd");
    const { frames } = readCapture(await consume(bootstrap, topic, "--unordered"));
    assert.ok(frames.at(-1)!.bytes.equals(Buffer.alloc(60_000)));
  });
});

/** Records that programs for lines of text can write: their keys are times in 2017. */
function textRecords(count: number): { key: string; value: string }[] {
  return Array.from({ length: count }, (_, n) => ({
    key: `\u0000\u0005UVWX${String.fromCharCode(0x30 + Math.floor(n / 64), 0x30 + (n % 64))}`,
    value: `line ${n} ${"of a text that compresses well, ".repeat(5)}and ends.`,
  }));
}

function assertTextRecords(
  file: Buffer,
  lines: readonly { readonly key: string; readonly value: string }[],
): void {
  const { frames } = readCapture(file);
  assert.deepEqual(
    frames.map(({ bytes }) => bytes.toString()),
    lines.map(({ value }) => value),
  );
}

async function runJava(
  mainClass: string,
  args: readonly string[],
  input: Buffer | string = "",
): Promise<string> {
  const command = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-cp"];
  command.push(path.join(cacheDirectory, "kafka-4.3.0", "*"), mainClass);
  command.push("--bootstrap-server", bootstrap, ...args);
  return (await runProgram(command, input)).stdout.toString();
}
