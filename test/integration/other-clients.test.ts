import assert from "node:assert/strict";
import { hostname } from "node:os";
import { before, describe, test } from "node:test";
import { createTopic, randomTopicName, sharedBroker } from "../brokers.ts";
import { assertSameFrames, readCapture } from "../capture-frames.ts";
import { buildCapture, buildUdpFrame, type TestFrame } from "../fixtures/generate.ts";
import { runProgram, runPython } from "./other-programs.ts";
import {
  assertNoStackTrace,
  consume,
  publish,
  readConsumedCounts,
  runPcapts,
} from "./pcapts-process.ts";

/** One record as another client sees it. */
interface SeenRecord {
  readonly offset: number;
  readonly key: Buffer;
  readonly value: Buffer;
  readonly timestampMs: number;
  /** `name=value`, separated by commas. */
  readonly headers: string;
}

const FIRST_SECOND = 1_700_000_000;

let bootstrap: string;
before(async () => {
  ({ bootstrap } = await sharedBroker());
});

/** A new topic with one partition, so that offsets count from 0 in order. */
async function newTopic(): Promise<string> {
  const topic = randomTopicName();
  await createTopic(bootstrap, topic);
  return topic;
}

function encodeMicros(micros: bigint): Buffer {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(micros);
  return key;
}

/** Reads a topic of one partition with kcat. */
async function readWithKcat(topic: string): Promise<SeenRecord[]> {
  const { stdout } = await runProgram(
    ["kcat", "-C", "-q", "-e", "-b", bootstrap, "-t", topic, "-p", "0", "-o", "beginning"].concat([
      "-f",
      "%o|%K|%S|%T|%h|%k%s\n",
    ]),
  );
  const records: SeenRecord[] = [];
  for (let at = 0; at < stdout.length;) {
    const fields: string[] = [];
    for (let n = 0; n < 5; n++) {
      const bar = stdout.indexOf("|", at);
      fields.push(stdout.toString("latin1", at, bar));
      at = bar + 1;
    }
    const [offset, keyLength = 0, valueLength = 0, timestampMs] = fields.map(Number);
    const key = stdout.subarray(at, at + keyLength);
    const value = stdout.subarray(at + keyLength, at + keyLength + valueLength);
    at += keyLength + valueLength + 1;
    records.push({
      offset: offset ?? NaN,
      key,
      value,
      timestampMs: timestampMs ?? NaN,
      headers: fields[4] ?? "",
    });
  }
  return records;
}

/** Prints time and length of each record as Pycapa's consumer takes them. */
const PYCAPA_READER = `
import struct, sys
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

bootstrap, topic = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "pycapa", "enable.auto.commit": False,
                     "enable.partition.eof": True})
consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
while True:
    message = consumer.poll(20)
    if message is None:
        sys.exit("nothing came for 20 s")
    if message.error():
        if message.error().code() == KafkaError._PARTITION_EOF:
            break
        sys.exit(str(message.error()))
    (micros,) = struct.unpack_from(">Q", message.key())
    print(micros, message.value().hex() or "-", message.headers())
consumer.close()
`;

/** Writes "key-hex value-hex" of each argument, "-" being null; the key is packed as Pycapa packs it. */
const PYCAPA_WRITER = `
import struct, sys
from confluent_kafka import Producer

bootstrap, topic, *records = sys.argv[1:]
producer = Producer({"bootstrap.servers": bootstrap, "message.max.bytes": 2000000})

def delivered(error, message):
    if error is not None:
        raise SystemExit(str(error))

for record in records:
    kind, key, value = record.split(",")
    if kind == "time":
        key = struct.pack(">Q", int(key))
    else:
        key = None if key == "null" else bytes.fromhex(key)
    if value == "json":
        value = b'{"note":"' + b"x" * 1000000 + b'"}'
    else:
        value = None if value == "null" else bytes.fromhex(value)
    producer.produce(topic, partition=0, key=key, value=value, callback=delivered)
    producer.poll(0)
producer.flush()
`;

const TRANSACTIONS = `
import struct, sys
from confluent_kafka import Producer

bootstrap, topic, frame = sys.argv[1:]
producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": "test-" + topic})
producer.init_transactions()
for first, commit in ((0, False), (100, True), (200, False)):
    producer.begin_transaction()
    for n in range(first, first + 20):
        producer.produce(topic, partition=0, key=struct.pack(">Q", n), value=bytes.fromhex(frame))
    producer.flush()
    if commit:
        producer.commit_transaction()
    else:
        producer.abort_transaction()
`;

