import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { generateCapture } from "../../bench/generate-capture.ts";
import { createTopic, randomTopicName, sharedBroker, startBroker } from "../brokers.ts";
import { assertSameFrames, readCapture, wholeFrames } from "../capture-frames.ts";
import type { CapturedFrame } from "../capture-frames.ts";
import { committedOffsets, describeGroup } from "./group-offsets.ts";
import { eventually, publish, runPcapts, startPcapts } from "./pcapts-process.ts";
import type { RunningProcess } from "./pcapts-process.ts";

const directory = mkdtempSync(path.join(tmpdir(), "pcapts-groups-"));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));

function generate(frames: number, seed: number): string {
  const file = path.join(directory, `${frames}-${seed}.pcap`);
  generateCapture(file, { frames, seed });
  return file;
}

const framesOf = async (file: string): Promise<readonly CapturedFrame[]> =>
  readCapture(await readFile(file)).frames;

/** A consumer of a group, begun at the beginning of the topic. */
function join(bootstrap: string, topic: string, group: string, ...args: string[]): RunningProcess {
  const line = `-c -k ${bootstrap} -t ${topic} -X group.id=${group} -o begin --linktype 1`;
  const quick = "-X session.timeout.ms=6000 -X heartbeat.interval.ms=200";
  return startPcapts([...`${line} ${quick}`.split(" "), ...args]);
}

/** What a member wrote into its ring. */
function ringOf(folder: string): CapturedFrame[] {
  // Beside the captures stands what of them is committed.
  const names = readdirSync(folder).filter((name) => !name.endsWith(".offsets"));
  return names.flatMap((name) => [...readCapture(readFileSync(path.join(folder, name))).frames]);
}

test("members that join and leave in order share a topic: no frame is lost and none comes twice", async () => {
  const { bootstrap } = await sharedBroker();
  const topic = randomTopicName();
  const group = randomTopicName("group");
  await createTopic(bootstrap, topic, { partitions: 6 });
  const files = [generate(60_000, 102), generate(60_000, 104), generate(60_000, 106)] as const;

  const first = join(bootstrap, topic, group);
  await first.says(/this member reads partition\(s\) 0, 1, 2, 3, 4, 5/);
  const publishing = publish(bootstrap, topic, files[0]);
  // It keeps frames back for longer than a pipe does.
  const ring = mkdtempSync(path.join(directory, "ring-"));
  const output = path.join(ring, "of.pcap");
  const second = join(bootstrap, topic, group, "-w", output, "-b", "packets:7000");
  await second.says(/this member reads partition\(s\) \d, \d, \d$/m);
  await publishing;
  const third = join(bootstrap, topic, group);
  const publishingMore = publish(bootstrap, topic, files[1]);
  await third.says(/this member reads partition\(s\) \d, \d$/m);
  await publishingMore;
  // One leaves while frames pass.
  const publishingLast = publish(bootstrap, topic, files[2]);
  first.child.kill("SIGINT");
  const left = await first.ended;
  assert.equal(left.status, 0, left.stderr);
  await publishingLast;
  const sent = (await Promise.all(files.map((file) => framesOf(file)))).flat();
  await eventually(
    "every offset committed",
    async () => {
      const offsets = await committedOffsets(bootstrap, group, topic);
      return offsets.reduce((sum, { offset }) => sum + offset, 0) >= sent.length;
    },
    60_000,
  );
  for (const member of [second, third]) member.child.kill("SIGTERM");
  const ended = [left, await second.ended, await third.ended];
  assert.deepEqual(
    ended.map(({ status }) => status),
    [0, 0, 0],
  );
  assertSameFrames(
    [...readCapture(left.stdout).frames, ...ringOf(ring), ...readCapture(third.stdout).frames],
    sent,
  );
  // Every offset is committed, as Kafka's own tool shows it: whoever comes next begins at the end.
  const described = await describeGroup(bootstrap, group);
  assert.equal(described.length, 6);
  assert.deepEqual(
    described.map(({ lag }) => lag),
    [0, 0, 0, 0, 0, 0],
  );
  assert.equal(
    described.reduce((sum, { offset }) => sum + offset, 0),
    sent.length,
  );
  const next = await runPcapts(`-c -k ${bootstrap} -t ${topic} -X group.id=${group} -e`.split(" "));
  assert.equal(next.status, 0, next.stderr);
  assert.equal(readCapture(next.stdout).frames.length, 0);
});

test("a member that is killed loses nothing: its partitions go to the others after the session timeout", async () => {
  const { bootstrap } = await sharedBroker();
  const topic = randomTopicName();
  const group = randomTopicName("group");
  await createTopic(bootstrap, topic, { partitions: 4 });
  const files = [generate(50_000, 108), generate(50_000, 110)] as const;

  const killed = join(bootstrap, topic, group);
  const other = join(bootstrap, topic, group);
  await Promise.all(
    [killed, other].map((member) => member.says(/this member reads partition\(s\) \d, \d$/m)),
  );
  const publishing = publish(bootstrap, topic, files[0]);
  await killed.writes((stdout) => stdout.length > 500_000);
  killed.child.kill("SIGKILL");
  await publishing;
  await other.says(/this member reads partition\(s\) 0, 1, 2, 3/);
  await publish(bootstrap, topic, files[1]);
  const sent = [...(await framesOf(files[0])), ...(await framesOf(files[1]))];
  await eventually("all offsets committed", async () => {
    const offsets = await committedOffsets(bootstrap, group, topic);
    return offsets.reduce((sum, { offset }) => sum + offset, 0) === sent.length;
  });
  other.child.kill("SIGINT");
  assert.equal((await other.ended).status, 0);

  const got = [...wholeFrames((await killed.ended).stdout), ...readCapture(other.stdout).frames];
  const unique = [...new Map(got.map((frame) => [keyOf(frame), frame])).values()];
  assertSameFrames(unique, sent);
  // What comes twice had not been committed: at most a second's worth of one member's partitions.
  assert.ok(got.length - unique.length <= 50_000, `${got.length - unique.length} frames twice`);
});

