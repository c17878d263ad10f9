import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { constants, gunzipSync } from "node:zlib";
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

/** A machine may be busy. */
const PATIENCE_MS = 50_000;

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
    "-X session.timeout.ms=3000 -X heartbeat.interval.ms=100";
  const consumer = startPcapts([...line.split(" "), ...args]);
  consumer.child.stdout.pause();
  return consumer;
}

/** Waits until a member does nothing but say that it is there. */
async function stalls(consumer: RunningProcess, group: string, heartbeats: number): Promise<void> {
  await consumer.says(/this member reads partition\(s\) 0, 1, 2/, PATIENCE_MS);
  await eventually(
    "only heartbeats",
    () => {
      const last = requests.get(group)?.slice(-heartbeats) ?? [];
      return last.length === heartbeats && last.every((api) => api === "Heartbeat");
    },
    PATIENCE_MS,
  );
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
  await stalls(consumer, group, 35);
  const megabytes = peakMegabytes(consumer);
  t.diagnostic(`${megabytes.toFixed(0)} MB at most while stalled`);
  assert.ok(megabytes < MOST_MEGABYTES, `${megabytes} MB`);
  // What stands in the pipe, and in the test's own buffer, is all that can be committed.
  assert.ok((await countCommitted(group)) < 1000);

  consumer.child.stdout.resume();
  await eventually(
    "everything committed",
    async () => (await countCommitted(group)) === FRAMES,
    PATIENCE_MS,
  );
  consumer.child.kill("SIGTERM");
  const { status, stdout, stderr } = await consumer.ended;
  assert.equal(status, 0, stderr);
  assert.doesNotMatch(stderr, /generation [^1]/);
  assertSameFrames(readCapture(stdout).frames, readCapture(readFileSync(sentFile)).frames);
});

/** Its output may stand still for no longer than this. */
const QUICK_TO_LEAVE = ["-X", "max.poll.interval.ms=3000"];
const LEAVES =
  /WARN: Group ".*": the output has taken nothing for 3 s \(max\.poll\.interval\.ms\): this member leaves/;

test("a member whose reader takes nothing for max.poll.interval.ms leaves; once it is read it joins again, and nothing is repeated", async (t) => {
  const group = randomTopicName("group");
  const consumer = joinWithoutReader(group, ...QUICK_TO_LEAVE);
  await consumer.says(LEAVES, PATIENCE_MS);
  await eventually("no request at all", async () => {
    const count = requests.get(group)!.length;
    await new Promise((resolve) => setTimeout(resolve, 500));
    return requests.get(group)!.at(-1) === "LeaveGroup" && requests.get(group)!.length === count;
  });
  t.diagnostic(`${peakMegabytes(consumer).toFixed(0)} MB at most while stalled`);
  assert.ok(peakMegabytes(consumer) < MOST_MEGABYTES, `${peakMegabytes(consumer)} MB`);

  consumer.child.stdout.resume();
  await eventually(
    "everything committed",
    async () => (await countCommitted(group)) === FRAMES,
    PATIENCE_MS,
  );
  consumer.child.kill("SIGTERM");
  const { status, stdout, stderr } = await consumer.ended;
  assert.equal(status, 0, stderr);
  assert.equal([...stderr.matchAll(/ WARN: /g)].length, 1, stderr);
  assertSameFrames(readCapture(stdout).frames, readCapture(readFileSync(sentFile)).frames);
});

test("what a member that left had not committed another one reads, and neither writes a frame twice", async () => {
  const group = randomTopicName("group");
  const stalled = joinWithoutReader(group, ...QUICK_TO_LEAVE);
  await stalled.says(LEAVES, PATIENCE_MS);
  const own = await countCommitted(group);
  const other = joinWithoutReader(group, ...QUICK_TO_LEAVE);
  other.child.stdout.resume();
  await eventually(
    "everything committed",
    async () => (await countCommitted(group)) === FRAMES,
    PATIENCE_MS,
  );
  stalled.child.stdout.resume();
  await stalled.says(
    /generation \d+: this member reads[^]*generation \d+: this member reads/,
    PATIENCE_MS,
  );
  for (const { child } of [stalled, other]) child.kill("SIGTERM");
  const [first, second] = await Promise.all([stalled.ended, other.ended]);
  assert.deepEqual([first.status, second.status], [0, 0], first.stderr + second.stderr);
  const sent = readCapture(readFileSync(sentFile)).frames;
  const label = ({ seconds, fraction, bytes }: (typeof sent)[number]): string =>
    `${seconds}.${fraction} ${bytes.toString("latin1", 14, 60)}`;
  const [mine, theirs] = [first, second].map(({ stdout }) => readCapture(stdout).frames.map(label));
  assert.equal(new Set(theirs).size, theirs!.length);
  assert.equal(new Set(mine).size, mine!.length);
  assert.deepEqual(new Set([...mine!, ...theirs!]), new Set(sent.map(label)));
  // What it had committed nobody reads again.
  assert.equal(theirs!.length, FRAMES - own);
});

/** The first member goes out after a second at the latest, and may find room in a pipe. */
function framesInMembers(bytes: Buffer): number {
  const plain = gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH });
  return plain.length < 24 ? 0 : wholeFrames(plain).length;
}

function linesIn(bytes: Buffer): number {
  return [...bytes.toString().matchAll(/^Packet\[.*\n/gm)].length;
}

describe("a stop while the reader takes nothing", { concurrency: 3 }, () => {
  for (const [what, args, framesIn] of [
    ["a capture", [], (bytes: Buffer) => wholeFrames(bytes).length],
    ["a compressed capture", ["--compress-output", "gzip"], framesInMembers],
    ["text", ["-pp", "1", "--pretty-print-format", "line"], linesIn],
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
      assert.ok((await countCommitted(group)) <= framesIn(stdout));
    });
  }
});
