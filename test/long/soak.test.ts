/*
 * Fifty million frames through one producer, a Kafka that is killed meanwhile, and one consumer: each frame
 * comes out once and in order, and memory and descriptors stay as they were.
 *
 * PCAPTS_TEST_SOAK_FRAMES=1000000   another number of frames
 * PCAPTS_TEST_DOCS=1                writes the report into docs/outages.md
 */
import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { describeMachine } from "../../bench/machine.ts";
import { formatCount, machineFacts } from "../../bench/tables.ts";
import { encodePcap } from "../../src/capture-file/pcap-writer.ts";
import { createTopic, startBroker } from "../brokers.ts";
import { PCAPTS, readConsumedCounts, readLedger } from "../integration/pcapts-process.ts";
import { countDescriptors, readResidentMegabytes } from "../resident-memory.ts";
import { writeReport } from "./report.ts";
import { NumberedStream, numberedRecords } from "./numbered-stream.ts";

const FRAMES = Number(process.env["PCAPTS_TEST_SOAK_FRAMES"] ?? 50_000_000);
const FRAMES_AT_ONCE = 4_096;
/** So far the consumer may be behind: less than the topic keeps. */
const MOST_BEHIND = 3_000_000;
const KILLED_AT = 0.45;
/** When both programs are looked at; at the very end they are gone. */
const SHARES = [0.001, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99];
/** What is beside the memory for frames: `queue.buffering.max.kbytes`, 128 MiB, of a producer. */
const MOST_MEGABYTES = 128 + 150;
/** Connections come and go around a kill. */
const MORE_DESCRIPTORS = 4;

type Program = ChildProcessByStdio<Writable, Readable, Readable>;

/** One look at both programs. */
interface Sample {
  readonly share: string;
  readonly producer: { readonly megabytes: number; readonly descriptors: number };
  readonly consumer: { readonly megabytes: number; readonly descriptors: number };
}

test(
  `${FRAMES} frames pass with flat memory and descriptors, and a kill of Kafka in between`,
  { timeout: 1_700_000 },
  async () => {
    const machine = describeMachine();
    const broker = await startBroker({
      jvm: "server",
      heapMegabytes: 1024,
      properties: {
        "log.retention.check.interval.ms": 5000,
        "log.initial.task.delay.ms": 5000,
      },
    });
    try {
      await createTopic(broker.bootstrap, "soak", {
        partitions: 4,
        config: { "retention.bytes": 512 << 20, "segment.bytes": 128 << 20 },
      });
      const way = ["-k", broker.bootstrap, "-t", "soak"];
      const producer = start(["-p", ...way, "-r", "-", "-X", "message.timeout.ms=0"]);
      const consumer = start(["-c", ...way, "-o", "begin", "--unordered", "-m", String(FRAMES)]);
      const read = new NumberedStream();
      const samples: Sample[] = [];
      consumer.program.stdout.on("data", (bytes: Buffer) => {
        read.take(bytes);
        const share = SHARES[samples.length];
        if (share === undefined || read.count < FRAMES * share) return;
        samples.push({
          share: `${Number((100 * share).toFixed(1))} %`,
          producer: lookAt(producer.program),
          consumer: lookAt(consumer.program),
        });
      });

      const begin = performance.now();
      producer.program.stdin.write(encodePcap([]));
      let fed = 0;
      let isKilled = false;
      let restarted: Promise<void> = Promise.resolve();
      while (fed < FRAMES) {
        const count = Math.min(FRAMES_AT_ONCE, FRAMES - fed);
        const isTaken = producer.program.stdin.write(numberedRecords(fed, count));
        fed += count;
        if (!isTaken) await once(producer.program.stdin, "drain");
        if (!isKilled && fed >= FRAMES * KILLED_AT) {
          isKilled = true;
          restarted = broker.kill().then(() => broker.start());
        }
        while (fed - read.count > MOST_BEHIND) {
          assert.equal(consumer.program.exitCode, null, consumer.said());
          assert.equal(producer.program.exitCode, null, producer.said());
          await sleep(5);
        }
      }
      await restarted;
      producer.program.stdin.end();
      const statuses = await Promise.all([producer.ended, consumer.ended]);
      const seconds = (performance.now() - begin) / 1000;

      assert.deepEqual(statuses, [0, 0], producer.said() + consumer.said());
      assert.equal(readLedger(producer.said()).acknowledged, FRAMES);
      assert.equal(readConsumedCounts(consumer.said()).written, FRAMES);
      assert.equal(read.count, FRAMES);
      assert.equal(samples.length, SHARES.length);
      for (const program of ["producer", "consumer"] as const) {
        const [, first, ...others] = samples.map((sample) => sample[program]);
        for (const { megabytes, descriptors } of others) {
          assert.ok(megabytes < MOST_MEGABYTES, `${program}: ${megabytes.toFixed(0)} MB`);
          const most = first!.descriptors + MORE_DESCRIPTORS;
          assert.ok(descriptors <= most, `${program}: ${descriptors} descriptors, ${most} at most`);
        }
      }
      writeReport(
        "soak",
        [
          ...machineFacts(machine),
          `${formatCount(FRAMES)} frames of 200 bytes in ${seconds.toFixed(0)} s, ` +
            `${formatCount(FRAMES / seconds)} a second, through producer, Kafka and consumer at once; ` +
            `Kafka was killed with -9 at ${100 * KILLED_AT} % and started again`,
        ],
        [
          ["read so far", "producer", "descriptors", "consumer", "descriptors"],
          ...samples.map(({ share, ...of }) => [
            share,
            `${of.producer.megabytes.toFixed(0)} MB`,
            String(of.producer.descriptors),
            `${of.consumer.megabytes.toFixed(0)} MB`,
            String(of.consumer.descriptors),
          ]),
        ],
      );
    } finally {
      await broker.remove();
    }
  },
);

function start(args: readonly string[]): {
  program: Program;
  said: () => string;
  ended: Promise<number | null>;
} {
  const program = spawn(process.execPath, [PCAPTS, ...args]);
  let stderr = "";
  program.stderr.on("data", (bytes: Buffer) => (stderr += bytes.toString()));
  program.stdin.on("error", () => {});
  const ended = once(program, "close").then(([status]) => status as number | null);
  return { program, said: () => stderr, ended };
}

function lookAt({ pid }: Program): { megabytes: number; descriptors: number } {
  return { megabytes: readResidentMegabytes(pid!), descriptors: countDescriptors(pid!) };
}
