import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import {
  cacheDirectory,
  createTopic,
  randomTopicName,
  startBroker,
  type TestBroker,
} from "../brokers.ts";
import { type CapturedFrame, readCapture } from "../capture-frames.ts";
import { buildUdpFrame } from "../fixtures/generate.ts";
import { runProgram } from "../integration/other-programs.ts";
import { readConsumedCounts, runPcapts, succeedPcapts } from "../integration/pcapts-process.ts";

/*
 * Topics of brokers and clients of before Kafka 0.11: Kafka 2.7.2 keeps the message formats 0 and 1 for
 * topics that ask for it, and takes them from librdkafka when that takes it for an older broker.
 */

const FRAMES = 3000;

const scratch = mkdtempSync(path.join(tmpdir(), "pcapts-formats-"));
let broker: TestBroker;
before(async () => {
  broker = await startBroker({ version: "2.7.2" });
});
after(async () => {
  await broker.remove();
  rmSync(scratch, { recursive: true, force: true });
});

const KEY_END = "<key>";
const VALUE_END = "<end>";

/** Frames `from` to `to`, captured a millisecond apart; every tenth is followed by a record that is none. */
function recordsOf(from: number, to: number): Buffer {
  const parts: Buffer[] = [];
  for (let n = from; n < to; n++) {
    const key = Buffer.alloc(8);
    key.writeBigUInt64BE(1_700_000_000_000_000n + BigInt(n) * 1000n);
    parts.push(key, Buffer.from(KEY_END), buildUdpFrame(n, 80), Buffer.from(VALUE_END));
    if (n % 10 === 0) parts.push(Buffer.from(`none${KEY_END}{}${VALUE_END}`));
  }
  return Buffer.concat(parts);
}

async function produce(topic: string, records: Buffer, ...args: string[]): Promise<void> {
  const line = ["kcat", "-P", "-b", broker.bootstrap, "-t", topic, "-p", "0"];
  const divided = ["-K", KEY_END, "-D", VALUE_END, "-X", "linger.ms=50"];
  await runProgram([...line, ...divided, ...args], records);
}

function assertAllFrames(frames: readonly CapturedFrame[]): void {
  assert.equal(frames.length, FRAMES);
  for (const [n, { fraction, seconds, bytes }] of frames.entries()) {
    assert.equal((seconds - 1_700_000_000) * 1000 + fraction / 1000, n);
    assert.ok(bytes.equals(buildUdpFrame(n, 80)), `frame ${n}`);
  }
}

for (const [format, magic, client] of [
  ["0.9.0", 0, "0.9.0.1"],
  ["0.10.0", 1, "0.10.0.0"],
] as const) {
  describe(`a topic of message format ${magic}`, () => {
    for (const codec of ["none", "gzip", "snappy", "lz4"]) {
      test(`every frame of it is read, codec ${codec}, written by old clients and by present ones`, async () => {
        const topic = randomTopicName();
        await createTopic(broker.bootstrap, topic, {
          config: { "message.format.version": format, "retention.ms": -1 },
        });
        const old = ["-X", "api.version.request=false", "-X", `broker.version.fallback=${client}`];
        await produce(topic, recordsOf(0, FRAMES / 2), "-z", codec, ...old);
        await produce(topic, recordsOf(FRAMES / 2, FRAMES), "-z", codec);
        const partition = path.join(broker.directory, "data", `${topic}-0`);
        const log = readdirSync(partition).find((name) => name.endsWith(".log"))!;
        assert.equal(readFileSync(path.join(partition, log))[16], magic);

        const line = ["-c", "-k", broker.bootstrap, "-t", topic, "-o", "begin"];
        const { stdout, stderr, status } = await runPcapts([...line, "-e"]);
        assert.equal(status, 0, stderr);
        assertAllFrames(readCapture(stdout).frames);
        assert.equal(readConsumedCounts(stderr).notFrames, FRAMES / 10);
        assert.equal([...stderr.matchAll(/ WARN: /g)].length, 1, stderr);

        // In small answers, in a group, in pieces.
        const small = ["-X", "fetch.message.max.bytes=20000", "-X", `group.id=${topic}`];
        const pieces: CapturedFrame[] = [];
        for (const args of [["-m", "777"], ["-m", "1000"], ["-e"]]) {
          const piece = await succeedPcapts([...line, ...small, ...args]);
          pieces.push(...readCapture(piece.stdout).frames);
        }
        assertAllFrames(pieces);
      });
    }
  });
}

