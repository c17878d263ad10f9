import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { encodePcap } from "../../src/capture-file/pcap-writer.ts";
import { randomTopicName, startBroker } from "../brokers.ts";
import { readCapture } from "../capture-frames.ts";
import { numberedFrames, numberOf } from "../kafka/numbered-frames.ts";
import { consume, readLedger, runPcapts, startPcapts } from "./pcapts-process.ts";

const directory = mkdtempSync(path.join(tmpdir(), "pcapts-spool-cli-"));
after(() => rmSync(directory, { recursive: true, force: true }));

test("what a stopped producer holds while Kafka is away is sent by the next one, once and in order", async () => {
  const broker = await startBroker();
  try {
    const { bootstrap } = broker;
    const topic = randomTopicName("spooled");
    const spoolPath = path.join(directory, "stopped");
    const line =
      `-p -k ${bootstrap} -t ${topic} -r - --partitions 1 --spool-dir ${spoolPath} ` +
      "--flush-timeout 0.2 -X batch.size=20000 -X queue.buffering.max.kbytes=500";
    const first = startPcapts(line.split(" "));
    first.child.stdin.write(Buffer.concat([encodePcap([]), numberedFrames(0, 1000).bytes]));
    await first.says(/Starting packet capture/);
    await broker.kill();
    first.child.stdin.write(numberedFrames(1000, 49_000).bytes);
    await first.says(/WARN: Cannot write to topic .*; trying again/);
    first.child.kill("SIGTERM");
    const stopped = await first.ended;
    assert.equal(stopped.status, 1, stopped.stderr);
    const left = readLedger(stopped.stderr);
    assert.equal(left.unknown + left.failed + left.queued, 0, stopped.stderr);
    assert.ok(left.spooled > 0);
    assert.match(
      stopped.stderr,
      /WARN: '\d+' frame\(s\) are left in the spool: the next run with the same --spool-dir sends them/,
    );

    await broker.start();
    const second = await runPcapts(line.replace("0.2", "60").split(" "), {
      input: Buffer.concat([encodePcap([]), numberedFrames(50_000, 100).bytes]),
    });
    assert.equal(second.status, 0, second.stderr);
    const sent = readLedger(second.stderr);
    assert.equal(sent.found, left.spooled);
    assert.equal(sent.acknowledged, left.spooled + 100);
    assert.match(second.stderr, new RegExp(`holds ${left.spooled} frame\\(s\\) of a run before`));
    const numbers = readCapture(await consume(bootstrap, topic, "--unordered")).frames.map(
      ({ bytes }) => numberOf(bytes),
    );
    const captured = left.captured;
    assert.deepEqual(numbers, [
      ...Array.from({ length: captured }, (_, number) => number),
      ...Array.from({ length: 100 }, (_, number) => 50_000 + number),
    ]);
  } finally {
    await broker.remove();
  }
});