const keyOf = ({ seconds, fraction, wireLength, bytes }: CapturedFrame): string =>
  `${seconds}.${fraction} ${wireLength} ${bytes.toString("latin1")}`;

test("-m commits exactly what was written: the next run goes on with the next frame", async () => {
  const { bootstrap } = await sharedBroker();
  const topic = randomTopicName();
  const group = randomTopicName("group");
  await createTopic(bootstrap, topic, { partitions: 1 });
  const file = generate(3000, 112);
  await publish(bootstrap, topic, file);
  const pieces: CapturedFrame[] = [];
  for (const count of [1, 999, 1500]) {
    const ended = await join(bootstrap, topic, group, "-m", String(count)).ended;
    assert.equal(ended.status, 0, ended.stderr);
    assert.equal(readCapture(ended.stdout).frames.length, count);
    pieces.push(...readCapture(ended.stdout).frames);
  }
  const rest = await join(bootstrap, topic, group, "-e").ended;
  assert.match(rest.stderr, /has offsets of its own and goes on there/);
  pieces.push(...readCapture(rest.stdout).frames);
  assertSameFrames(pieces, await framesOf(file));
});

test("a group without offsets starts at the end by default, and keeps that place across a restart", async () => {
  const { bootstrap } = await sharedBroker();
  const topic = randomTopicName();
  const group = randomTopicName("group");
  await createTopic(bootstrap, topic, { partitions: 2 });
  await publish(bootstrap, topic, generate(1000, 114));
  const args = ["-c", "-k", bootstrap, "-t", topic, "-X", `group.id=${group}`];
  const first = startPcapts(args);
  await first.says(/this member reads partition\(s\) 0, 1/);
  await eventually(
    "offsets at the end",
    async () => (await committedOffsets(bootstrap, group, topic)).length === 2,
  );
  first.child.kill("SIGINT");
  assert.equal(readCapture((await first.ended).stdout).frames.length, 0);
  const file = generate(2000, 116);
  await publish(bootstrap, topic, file);
  const second = await runPcapts([...args, "-e"]);
  assertSameFrames(readCapture(second.stdout).frames, await framesOf(file));
});

test("a coordinator that is killed and comes back finds its members, and no frame is lost", async () => {
  const broker = await startBroker();
  try {
    const { bootstrap } = broker;
    const topic = randomTopicName();
    const group = randomTopicName("group");
    await createTopic(bootstrap, topic, { partitions: 2 });
    const member = join(bootstrap, topic, group, "-ll", "DEBUG");
    await member.says(/this member reads partition\(s\) 0, 1/);
    const files = [generate(20_000, 118), generate(20_000, 120)] as const;
    await publish(bootstrap, topic, files[0]);
    await broker.kill();
    await broker.start();
    await publish(bootstrap, topic, files[1]);
    const sent = [...(await framesOf(files[0])), ...(await framesOf(files[1]))];
    await eventually("all offsets committed", async () => {
      const offsets = await committedOffsets(bootstrap, group, topic);
      return offsets.reduce((sum, { offset }) => sum + offset, 0) === sent.length;
    });
    member.child.kill("SIGINT");
    const ended = await member.ended;
    assert.equal(ended.status, 0, ended.stderr);
    const got = readCapture(ended.stdout).frames;
    const unique = [...new Map(got.map((frame) => [keyOf(frame), frame])).values()];
    assertSameFrames(unique, sent);
  } finally {
    await broker.remove();
  }
});

test("kcat and pcapts are members of one group, and share its partitions", async () => {
  const { bootstrap } = await sharedBroker();
  const topic = randomTopicName();
  const group = randomTopicName("group");
  await createTopic(bootstrap, topic, { partitions: 4 });
  const ours = join(bootstrap, topic, group);
  await ours.says(/this member reads partition\(s\) 0, 1, 2, 3/);
  const theirs = promisify(execFile)("kcat", [
    "-b",
    bootstrap,
    "-G",
    group,
    "-c",
    "1",
    "-q",
    "-f",
    "%p\n",
    topic,
  ]);
  await ours.says(/this member reads partition\(s\) \d, \d$/m);
  const file = generate(2000, 122);
  await publish(bootstrap, topic, file);
  const partition = Number((await theirs).stdout.trim().split("\n")[0]);
  const mine = /reads partition\(s\) (\d), (\d)$/m.exec(ours.stderr)!.slice(1).map(Number);
  assert.ok(
    !mine.includes(partition),
    `partition ${partition} is both ours (${mine.join()}) and kcat's`,
  );
  ours.child.kill("SIGINT");
  assert.equal((await ours.ended).status, 0);
});