describe("other Kafka clients", { concurrency: 2 }, () => {
  test("kcat reads key, value and publish time; a whole Ethernet frame has no headers", async () => {
    const topic = await newTopic();
    const frames = [60, 1514, 0].map((length, n) => ({
      bytes: length === 0 ? Buffer.alloc(0) : buildUdpFrame(n, length),
      seconds: FIRST_SECOND + n,
      nanoseconds: 123_459_000,
    }));
    const beganMs = Date.now();
    await publish(bootstrap, topic, buildCapture({ frames }));
    const endedMs = Date.now();
    const records = await readWithKcat(topic);
    assert.equal(records.length, 3);
    for (const [n, { offset, key, value, timestampMs, headers }] of records.entries()) {
      assert.equal(offset, n);
      assert.deepEqual(key, encodeMicros(BigInt(FIRST_SECOND + n) * 1_000_000n + 123_459n));
      assert.deepEqual(value, frames[n]!.bytes);
      assert.ok(timestampMs >= beganMs && timestampMs <= endedMs, `timestamp ${timestampMs}`);
      assert.equal(headers, "");
    }
    // Pycapa's documented example: 1700000000.123459 s.
    assert.equal(records[0]!.key.toString("hex"), "00060a2418202243");
  });

  test("headers say what key and value cannot: link type, wire length, nanoseconds", async () => {
    const topic = await newTopic();
    const bytes = buildUdpFrame(1, 60);
    const nanoseconds = (linkType: number, frames: readonly TestFrame[]): Buffer =>
      buildCapture({ nanosecond: true, linkType, frames });
    const ethernet = [{ wireLength: 1500 }, { nanoseconds: 5_007 }, { nanoseconds: 5_000 }];
    await publish(
      bootstrap,
      topic,
      nanoseconds(
        1,
        ethernet.map((frame) => ({ bytes, ...frame })),
      ),
    );
    await publish(bootstrap, topic, buildCapture({ linkType: 113, frames: [{ bytes }] }));
    const cut = { bytes, nanoseconds: 999, wireLength: 61 };
    await publish(bootstrap, topic, nanoseconds(101, [cut]));
    assert.deepEqual(
      (await readWithKcat(topic)).map(({ headers }) => headers.split(",").toSorted().join(" ")),
      ["origlen=1500", "ns=7", "", "linktype=113", "linktype=101 ns=999 origlen=61"],
    );
  });

  test("--headers all adds every header, --sensor names the probe", async () => {
    const topic = await newTopic();
    const input = buildCapture({ frames: [{ bytes: buildUdpFrame(1, 60) }] });
    await publish(bootstrap, topic, input, "--headers", "all");
    await publish(bootstrap, topic, input, "--headers", "all", "--sensor", "tap-3");
    const seen = (await readWithKcat(topic)).map(({ headers }) => headers.split(",").toSorted());
    const always = ["linktype=1", "ns=0", "origlen=60"];
    for (const [n, sensor] of [hostname(), "tap-3"].entries()) {
      for (const header of [...always, `sensor=${sensor}`]) {
        assert.ok(seen[n]?.includes(header), `${header} in ${seen[n]?.join(" ")}`);
      }
      assert.ok(seen[n]?.some((header) => header.startsWith("iface=")));
    }
  });

  test("--record-timestamp capture makes Kafka's timestamp the capture time", async () => {
    const topic = await newTopic();
    const nowMs = Math.floor(Date.now() / 1000) * 1000 - 60_000;
    const frames = [{ bytes: buildUdpFrame(1, 60), seconds: nowMs / 1000, nanoseconds: 7_999_000 }];
    await publish(bootstrap, topic, buildCapture({ frames }), "--record-timestamp", "capture");
    const [record] = await readWithKcat(topic);
    assert.equal(record?.timestampMs, nowMs + 7);
  });

  test("Pycapa's unpacking in confluent-kafka reads what pcapts wrote", async () => {
    const topic = await newTopic();
    const frames = [60, 200].map((length, n) => ({
      bytes: buildUdpFrame(n, length),
      seconds: FIRST_SECOND,
      nanoseconds: n * 1000,
    }));
    await publish(bootstrap, topic, buildCapture({ frames }));
    assert.equal(
      await runPython(PYCAPA_READER, bootstrap, topic),
      frames
        .map(
          ({ bytes }, n) =>
            `${FIRST_SECOND}${String(n).padStart(6, "0")} ${bytes.toString("hex")} None\n`,
        )
        .join(""),
    );
  });

  test("what Pycapa and kcat wrote is read: Ethernet, uncut unless a header says otherwise", async () => {
    const topic = await newTopic();
    const bytes = buildUdpFrame(3, 90);
    const micros = BigInt(FIRST_SECOND) * 1_000_000n;
    await runPython(
      PYCAPA_WRITER,
      bootstrap,
      topic,
      `time,${micros + 123_459n},${bytes.toString("hex")}`,
      `time,0,${bytes.toString("hex")}`,
      `time,${0xffff_ffffn * 1_000_000n + 999_999n},`,
    );
    await runProgram(
      ["kcat", "-P", "-b", bootstrap, "-t", topic, "-p", "0", "-K", "<key>", "-D", "<end>"].concat([
        "-H",
        "origlen=1500",
        "-H",
        "ns=42",
        "-H",
        "colour=blue",
      ]),
      Buffer.concat([encodeMicros(micros), Buffer.from("<key>"), bytes, Buffer.from("<end>")]),
    );
    const frames: TestFrame[] = [
      { bytes, seconds: FIRST_SECOND, nanoseconds: 123_459_000 },
      { bytes, seconds: 0 },
      { bytes: Buffer.alloc(0), seconds: 0xffff_ffff, nanoseconds: 999_999_000 },
      { bytes, seconds: FIRST_SECOND, nanoseconds: 42, wireLength: 1500 },
    ];
    const [micro, nano] = (
      await Promise.all([consume(bootstrap, topic), consume(bootstrap, topic, "-F", "nsecpcap")])
    ).map(readCapture);
    assert.equal(micro?.linkType, 1);
    assertSameFrames(micro?.frames ?? [], readCapture(buildCapture({ frames })).frames);
    const expected = readCapture(buildCapture({ frames, nanosecond: true }));
    assertSameFrames(nano?.frames ?? [], expected.frames);
  });

  test("foreign records are skipped and counted, the first is named once, and the run ends with 0", async () => {
    const topic = await newTopic();
    const frame = buildUdpFrame(9, 60).toString("hex");
    const afterTheEnd = 0x1_0000_0000n * 1_000_000n;
    await runPython(
      PYCAPA_WRITER,
      bootstrap,
      topic,
      `time,1000001,${frame}`,
      `raw,null,${frame}`,
      `raw,010203,${frame}`,
      `raw,00000000000000010203,${frame}`,
      `time,1000002,${frame}`,
      `time,5,null`,
      `time,5,json`,
      `time,${2n ** 64n - 1n},${frame}`,
      `time,${afterTheEnd},${frame}`,
      `time,1000003,${frame}`,
      `raw,null,null`,
    );
    const { status, stdout, stderr } = await runPcapts([
      "-c",
      "-k",
      bootstrap,
      "-t",
      topic,
      "-o",
      "begin",
      "-e",
    ]);
    assert.equal(status, 0, stderr);
    const expected = [1, 2, 3].map((n) => ({
      bytes: Buffer.from(frame, "hex"),
      seconds: 1,
      nanoseconds: n * 1000,
    }));
    assertSameFrames(
      readCapture(stdout).frames,
      readCapture(buildCapture({ frames: expected })).frames,
    );
    assert.deepEqual(readConsumedCounts(stderr), {
      read: 11,
      written: 3,
      notFrames: 8,
      otherLinkType: 0,
    });
    const warnings = stderr.split("\n").filter((line) => line.includes(" WARN: "));
    assert.equal(warnings.length, 1, stderr);
    assert.match(warnings[0]!, new RegExp(`"${topic}", partition 0, offset 1\\b.*no key`));
    assertNoStackTrace(stderr);
  });

  for (const [kind, record, reason] of [
    ["a key of 3 bytes", "raw,010203,00", /key has 3 bytes/],
    ["no value", "time,5,null", /no value/],
    ["a value of a megabyte", "time,5,json", /value has 1000011 bytes/],
    ["the largest key", `time,${2n ** 64n - 1n},00`, /time after 2106/],
  ] as const) {
    test(`a record with ${kind} is named with the reason`, async () => {
      const topic = await newTopic();
      await runPython(PYCAPA_WRITER, bootstrap, topic, "time,5,00", record);
      const { status, stdout, stderr } = await runPcapts([
        "-c",
        "-k",
        bootstrap,
        "-t",
        topic,
        "-o",
        "begin",
        "-e",
      ]);
      assert.equal(status, 0, stderr);
      assert.equal(readCapture(stdout).frames.length, 1);
      assert.match(stderr, new RegExp(`WARN: .*"${topic}", partition 0, offset 1\\b`));
      assert.match(stderr, reason);
    });
  }

  test("of transactions only what was committed is seen, and -e ends behind the last control record", async () => {
    const topic = await newTopic();
    const bytes = buildUdpFrame(5, 60);
    await runPython(TRANSACTIONS, bootstrap, topic, bytes.toString("hex"));
    const line = ["-c", "-k", bootstrap, "-t", topic, "-o", "begin", "-e"];
    const [committed, uncommitted] = await Promise.all([
      runPcapts(line),
      runPcapts([...line, "-X", "isolation.level=read_uncommitted"]),
    ]);
    const frames = (firsts: readonly number[]): TestFrame[] =>
      firsts.flatMap((first) =>
        Array.from({ length: 20 }, (_, n) => ({
          bytes,
          seconds: 0,
          nanoseconds: (first + n) * 1000,
        })),
      );
    for (const [ended, firsts] of [
      [committed, [100]],
      [uncommitted, [0, 100, 200]],
    ] as const) {
      assert.equal(ended.status, 0, ended.stderr);
      assertSameFrames(
        readCapture(ended.stdout).frames,
        readCapture(buildCapture({ frames: frames(firsts) })).frames,
      );
      assert.equal(readConsumedCounts(ended.stderr).notFrames, 0);
      assert.doesNotMatch(ended.stderr, /WARN|ERROR/);
    }
  });
});
