import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { generateCapture } from "../../bench/generate-capture.ts";
import { randomTopicName } from "../brokers.ts";
import { type CapturedFrame, readCapture, wholeFrames } from "../capture-frames.ts";
import { type EmbeddedBroker, startEmbeddedBroker } from "../embedded-broker.ts";
import { committedOffsets } from "../integration/group-offsets.ts";
import { assertFilesHold } from "../integration/killed-consumer.ts";
import { readCaptureInfo } from "../integration/other-programs.ts";
import {
  assertNoStackTrace,
  eventually,
  PCAPTS,
  publish,
  readConsumedCounts,
  runPcapts,
  RunningProcess,
  startPcapts,
  succeedPcapts,
} from "../integration/pcapts-process.ts";
import { type DiskFault, FaultyDisk, SmallDisk } from "./faulty-disk.ts";

/* Consumers whose disk is full, or broken. */

const FRAMES = 6000;
const FRAME_BYTES = 1000;
const ROOM_BYTES = 3_000_000;

let scratch: string;
let broker: EmbeddedBroker;
let topic: string;
let sent: readonly CapturedFrame[];
/** Fetches of a client wait from its 20th on, if it is named here. */
const held = new Map<string, Promise<void>>();
const fetches = new Map<string, number>();
before(async () => {
  scratch = mkdtempSync(path.join(tmpdir(), "pcapts-consumer-disk-"));
  broker = await startEmbeddedBroker({
    faults: {
      onRequest: ({ api, clientId }) => {
        const until = held.get(clientId);
        if (api !== "Fetch" || until === undefined) return undefined;
        const count = (fetches.get(clientId) ?? 0) + 1;
        fetches.set(clientId, count);
        return count < 20 ? undefined : { until };
      },
    },
  });
  topic = randomTopicName();
  const capture = path.join(scratch, "sent.pcap");
  generateCapture(capture, { frames: FRAMES, frameBytes: FRAME_BYTES });
  sent = readCapture(readFileSync(capture)).frames;
  await publish(broker.bootstrap, topic, capture, "--partitions", "3", "-X", "batch.size=50000");
});
after(async () => {
  await broker.remove();
  rmSync(scratch, { recursive: true, force: true });
});

const reading = (...args: readonly string[]): string[] =>
  ["-c", "-k", broker.bootstrap, "-t", topic, "-o", "begin"].concat(args);

async function countCommitted(group: string): Promise<number> {
  const offsets = await committedOffsets(broker.bootstrap, group, topic);
  return offsets.reduce((sum, { offset }) => sum + offset, 0);
}

/** Random payloads do not become smaller: the codecs of outputs fill a disk as well. */
async function publishRandom(): Promise<string> {
  const random = randomTopicName("random");
  const capture = path.join(scratch, "random.pcap");
  generateCapture(capture, { frames: FRAMES, frameBytes: FRAME_BYTES });
  const bytes = readFileSync(capture);
  for (let at = 24; at < bytes.length; at += 16 + FRAME_BYTES) {
    randomFillSync(bytes, at + 16 + 54, FRAME_BYTES - 54);
  }
  writeFileSync(capture, bytes);
  await publish(broker.bootstrap, random, capture, "--partitions", "2");
  rmSync(capture);
  return random;
}

for (const [what, name, args] of [
  ["a pcap file", "out.pcap", []],
  ["a pcapng file", "out.pcapng", ["-F", "pcapng"]],
  ["a ring of pcapng files", "ring.pcapng", ["-F", "pcapng", "-b", "packets:500"]],
  ["the ring of a group", "ring.pcap", ["-X", "group.id=GROUP", "-b", "filesize:700"]],
] as const) {
  test(`a full disk ends ${what} behind a whole frame, and the counts say how many are there`, async () => {
    const disk = new SmallDisk(ROOM_BYTES);
    try {
      const group = randomTopicName("group");
      const line = reading("-e", "-w", path.join(disk.path, name));
      const { status, stderr } = await runPcapts([
        ...line,
        ...args.map((arg) => arg.replace("GROUP", group)),
      ]);
      assert.equal(status, 1, stderr);
      assert.match(stderr, /ERROR: Cannot write ".*": no space left on the device/);
      assertNoStackTrace(stderr);
      let frames = 0;
      for (const file of readdirSync(disk.path)) {
        if (file.endsWith(".offsets") || file.endsWith(".new")) continue;
        // capinfos fails on a file that is cut.
        frames += (await readCaptureInfo(path.join(disk.path, file))).frames;
      }
      const { read, written } = readConsumedCounts(stderr);
      assert.deepEqual([read, written], [frames, frames], stderr);
      assert.ok(frames > 1000 && frames < FRAMES, `${frames} frames`);
    } finally {
      disk.remove();
    }
  });
}