test("--from and --to go by capture times where the records have none, and -o says that it cannot", async () => {
  const topic = randomTopicName();
  await createTopic(broker.bootstrap, topic, { config: { "message.format.version": "0.9.0" } });
  await produce(topic, recordsOf(0, 100));
  const line = ["-c", "-k", broker.bootstrap, "-t", topic];
  const range = ["--from", "2023-11-14T22:13:20.020Z", "--to", "2023-11-14T22:13:20.030Z"];
  const { stdout, stderr } = await succeedPcapts([...line, ...range]);
  assert.equal(readCapture(stdout).frames.length, 10);
  assert.match(stderr, /WARN: Topic ".*": records have no timestamps \(message format 0\)/);
  const since = await succeedPcapts([...line, "-o", "-5m", "-e"]);
  assert.equal(readCapture(since.stdout).frames.length, 100);
  assert.match(since.stderr, /WARN: .*no timestamps/);
});

test("a topic that changed its format is read to its end", async () => {
  const topic = randomTopicName();
  await createTopic(broker.bootstrap, topic, { config: { "message.format.version": "0.9.0" } });
  await produce(topic, recordsOf(0, FRAMES / 2), "-z", "gzip");
  await runProgram([
    "java",
    "-cp",
    path.join(cacheDirectory, "kafka-2.7.2/*"),
    "kafka.admin.ConfigCommand",
    `--bootstrap-server=${broker.bootstrap}`,
    "--alter",
    "--entity-type=topics",
    `--entity-name=${topic}`,
    "--add-config=message.format.version=2.7",
  ]);
  await produce(topic, recordsOf(FRAMES / 2, FRAMES), "-z", "zstd");
  const line = ["-c", "-k", broker.bootstrap, "-t", topic, "-o", "begin", "-e"];
  assertAllFrames(readCapture((await succeedPcapts(line)).stdout).frames);
});

test("a compacted topic is read over the gaps in its offsets", async () => {
  const compacting = await startBroker({
    properties: { "log.cleaner.backoff.ms": 100, "log.cleaner.min.compaction.lag.ms": 0 },
  });
  try {
    const topic = randomTopicName();
    const config = {
      "cleanup.policy": "compact",
      "segment.ms": 100,
      "min.cleanable.dirty.ratio": 0.01,
      "delete.retention.ms": 0,
    };
    await createTopic(compacting.bootstrap, topic, { config });
    const into = ["kcat", "-P", "-b", compacting.bootstrap, "-t", topic, "-p", "0"];
    const divided = ["-K", KEY_END, "-D", VALUE_END, "-z", "lz4"];
    const write = (from: number, to: number): Promise<unknown> =>
      runProgram([...into, ...divided], recordsOf(from, to));
    await write(0, FRAMES);
    // The same keys: all that is left of the first ones are holes. Each write may end a segment.
    for (let round = 0; ; round++) {
      assert.ok(round < 200, "the log was never compacted");
      await write(FRAMES / 2, FRAMES);
      await new Promise((resolve) => setTimeout(resolve, 200));
      const list = ["kcat", "-C", "-q", "-e", "-t", topic, "-o", "beginning", "-f", "%o\n"];
      const { stdout } = await runProgram([...list, "-b", compacting.bootstrap]);
      const offsets = stdout.toString().trim().split("\n").map(Number);
      if (round >= 2 && offsets.length < offsets.at(-1)! - 100) break;
    }
    const line = ["-c", "-k", compacting.bootstrap, "-t", topic, "-o", "begin"];
    const { stdout } = await succeedPcapts([...line, "-e", "-X", `group.id=${topic}`]);
    const times = new Set(
      readCapture(stdout).frames.map(({ seconds, fraction }) => `${seconds}.${fraction}`),
    );
    assert.equal(times.size, FRAMES);
    const again = await succeedPcapts([...line, "-e", "-X", `group.id=${topic}`]);
    assert.equal(readConsumedCounts(again.stderr).read, 0);
  } finally {
    await compacting.remove();
  }
});
