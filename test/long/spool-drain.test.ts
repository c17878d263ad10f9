/*
 * How fast a spool is sent while an interface is captured at 100,000 frames a second, beside what publishing a
 * file does in the same run; and the memory of an outage.
 *
 * PCAPTS_TEST_DRAIN_ROUNDS=5         how often; 3
 * PCAPTS_TEST_DRAIN_FRAMES=5000000   frames in the spool; 3,000,000
 * PCAPTS_TEST_DOCS=1                 writes the report into docs/outages.md
 */
import assert from "node:assert/strict";
import { createReadStream, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { generateCapture } from "../../bench/generate-capture.ts";
import { FRAME_BYTES, Traffic } from "../../bench/live/traffic.ts";
import { describeMachine } from "../../bench/machine.ts";
import { formatCount, machineFacts } from "../../bench/tables.ts";
import { encodePcap } from "../../src/capture-file/pcap-writer.ts";
import { createTopic, startBroker, type TestBroker } from "../brokers.ts";
import { askLedger, eventually, readLedger, startPcapts } from "../integration/pcapts-process.ts";
import { readPeakMegabytes } from "../resident-memory.ts";
import { writeReport } from "./report.ts";

const ROUNDS = Number(process.env["PCAPTS_TEST_DRAIN_ROUNDS"] ?? 3);
const FRAMES = Number(process.env["PCAPTS_TEST_DRAIN_FRAMES"] ?? 3_000_000);
const LIVE_FRAMES_PER_SECOND = 100_000;
/** Between two of tcpreplay's runs there is nothing on the interface. */
const REPLAY_SECONDS = 5;
const FILE_HEADER_BYTES = 24;
const PATIENCE_MS = 600_000;
const LIMIT = { limitMs: PATIENCE_MS };
/** `queue.buffering.max.kbytes`, 128 MiB, and what may be beside it. */
const MOST_MEGABYTES = 128 + 150;
/** Of the capture: four of 1 MiB, and the kernel's. */
const CAPTURE_MEGABYTES = 8;

/** What a round measured. */
interface DrainRound {
  /** Publishing the file, frames a second. */
  readonly normal: number;
  /** Acknowledged frames a second until the spool was empty, new ones included. */
  readonly draining: number;
  /** Those that were in the spool at the start alone. */
  readonly drained: number;
  /** Captured frames a second meanwhile: a busy machine sends fewer than it is asked for. */
  readonly live: number;
  /** By the kernel, until the capture ended. */
  readonly dropped: string;
  /** Memory while Kafka was away, and while the spool was sent. */
  readonly outageMegabytes: number;
  readonly drainMegabytes: number;
}

const scratch = mkdtempSync(path.join(tmpdir(), "pcapts-drain-"));
const file = path.join(scratch, "in.pcap");

test(
  "a spool is sent while an interface is captured, in bounded memory",
  { timeout: 1_700_000 },
  async () => {
    const machine = describeMachine();
    generateCapture(file, { frames: FRAMES, frameBytes: FRAME_BYTES });
    const broker = await startBroker({
      jvm: "server",
      heapMegabytes: 1024,
      properties: {
        "log.retention.check.interval.ms": 60_000,
        "log.initial.task.delay.ms": 30_000,
      },
    });
    const traffic = await Traffic.create(scratch);
    try {
      // The broker's JVM compiles what it meets.
      await publishFile(broker, "warm");
      const rounds: DrainRound[] = [];
      for (let n = 1; n <= ROUNDS; n++) {
        const spool = path.join(scratch, `spool-${n}`);
        const normal = await publishFile(broker, `normal-${n}`);
        const outageMegabytes = await fillSpool(broker, `spooled-${n}`, spool);
        rounds.push({
          normal,
          outageMegabytes,
          ...(await drain(broker, traffic, `spooled-${n}`, spool)),
        });
        rmSync(spool, { recursive: true, force: true });
      }
      for (const { outageMegabytes, drainMegabytes } of rounds) {
        assert.ok(
          outageMegabytes < MOST_MEGABYTES,
          `${outageMegabytes.toFixed(0)} MB in an outage`,
        );
        const most = MOST_MEGABYTES + CAPTURE_MEGABYTES;
        assert.ok(drainMegabytes < most, `${drainMegabytes.toFixed(0)} MB while it is sent`);
      }
      tell(machine, rounds);
    } finally {
      await traffic.remove();
      await broker.remove();
      rmSync(scratch, { recursive: true, force: true });
    }
  },
);

/** @returns frames a second, from the first one on */
async function publishFile(broker: TestBroker, topic: string): Promise<number> {
  await createTopic(broker.bootstrap, topic, {
    partitions: 4,
    config: { "retention.bytes": 1 << 28 },
  });
  const args = ["-p", "-k", broker.bootstrap, "-t", topic, "-r", file];
  const running = startPcapts(args, LIMIT);
  await running.says(/Starting packet capture/, PATIENCE_MS);
  const begin = performance.now();
  const { status, stderr } = await running.ended;
  assert.equal(status, 0, stderr);
  return FRAMES / ((performance.now() - begin) / 1000);
}

/** Leaves the file in a spool, because Kafka is away; it is back then. @returns the most memory that took */
async function fillSpool(broker: TestBroker, topic: string, spool: string): Promise<number> {
  await createTopic(broker.bootstrap, topic, {
    partitions: 4,
    config: { "retention.bytes": 1 << 28 },
  });
  const args = ["-p", "-k", broker.bootstrap, "-t", topic, "-r", "-", "--flush-timeout", "0.1"];
  const running = startPcapts([...args, ...spoolOptions(spool)], LIMIT);
  running.child.stdin.write(encodePcap([]));
  await running.says(/Starting packet capture/, PATIENCE_MS);
  await broker.kill();
  createReadStream(file, { start: FILE_HEADER_BYTES }).pipe(running.child.stdin, { end: false });
  const isAllTaken = async () => (await askLedger(running)).captured === FRAMES;
  await eventually("all frames in memory and spool", isAllTaken, PATIENCE_MS);
  const peak = readPeakMegabytes(running.child.pid!);
  running.child.kill("SIGTERM");
  const { stderr } = await running.ended;
  assert.equal(readLedger(stderr).spooled, FRAMES, stderr);
  await broker.start();
  return peak;
}

/** Captures an interface while the spool is sent. */
async function drain(
  broker: TestBroker,
  traffic: Traffic,
  topic: string,
  spool: string,
): Promise<Omit<DrainRound, "normal" | "outageMegabytes">> {
  const drained = new AbortController();
  const sending = (async () => {
    while (!drained.signal.aborted) {
      await traffic.replay(REPLAY_SECONDS * LIVE_FRAMES_PER_SECOND, LIVE_FRAMES_PER_SECOND);
    }
  })();
  const args = ["-p", "-k", broker.bootstrap, "-t", topic, "-i", traffic.interfaceName];
  const running = startPcapts([...args, ...spoolOptions(spool), "--flush-timeout", "60"], LIMIT);
  await running.says(/Starting packet capture/, PATIENCE_MS);
  const begin = performance.now();
  let ledger = await askLedger(running);
  while (ledger.spooled > 0) ledger = await askLedger(running);
  const seconds = (performance.now() - begin) / 1000;
  const drainMegabytes = readPeakMegabytes(running.child.pid!);
  drained.abort();
  await sending;
  running.child.kill("SIGTERM");
  const { status, stderr } = await running.ended;
  assert.equal(status, 0, stderr);
  const end = readLedger(stderr);
  assert.equal(end.found, FRAMES);
  assert.equal(end.acknowledged, end.found + end.captured, stderr);
  return {
    draining: ledger.acknowledged / seconds,
    drained: FRAMES / seconds,
    live: ledger.captured / seconds,
    dropped: end.droppedByKernel,
    drainMegabytes,
  };
}

function spoolOptions(spool: string): string[] {
  return ["--spool-dir", spool, "--spool-size", "20G"];
}

function tell(machine: ReturnType<typeof describeMachine>, rounds: readonly DrainRound[]): void {
  const ratios = rounds.map(({ draining, normal }) => draining / normal).toSorted((a, b) => a - b);
  const median = ratios[Math.floor(ratios.length / 2)]!;
  writeReport(
    "drain",
    [
      ...machineFacts(machine),
      `${formatCount(FRAMES)} frames of ${FRAME_BYTES} bytes in the spool, ` +
        `tcpreplay was asked for ${formatCount(LIVE_FRAMES_PER_SECOND)} frames a second on the interface meanwhile`,
      `ratio: median ${median.toFixed(2)}, ${ratios[0]!.toFixed(2)} to ${ratios.at(-1)!.toFixed(2)}`,
    ],
    [
      [
        "round",
        "publishing a file, frames/s",
        "while the spool is sent, frames/s",
        "ratio",
        "of the spool alone, frames/s",
        "captured meanwhile, frames/s",
        "dropped by the kernel",
        "peak memory of the outage",
        "peak memory of sending",
      ],
      ...rounds.map((round, index) => [
        String(index + 1),
        formatCount(round.normal),
        formatCount(round.draining),
        (round.draining / round.normal).toFixed(2),
        formatCount(round.drained),
        formatCount(round.live),
        round.dropped,
        `${round.outageMegabytes.toFixed(0)} MB`,
        `${round.drainMegabytes.toFixed(0)} MB`,
      ]),
    ],
  );
}
