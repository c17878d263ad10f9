import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { rmSync, statfsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { newDataDirectory, startEmbeddedBroker } from "../embedded-broker.ts";
import { runPython } from "../integration/other-programs.ts";
import { append, openLog } from "./batches.ts";

/* On a tmpfs of 8 MB, which needs root to be mounted. */
let directory = "";
before(() => {
  directory = newDataDirectory();
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", directory]);
});
after(() => {
  // Lazily: files are closed a moment after whoever had them says so.
  execFileSync("umount", ["-l", directory]);
  rmSync(directory, { recursive: true });
});

/** Takes all space but some. */
function fill(leaveBytes: number): string {
  const file = path.join(directory, "ballast");
  const { bavail, bsize } = statfsSync(directory);
  writeFileSync(file, randomFillSync(Buffer.alloc(Math.max(0, bavail * bsize - leaveBytes))));
  return file;
}

test("a batch that the disk has no room for is cut off again, and the log goes on when there is room", async () => {
  const log = await openLog(path.join(directory, "0"));
  await append(log, { valueBytes: 10_000 });
  const ballast = fill(200_000);
  let appended = 1;
  const refused = await (async () => {
    for (;;) {
      try {
        await append(log, { valueBytes: 90_000 });
        appended++;
      } catch (error) {
        return error;
      }
    }
  })();
  assert.match(String(refused), /ENOSPC/);
  assert.equal(log.nextOffset, appended);
  rmSync(ballast);
  assert.equal(await append(log, { valueBytes: 90_000 }), appended);
  // As after kill -9.
  const again = await openLog(path.join(directory, "0"));
  assert.equal(again.nextOffset, appended + 1);
  await again.close(false);
  await log.close(false);
  rmSync(path.join(directory, "0"), { recursive: true });
});

/** Produces until the disk is full, then again when there is space; prints what was acknowledged. */
const PRODUCER = `
import sys, os
from confluent_kafka import Producer, Consumer, TopicPartition
bootstrap, ballast = sys.argv[1:]
acknowledged, refused = [], []
def delivered(error, message):
    (refused if error else acknowledged).append(message.value()[:8])
producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 0,
                     "message.timeout.ms": 3000, "batch.num.messages": 1})
n = 0
def produce(count):
    global n
    for _ in range(count):
        producer.produce("full", value=b"%08d" % n + b"x" * 50000, callback=delivered)
        n += 1
    producer.flush()
produce(80)
full = len(refused)
os.unlink(ballast)
# What timed out left a gap that an idempotent producer of librdkafka closes with a new epoch.
produce(20)
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "g"})
consumer.assign([TopicPartition("full", 0, 0)])
end = consumer.get_watermark_offsets(TopicPartition("full", 0))[1]
seen = []
while len(seen) < end:
    seen += [m.value()[:8] for m in consumer.consume(100, 5) if not m.error()]
missing = set(acknowledged) - set(seen)
print(full > 0, len(acknowledged) >= 20, len(missing), seen == sorted(set(seen)))
`;

test("a producer is told, nothing acknowledged is lost, and it goes on when there is space", async () => {
  const broker = await startEmbeddedBroker({ dataDirectory: path.join(directory, "broker") });
  const ballast = fill(1_500_000);
  try {
    assert.equal(await runPython(PRODUCER, broker.bootstrap, ballast), "True True 0 True\n");
  } finally {
    rmSync(ballast, { force: true });
    await broker.remove();
  }
});
