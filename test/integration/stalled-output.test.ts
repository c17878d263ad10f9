import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { generateCapture } from "../../bench/generate-capture.ts";
import { randomTopicName } from "../brokers.ts";
import { assertSameFrames, readCapture, wholeFrames } from "../capture-frames.ts";
import { type EmbeddedBroker, startEmbeddedBroker } from "../embedded-broker.ts";
import { committedOffsets } from "./group-offsets.ts";
import { eventually, publish, startPcapts } from "./pcapts-process.ts";
import type { RunningProcess } from "./pcapts-process.ts";

/*
 * Readers of standard output that take nothing: a pipe is full after 64 KiB, and what a consumer
 * does then must not cost memory, the place in its group, or frames.
 */

const directory = mkdtempSync(path.join(tmpdir(), "pcapts-stalled-"));
const sentFile = path.join(directory, "sent.pcap");
const topic = randomTopicName();
const FRAMES = 90_000;
const FRAME_BYTES = 1514;

/** Far below what the topic holds. */
const MOST_MEGABYTES = 230;

/** Requests that the broker saw, by client id, in their order. */
const requests = new Map<string, string[]>();
let broker: EmbeddedBroker;
before(async () => {
  broker = await startEmbeddedBroker({
    faults: {
      onRequest({ api, clientId }) {
        requests.set(clientId, [...(requests.get(clientId) ?? []), api]);
        return undefined;
      },
    },
  });
  generateCapture(sentFile, { frames: FRAMES, frameBytes: FRAME_BYTES });
  await publish(broker.bootstrap, topic, sentFile, "--partitions", "3");
});
after(async () => {
  await broker.remove();
  rmSync(directory, { recursive: true, force: true });
});

/** A member whose standard output nobody reads. */
function joinWithoutReader(group: string, ...args: readonly string[]): RunningProcess {
  const line =
    `-c -k ${broker.bootstrap} -t ${topic} -o begin -X group.id=${group} -X client.id=${group} ` +
    "-X session.timeout.ms=1000 -X heartbeat.interval.ms=100";
  const consumer = startPcapts([...line.split(" "), ...args]);
  consumer.child.stdout.pause();
  return consumer;
}

/** Waits until a member does nothing but say that it is there. */
async function stalls(consumer: RunningProcess, group: string, heartbeats: number): Promise<void> {
  await consumer.says(/this member reads partition\(s\) 0, 1, 2/);
  await eventually("only heartbeats", () => {
    const last = requests.get(group)?.slice(-heartbeats) ?? [];
    return last.length === heartbeats && last.every((api) => api === "Heartbeat");
  });
}

async function countCommitted(group: string): Promise<number> {
  const offsets = await committedOffsets(broker.bootstrap, group, topic);
  return offsets.reduce((sum, { offset }) => sum + offset, 0);
}

function peakMegabytes(consumer: RunningProcess): number {
  const status = readFileSync(`/proc/${consumer.child.pid}/status`, "ascii");
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

test("a reader that takes nothing stops the fetching: memory stays flat, the member keeps its place, and once read every frame is there", async (t) => {
  const group = randomTopicName("group");
  const consumer = joinWithoutReader(group);
  // For longer than a session lasts.
  await stalls(consumer, group, 15);
  const megabytes = peakMegabytes(consumer);
  t.diagnostic(`${megabytes.toFixed(0)} MB at most while stalled`);
  assert.ok(megabytes < MOST_MEGABYTES, `${megabytes} MB`);
  // What stands in the pipe, and in the test's own buffer, is all that can be committed.
  assert.ok((await countCommitted(group)) < 1000);

  consumer.child.stdout.resume();
  await eventually("everything committed", async () => (await countCommitted(group)) === FRAMES);
  consumer.child.kill("SIGTERM");
  const { status, stdout, stderr } = await consumer.ended;
  assert.equal(status, 0, stderr);
  assert.doesNotMatch(stderr, /generation [^1]/);
  assertSameFrames(readCapture(stdout).frames, readCapture(readFileSync(sentFile)).frames);
});

describe("a stop while the reader takes nothing", { concurrency: 3 }, () => {
  for (const [what, args] of [
    ["a capture", []],
    ["a compressed capture", ["--compress-output", "gzip"]],
    ["text", ["-pp", "1"]],
  ] as const) {
    test(`SIGTERM ends a consumer of ${what} whose reader takes nothing, and what was not taken is not committed`, async () => {
      const group = randomTopicName("group");
      const consumer = joinWithoutReader(group, "--flush-timeout", "1", ...args);
      await stalls(consumer, group, 5);
      assert.ok(peakMegabytes(consumer) < MOST_MEGABYTES, `${peakMegabytes(consumer)} MB`);
      consumer.child.kill("SIGTERM");
      await consumer.says(/Cannot write the rest of the output: it takes nothing/);
      consumer.child.stdout.resume();
      const { status, stdout, stderr } = await consumer.ended;
      assert.equal(status, 1, stderr);
      const committed = await countCommitted(group);
      if (what === "a capture") assert.ok(committed <= wholeFrames(stdout).length);
      else assert.equal(committed, 0);
    });
  }
});
