import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { createTopic, randomTopicName, sharedBroker, startBroker } from "../brokers.ts";
import { assertSameFrames, readCapture } from "../capture-frames.ts";
import { buildCapture, buildUdpFrame, type TestFrame } from "../fixtures/generate.ts";
import { countRecords } from "./other-programs.ts";
import {
  assertNoStackTrace,
  consume,
  type Ended,
  PCAPTS,
  publish,
  readConsumedCounts,
  readLedger,
  runPcapts,
  startPcapts,
} from "./pcapts-process.ts";

let bootstrap: string;
let scratch: string;
let goodFile: string;
before(async () => {
  ({ bootstrap } = await sharedBroker());
  scratch = mkdtempSync(path.join(tmpdir(), "pcapts-wrong-"));
  goodFile = writeScratch("good.pcap", buildCapture({ frames: frames(3) }));
});
after(() => rmSync(scratch, { recursive: true, force: true }));

function frames(count: number, length = 100): TestFrame[] {
  return Array.from({ length: count }, (_, n) => ({ bytes: buildUdpFrame(n, length) }));
}

function writeScratch(name: string, bytes: Buffer | string): string {
  const file = path.join(scratch, name);
  writeFileSync(file, bytes);
  return file;
}

/** Nothing but messages on standard error; no pcap bytes, no stack trace. */
function assertRefused(ended: Ended, status: 1 | 2, message: RegExp): void {
  assert.equal(ended.status, status, ended.stderr);
  assert.match(ended.stderr, message);
  assert.equal(ended.stdout.length, 0, "standard output is for frames");
  assertNoStackTrace(ended.stderr);
}

function publishing(topic: string, ...args: string[]): string[] {
  return ["-p", "-k", bootstrap, "-t", topic, ...args];
}

describe("usage errors", { concurrency: 2 }, () => {
  for (const [what, line, message] of [
    ["no mode", "-i lo", /-p, --producer and -c, --consumer is needed/],
    ["both modes", "-p -c -i lo", /-p, --producer and -c, --consumer exclude each other/],
    [
      "a producer without a source",
      "-p",
      /-i, --interface X .*, -r, --read FILE, or --read-listen PORT/,
    ],
    ["a negative number", "-c -m -1", /-m, --max-packets expects .*0 or more, not "-1"/],
    ["a negative --pretty-print", "-c -pp -5", /-pp, --pretty-print expects .*not "-5"/],
    ["a number beyond its range", "-p -r x -s 262145", /-s, --snaplen expects .* to 262144/],
    ["a level that does not exist", "-c -ll LOUD", /-ll, --log-level expects DEBUG, INFO, WARN/],
  ] as const) {
    test(`${what} exits 2, on standard error, with what is expected`, async () => {
      const ended = await runPcapts(line.split(" "));
      assertRefused(ended, 2, message);
      assert.match(ended.stderr, /^usage: pcapts .*\npcapts: error: .*\n.*--help.*\n$/);
    });
  }

  test("a value of -X may contain =, and its last assignment wins", async () => {
    const topic = randomTopicName();
    const { stderr } = await publish(
      bootstrap,
      topic,
      goodFile,
      "-X",
      "client.id=first",
      "-X",
      "client.id=a=b==c",
    );
    assert.match(stderr, /Connecting to Kafka; \{.*"client\.id":"a=b==c".*\}/);
  });

  test("-X bootstrap.servers= wins over -k", async () => {
    const { stderr } = await publish(
      "127.0.0.1:1",
      randomTopicName(),
      goodFile,
      "-X",
      `bootstrap.servers=${bootstrap}`,
    );
    assert.match(stderr, new RegExp(`Connecting to Kafka; .*"bootstrap.servers":"${bootstrap}"`));
    assert.equal(readLedger(stderr).acknowledged, 3);
  });

  test("a secret is not printed at any level, whatever becomes of the line", async () => {
    for (const flags of [
      ["-ll", "debug"],
      ["-ll", "debug", "--log-format", "json"],
    ]) {
      const { stderr, stdout } = await runPcapts([
        ...publishing(randomTopicName(), "-r", goodFile, ...flags),
        "-X",
        "sasl.username=alice",
        "-X",
        "sasl.password=correct-horse",
        "-X",
        "ssl.key.password=battery=staple",
      ]);
      assert.doesNotMatch(stderr + stdout.toString(), /correct-horse|battery|staple/);
    }
  });
});

