import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { Kafka, logLevel } from "kafkajs";
import { generateCapture } from "../../bench/generate-capture.ts";
import { createTopic, randomTopicName, sharedBroker } from "../brokers.ts";
import { readCapture } from "../capture-frames.ts";
import { publish, readConsumedCounts, startPcapts } from "./pcapts-process.ts";

/* More than sockets and answers of the broker hold: a reader that stands still cannot have it all. */
const FRAMES = 40_000;
const LEFT = 1000;

test("a slow reader of --listen is told how many records were deleted before it read them", async () => {
  const { bootstrap } = await sharedBroker();
  const scratch = mkdtempSync(path.join(tmpdir(), "pcapts-deleted-"));
  const topic = randomTopicName("deleted");
  await createTopic(bootstrap, topic, { config: { "retention.ms": -1 } });
  const capture = path.join(scratch, "capture.pcap");
  generateCapture(capture, { frames: FRAMES, frameBytes: 1514 });
  await publish(bootstrap, topic, capture);
  rmSync(scratch, { recursive: true });

  // What order keeps would be most of it.
  const line = ["-c", "-k", bootstrap, "-t", topic, "-o", "begin", "-e", "--unordered"];
  const small = ["-X", "fetch.message.max.bytes=200000", "--listen", "127.0.0.1:0"];
  const server = startPcapts([...line, ...small]);
  after(() => server.child.kill("SIGKILL"));
  const [, port] = await server.says(/Serving topic ".*" at .*:(\d+) as /, 50_000);
  const reader = connect(Number(port), "127.0.0.1");
  const parts: Buffer[] = [];
  const ended = once(reader, "end");
  // Where it begins is known before the header of its file is written.
  await new Promise<void>((resolve) => {
    reader.on("data", (part: Buffer) => {
      parts.push(part);
      if (parts.length === 1) reader.pause();
      resolve();
    });
  });

  const admin = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  const partitions = [{ partition: 0, offset: String(FRAMES - LEFT) }];
  // kafkajs deletes only of topics that it has been asked about.
  await admin.fetchTopicOffsets(topic);
  await admin.deleteTopicRecords({ topic, partitions });
  await admin.disconnect();

  reader.resume();
  await ended;
  reader.end();
  const got = readCapture(Buffer.concat(parts)).frames.length;
  await server.says(/Reader \S+ has it all/, 50_000);
  server.child.kill("SIGTERM");
  const { status, stderr } = await server.ended;
  assert.equal(status, 0, stderr);
  assert.match(
    stderr,
    /WARN: Reader \S+: Topic .*: records \d+ to 38999 were deleted before they were/,
  );
  const missed = Number(/; (\d+) record\(s\) were deleted before they were read/.exec(stderr)?.[1]);
  assert.ok(missed > 0, stderr);
  assert.equal(got + missed, FRAMES);
  assert.equal(readConsumedCounts(stderr).written, got);
});