for (const args of [[], ["-b", "packets:2000"]]) {
  test(`a full disk ends a compressed ${args.length === 0 ? "file" : "ring"} behind a whole member, and the counts say how many frames are there`, async () => {
    const random = await publishRandom();
    const disk = new SmallDisk(ROOM_BYTES);
    try {
      const line = ["-c", "-k", broker.bootstrap, "-t", random, "-o", "begin", "-e"];
      const out = ["-w", path.join(disk.path, "out.pcap.gz"), "--compress-output", "gzip"];
      const { status, stderr } = await runPcapts([...line, ...out, ...args]);
      assert.equal(status, 1, stderr);
      assert.match(stderr, /ERROR: Cannot write ".*": no space left on the device/);
      const frames = readdirSync(disk.path)
        .map((file) => readFileSync(path.join(disk.path, file)))
        .filter(({ length }) => length > 0)
        .reduce((sum, file) => sum + readCapture(gunzipSync(file)).frames.length, 0);
      const { read, written } = readConsumedCounts(stderr);
      assert.deepEqual([read, written], [frames, frames], stderr);
      assert.ok(frames > 0 && frames < FRAMES, `${frames} frames`);
    } finally {
      disk.remove();
    }
  });
}

for (const [what, args] of [
  ["text of a group", ["-pp", "1", "-X", "group.id=GROUP"]],
  ["a capture of a group", ["-X", "group.id=GROUP"]],
] as const) {
  test(`${what} on standard output says that the disk is full, and ends with 1`, async () => {
    const disk = new SmallDisk(ROOM_BYTES);
    try {
      const group = randomTopicName("group");
      const line = reading("-e", ...args.map((arg) => arg.replace("GROUP", group)));
      const out = path.join(disk.path, "out");
      const shell = `exec "$@" > ${out}`;
      const command = ["sh", "-c", shell, "sh", process.execPath, PCAPTS, ...line];
      const { status, stderr } = await new RunningProcess(command).ended;
      assert.equal(status, 1, stderr);
      assert.match(stderr, /ERROR: Cannot write .*: no space left on the device/);
      assertNoStackTrace(stderr);
      const { written } = readConsumedCounts(stderr);
      assert.ok(written < FRAMES);
      // As many as found room.
      if (args[0] !== "-pp") assert.equal(written, wholeFrames(readFileSync(out)).length);
      assert.ok((await countCommitted(group)) <= written);
    } finally {
      disk.remove();
    }
  });
}

for (const [what, name, args] of [
  ["one file", "out.pcap", []],
  ["a ring", "ring.pcapng", ["-F", "pcapng", "-b", "filesize:500"]],
  ["a compressed ring", "ring.pcap.gz", ["--compress-output", "gzip", "-b", "packets:500"]],
] as const) {
  test(`a group whose disk was full goes on with ${what} when there is room: every frame is there once`, async () => {
    // Of what is compressed far more finds room.
    const disk = new SmallDisk(name.endsWith(".gz") ? 300_000 : ROOM_BYTES);
    try {
      const group = `group.id=${randomTopicName("group")}`;
      const line = reading("-e", "-w", path.join(disk.path, name), "-X", group, ...args);
      for (let turn = 0; turn < 2; turn++) {
        const { status, stderr } = await runPcapts(line);
        assert.equal(status, 1, stderr);
        assert.match(stderr, /no space left on the device/);
      }
      disk.resize(100_000_000);
      await succeedPcapts(line);
      await assertFilesHold([disk.path], sent);
    } finally {
      disk.remove();
    }
  });
}

const FAULTS: readonly (readonly [DiskFault, RegExp, readonly string[]])[] = [
  ["write EIO", /Cannot write ".*": input\/output error/, ["-b", "packets:700"]],
  ["sync EIO", /Cannot write ".*": input\/output error/, []],
];

for (const [fault, reason, args] of FAULTS) {
  test(`a ${fault} in the middle of a group's ${args.length === 0 ? "file" : "ring"} ends the run; what is committed is there, and the next one goes on`, async () => {
    const disk = new FaultyDisk();
    try {
      const group = randomTopicName("group");
      const line = reading("-w", path.join(disk.path, "out.pcap"), "-X", `group.id=${group}`);
      const quick = ["-X", "auto.commit.interval.ms=20", "-X", "fetch.message.max.bytes=20000"];
      let goOn = (): void => {};
      held.set(
        group,
        new Promise((resolve) => {
          goOn = resolve;
        }),
      );
      const consumer = startPcapts([...line, ...args, ...quick, "-X", `client.id=${group}`], {
        env: disk.env,
      });
      await eventually("a commit", async () => (await countCommitted(group)) > 0, 60_000);
      disk.fail(fault);
      goOn();
      const { status, stderr } = await consumer.ended;
      assert.equal(status, 1, stderr);
      assert.match(stderr, reason);
      assertNoStackTrace(stderr);
      assert.ok((await countCommitted(group)) < FRAMES);
      disk.mend();
      await succeedPcapts([...line, ...args, "-e"]);
      await assertFilesHold([disk.path], sent);
    } finally {
      disk.remove();
    }
  });
}

test("a disk that fails before anything is written is named, and nothing is committed", async () => {
  const disk = new FaultyDisk();
  try {
    for (const [fault, reason] of FAULTS) {
      const group = randomTopicName("group");
      disk.fail(fault);
      const file = path.join(disk.path, `${group}.pcap`);
      const line = reading("-e", "-w", file, "-X", `group.id=${group}`);
      const { status, stderr } = await runPcapts(line, { env: disk.env });
      assert.equal(status, 1, stderr);
      assert.match(stderr, reason);
      assert.equal(await countCommitted(group), 0);
      disk.mend();
      await succeedPcapts(line);
      assert.equal((await readCaptureInfo(file)).frames, FRAMES);
    }
  } finally {
    disk.remove();
  }
});