describe("sources that cannot be read", { concurrency: 2 }, () => {
  test("an interface that does not exist is named, with those that do", async () => {
    const ended = await runPcapts(publishing(randomTopicName(), "-i", "eth99"));
    assertRefused(ended, 1, /ERROR: Cannot open interface "eth99": no such device; there are .*lo/);
    assert.match(ended.stderr, /pcapts -D lists them/);
    assert.doesNotMatch(ended.stderr, /Connecting to Kafka/);
  });

  test("without permission the message names the capability and how to grant it", async () => {
    const ended = await runPcapts(publishing(randomTopicName(), "-i", "lo"), {
      command: [
        "setpriv",
        "--bounding-set=-net_raw,-net_admin",
        "--inh-caps=-all",
        process.execPath,
        PCAPTS,
      ],
    });
    assertRefused(
      ended,
      1,
      /ERROR: Cannot open interface "lo": .*CAP_NET_RAW.*AmbientCapabilities/,
    );
    assert.doesNotMatch(ended.stderr, /Connecting to Kafka/);
  });

  test("a filter that is wrong, or not there yet, exits 2 and Kafka is never contacted", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    let connections = 0;
    server.on("connection", (socket) => {
      connections++;
      socket.destroy();
    });
    const { port } = server.address() as { port: number };
    for (const filter of [
      ["-f", "tcp port port"],
      ["tcp", "port", "port"],
    ]) {
      const ended = await runPcapts([
        "-p",
        "-r",
        goodFile,
        "-k",
        `127.0.0.1:${port}`,
        "--connect-timeout",
        "1",
        ...filter,
      ]);
      assertRefused(ended, 2, /filter/);
    }
    server.close();
    assert.equal(connections, 0);
  });

  test("a file that is missing, empty or no capture is refused by name, and Kafka is never contacted", async () => {
    const text = writeScratch("text.pcap", "this is a letter, and not a capture at all");
    const empty = writeScratch("empty.pcap", "");
    const short = writeScratch("short.pcap", readFileSync(goodFile).subarray(0, 23));
    const missing = path.join(scratch, "missing.pcap");
    const directory = mkdtempSync(path.join(scratch, "directory-"));
    for (const [file, reason] of [
      [missing, "no such file"],
      [directory, "there is no capture in this directory"],
      [empty, "it is empty"],
      [text, "not a capture file"],
      [short, "it is cut at byte 23"],
    ] as const) {
      const ended = await runPcapts(publishing(randomTopicName(), "-r", file));
      assertRefused(ended, 1, new RegExp(`ERROR: Cannot read "${file}": ${reason}`));
      assert.doesNotMatch(ended.stderr, /Connecting to Kafka/);
    }
    const piped = await runPcapts(publishing(randomTopicName(), "-r", "-"), {
      input: readFileSync(text),
    });
    assertRefused(piped, 1, /ERROR: Cannot read "standard input": not a capture file/);
  });

  test("of a file that is cut all whole frames are published, the byte is named, exit 1", async () => {
    const whole = buildCapture({ frames: frames(3000) });
    // Within the data of frame 2001, and within the header of frame 11.
    for (const [cutAt, expected] of [
      [24 + 2000 * 116 + 60, 2000],
      [24 + 10 * 116 + 7, 10],
    ] as const) {
      const topic = randomTopicName();
      const file = writeScratch(`cut-${cutAt}.pcap`, whole.subarray(0, cutAt));
      const ended = await runPcapts(publishing(topic, "-r", file));
      assertRefused(
        ended,
        1,
        new RegExp(
          `ERROR: Cannot read "${file}" .*cut at byte ${cutAt}\\b.*frame ${expected + 1}\\b`,
        ),
      );
      const { captured, acknowledged } = readLedger(ended.stderr);
      assert.deepEqual([captured, acknowledged], [expected, expected]);
      const output = readCapture(await consume(bootstrap, topic));
      assertSameFrames(output.frames, readCapture(whole).frames.slice(0, expected));
    }
  });

  test("of a file that is damaged all frames before the impossible length are published", async () => {
    const topic = randomTopicName();
    const damaged = buildCapture({ frames: frames(50) });
    damaged.writeUInt32LE(0x7fff_ffff, 24 + 20 * 116 + 8);
    const ended = await runPcapts(publishing(topic, "-r", "-"), { input: damaged });
    assertRefused(ended, 1, new RegExp(`damaged at byte ${24 + 20 * 116}\\b.*frame 21\\b`));
    assert.equal(await countRecords(bootstrap, topic), 20);
  });
});

