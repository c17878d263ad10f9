import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { generateCapture } from "../../bench/generate-capture.ts";
import { createTopic, randomTopicName } from "../brokers.ts";
import { type CapturedFrame, readCapture } from "../capture-frames.ts";
import { randomFrom } from "../kafka/numbered-frames.ts";
import { assertFilesHold, joinWriting, KillingBroker } from "./killed-consumer.ts";
import { eventually, publish, type RunningProcess } from "./pcapts-process.ts";

const FRAMES = 60_000;
const ROUNDS = 3;

/** A machine may be busy. */
const PATIENCE_MS = 60_000;

const scratch = mkdtempSync(path.join(tmpdir(), "pcapts-resumed-"));
const topic = randomTopicName();
let broker: KillingBroker;
let sent: readonly CapturedFrame[];
before(async () => {
  broker = await KillingBroker.start();
  sent = await broker.fill(topic, FRAMES, scratch);
});
after(async () => {
  await broker.remove();
  rmSync(scratch, { recursive: true, force: true });
});

let folders = 0;
function newFolder(): string {
  const folder = path.join(scratch, String(folders++));
  mkdirSync(folder);
  return folder;
}

describe("a member of a group that is killed again and again", { concurrency: 3 }, () => {
  for (const [what, name, args] of [
    ["a ring of pcap files", "ring.pcap", ["-b", "filesize:1500"]],
    [
      "a compressed ring of pcapng files",
      "ring.pcapng.gz",
      ["-F", "pcapng", "--compress-output", "gzip", "-b", "packets:7000"],
    ],
    ["one compressed pcapng file", "one.pcapng.zst", ["-F", "pcapng", "--compress-output", "zstd"]],
  ] as const) {
    test(`${what} has every frame once`, async (t) => {
      const seed = Math.floor(Math.random() * 2 ** 31);
      t.diagnostic(`seed ${seed}`);
      const random = randomFrom(seed);
      const folder = newFolder();
      const member = { topic, group: randomTopicName("group"), name: randomTopicName("member") };
      const line = ["-w", path.join(folder, name), ...args];
      for (let round = 0; round < ROUNDS; round++) {
        const consumer = joinWriting(broker.bootstrap, member, ...line);
        broker.killAtRandom(consumer, member.name, random);
        let isOver = false;
        void consumer.ended.then(() => (isOver = true));
        await eventually(
          "the kill, or the end",
          async () => {
            await sleep(100);
            return isOver || (await broker.committedCount(member.group, topic)) === FRAMES;
          },
          PATIENCE_MS,
        );
        consumer.child.kill("SIGKILL");
        const { status, stderr } = await consumer.ended;
        assert.equal(status, "SIGKILL", stderr);
      }
      const last = joinWriting(broker.bootstrap, member, ...line, "-e");
      const { status, stderr } = await last.ended;
      assert.equal(status, 0, stderr);
      await assertFilesHold([folder], sent);
    });
  }
});

test("two members with rings of their own, killed in turns while frames are published, have every frame once between them", async (t) => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const random = randomFrom(seed);
  const { bootstrap } = broker;
  const of = { topic: randomTopicName(), group: randomTopicName("group") };
  await createTopic(bootstrap, of.topic, { partitions: 4 });
  const members = ["a", "b"].map((letter) => ({
    ...of,
    name: randomTopicName(letter),
    folder: newFolder(),
  }));
  const start = ({ folder, ...member }: (typeof members)[number]): RunningProcess =>
    joinWriting(bootstrap, member, "-w", path.join(folder, "ring.pcap"), "-b", "filesize:300");
  const running = members.map(start);
  await Promise.all(
    running.map((member) => member.says(/this member reads partition\(s\) \d, \d$/m, PATIENCE_MS)),
  );
  const frames: CapturedFrame[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const killed = round % 2;
    broker.killAtRandom(running[killed]!, members[killed]!.name, random);
    const piece = path.join(scratch, `piece-${round}.pcap`);
    generateCapture(piece, { frames: 10_000, firstSecond: 1_700_000_000 + round * 100 });
    frames.push(...readCapture(readFileSync(piece)).frames);
    const publishing = publish(bootstrap, of.topic, piece);
    assert.equal((await running[killed]!.ended).status, "SIGKILL");
    // The other one may have its partitions by then, or not.
    if (random() < 0.5) await publishing;
    running[killed] = start(members[killed]!);
    await publishing;
  }
  await eventually(
    "everything committed",
    async () => (await broker.committedCount(of.group, of.topic)) === frames.length,
    PATIENCE_MS,
  );
  for (const member of running) {
    await member.says(/this member reads/, PATIENCE_MS);
    member.child.kill("SIGTERM");
  }
  for (const { ended } of running) {
    const { status, stderr } = await ended;
    assert.equal(status, 0, stderr);
  }
  await assertFilesHold(
    members.map(({ folder }) => folder),
    frames,
  );
});
