import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { encodePcap } from "../../src/capture-file/pcap-writer.ts";
import { randomTopicName } from "../brokers.ts";
import { readCapture } from "../capture-frames.ts";
import { BrokerProcess } from "../embedded-broker.ts";
import {
  assertNoStackTrace,
  consume,
  readLedger,
  startPcapts,
} from "../integration/pcapts-process.ts";
import { numberedFrames, numberOf } from "../kafka/numbered-frames.ts";
import { type DiskFault, FaultyDisk } from "./faulty-disk.ts";

/* Spools whose disk fails while Kafka is away. */

const FRAMES = 50_000;
const PATIENCE_MS = 50_000;

const FAULTS: readonly (readonly [DiskFault, RegExp])[] = [
  [
    "write EIO",
    /ERROR: Cannot use the spool ".*", write to it: EIO.*; it counts as full meanwhile/,
  ],
  [
    "sync EIO",
    /ERROR: Cannot use the spool ".*", bring it to the disk: EIO.*; a power failure may/,
  ],
];

for (const [fault, message] of FAULTS) {
  test(`a ${fault} of the spool is said, and costs no frame`, async () => {
    const broker = await BrokerProcess.start();
    const disk = new FaultyDisk();
    try {
      const { bootstrap } = broker;
      const topic = randomTopicName("spooled");
      const line =
        `-p -k ${bootstrap} -t ${topic} -r - --partitions 1 --flush-timeout 50 ` +
        "-X batch.size=20000 -X queue.buffering.max.kbytes=500";
      const spool = ["--spool-dir", path.join(disk.path, "spool")];
      const producer = startPcapts([...line.split(" "), ...spool], { env: disk.env });
      producer.child.stdin.write(Buffer.concat([encodePcap([]), numberedFrames(0, 1000).bytes]));
      await producer.says(/Starting packet capture/, PATIENCE_MS);
      disk.fail(fault);
      await broker.kill();
      producer.child.stdin.end(numberedFrames(1000, FRAMES - 1000).bytes);
      await producer.says(message, PATIENCE_MS);
      disk.mend();
      await broker.start();
      const { status, stderr } = await producer.ended;
      assert.equal(status, 0, stderr);
      assertNoStackTrace(stderr);
      assert.equal(readLedger(stderr).acknowledged, FRAMES);
      const { frames } = readCapture(await consume(bootstrap, topic, "--unordered"));
      assert.deepEqual(
        frames.map(({ bytes }) => numberOf(bytes)),
        Array.from({ length: FRAMES }, (_, number) => number),
      );
    } finally {
      disk.remove();
      await broker.remove();
    }
  });
}