describe("topics that do not suit", { concurrency: 2 }, () => {
  test("a topic that is compacted is refused before anything is published", async () => {
    for (const policy of ["compact", "compact,delete"]) {
      const topic = randomTopicName();
      await createTopic(bootstrap, topic, { config: { "cleanup.policy": policy } });
      const ended = await runPcapts(publishing(topic, "-r", goodFile));
      assertRefused(ended, 1, new RegExp(`ERROR: .*"${topic}".*cleanup\\.policy is "${policy}"`));
      assert.equal(await countRecords(bootstrap, topic), 0);
    }
  });

  test("a topic with LogAppendTime is said at INFO, and keys keep the capture time", async () => {
    const topic = randomTopicName();
    await createTopic(bootstrap, topic, { config: { "message.timestamp.type": "LogAppendTime" } });
    const { stderr } = await publish(bootstrap, topic, goodFile);
    assert.match(stderr, new RegExp(`INFO: .*"${topic}".*LogAppendTime`));
    const output = readCapture(await consume(bootstrap, topic));
    assertSameFrames(output.frames, readCapture(readFileSync(goodFile)).frames);
  });

  test("--record-timestamp capture is refused where the topic's retention would delete the file", async () => {
    const topic = randomTopicName();
    await createTopic(bootstrap, topic, { config: { "retention.ms": 3_600_000 } });
    const old = await runPcapts(publishing(topic, "-r", goodFile, "--record-timestamp", "capture"));
    assertRefused(old, 1, /ERROR: .*2023-11-14.*retention\.ms \(3600000\).*--record-timestamp/);
    assert.equal(await countRecords(bootstrap, topic), 0);

    // Published under the time of publishing nothing is deleted; nor are frames of just now.
    await publish(bootstrap, topic, goodFile);
    const now = Math.floor(Date.now() / 1000);
    const fresh = frames(2).map((frame) => ({ ...frame, seconds: now }));
    await publish(bootstrap, topic, buildCapture({ frames: fresh }), "--record-timestamp=capture");
    assert.equal(await countRecords(bootstrap, topic), 5);
  });

  test("capture times far ahead of the broker's clock are refused with both clocks, and the rest is published", async () => {
    const topic = randomTopicName();
    await createTopic(bootstrap, topic);
    const now = Math.floor(Date.now() / 1000);
    const input = buildCapture({
      frames: [
        { bytes: buildUdpFrame(1, 100), seconds: now },
        { bytes: buildUdpFrame(2, 100), seconds: now + 2 * 3600 },
        { bytes: buildUdpFrame(3, 100), seconds: now },
      ],
    });
    const ended = await runPcapts(publishing(topic, "-r", "-", "--record-timestamp", "capture"), {
      input,
    });
    const ahead = new Date((now + 2 * 3600) * 1000).toISOString();
    assertRefused(ended, 1, /ERROR: /);
    assert.ok(ended.stderr.includes(`record time ${ahead}`), ended.stderr);
    assert.match(ended.stderr, /clock here \d{4}-\d\d-\d\dT/);
    const { captured, acknowledged, failed } = readLedger(ended.stderr);
    assert.deepEqual([captured, acknowledged, failed], [3, 2, 1]);
    const expected = readCapture(input).frames.filter((_, n) => n !== 1);
    assertSameFrames(readCapture(await consume(bootstrap, topic)).frames, expected);
  });

  test("a frame above the topic's max.message.bytes fails with the broker's limit, the others are published", async () => {
    const topic = randomTopicName();
    await createTopic(bootstrap, topic, { config: { "max.message.bytes": 2000 } });
    const input = buildCapture({ frames: [...frames(5), ...frames(2, 3000), ...frames(5)] });
    const ended = await runPcapts(publishing(topic, "-r", "-"), { input });
    assertRefused(ended, 1, /ERROR: .*3000 bytes.*broker's max\.message\.bytes \(2000\)/);
    const { captured, acknowledged, failed } = readLedger(ended.stderr);
    assert.deepEqual([captured, acknowledged, failed], [12, 10, 2]);
    const expected = readCapture(input).frames.filter(
      ({ capturedLength }) => capturedLength === 100,
    );
    assertSameFrames(readCapture(await consume(bootstrap, topic)).frames, expected);
  });

  test("a frame above -X message.max.bytes fails with this side's limit, the others are published", async () => {
    const topic = randomTopicName();
    const input = buildCapture({ frames: [...frames(5), ...frames(2, 3000), ...frames(5)] });
    const ended = await runPcapts(publishing(topic, "-r", "-", "-X", "message.max.bytes=2000"), {
      input,
    });
    assertRefused(ended, 1, /ERROR: .*3000 bytes.*this side's message\.max\.bytes \(2000\)/);
    const { captured, acknowledged, failed } = readLedger(ended.stderr);
    assert.deepEqual([captured, acknowledged, failed], [12, 10, 2]);
    assert.equal(await countRecords(bootstrap, topic), 10);
  });

  test("a topic that is missing and cannot be created is refused with the broker's words", async () => {
    const broker = await startBroker({
      properties: { "default.replication.factor": 3 },
      heapMegabytes: 256,
    });
    try {
      const line = ["-p", "-r", goodFile, "-k", broker.bootstrap, "-t", "unborn"];
      const ended = await runPcapts(line);
      assertRefused(ended, 1, /ERROR: Topic "unborn" does not exist and cannot be created: .+/);
      assert.match(ended.stderr, /INVALID_REPLICATION_FACTOR.*[Rr]eplication factor/);
      assert.equal(readLedger(ended.stderr).captured, 0);
    } finally {
      await broker.remove();
    }
  });

  test("a consumer of a missing topic waits, says so once, and gets the frames that come", async () => {
    const topic = randomTopicName();
    const consumer = startPcapts(["-c", "-k", bootstrap, "-t", topic, "-o", "begin", "-m", "3"]);
    await consumer.says(new RegExp(`WARN: Topic "${topic}" does not exist; waiting for it`));
    await publish(bootstrap, topic, goodFile);
    const { status, stdout, stderr } = await consumer.ended;
    assert.equal(status, 0, stderr);
    assertSameFrames(readCapture(stdout).frames, readCapture(readFileSync(goodFile)).frames);
    assert.equal(stderr.match(/waiting for it/g)?.length, 1);
    assert.equal(readConsumedCounts(stderr).written, 3);
  });

  test("a consumer that waited for its topic gets the frames that created it, also without an offset", async () => {
    const topic = randomTopicName();
    const consumer = startPcapts(["-c", "-k", bootstrap, "-t", topic, "-m", "3"]);
    await consumer.says(/waiting for it/);
    // What was the end of the topic when the consumer began is its very begin.
    await publish(bootstrap, topic, goodFile);
    await Promise.race([consumer.ended, consumer.says(/No frame yet/)]).catch(() => {});
    consumer.child.kill("SIGTERM");
    const { status, stdout, stderr } = await consumer.ended;
    assert.equal(status, 0, stderr);
    assert.equal(readCapture(stdout).frames.length, 3, stderr);
  });

  test("with -e a missing topic is an error", async () => {
    const topic = randomTopicName();
    const ended = await runPcapts(["-c", "-k", bootstrap, "-t", topic, "-e"]);
    assertRefused(ended, 1, new RegExp(`ERROR: Cannot read topic "${topic}": it does not exist`));
  });
});

test("an output that cannot be written exits 1 and is named, and a full one says so", async () => {
  const topic = randomTopicName();
  await publish(bootstrap, topic, goodFile);
  const line = ["-c", "-k", bootstrap, "-t", topic, "-o", "begin", "-e", "-w"];
  const [missing, full] = await Promise.all([
    runPcapts([...line, path.join(scratch, "no", "such", "out.pcap")]),
    runPcapts([...line, "/dev/full"]),
  ]);
  assertRefused(missing, 1, /ERROR: Cannot write ".*out\.pcap": no such file or directory/);
  assertRefused(full, 1, /ERROR: Cannot write .*no space left/);
});
