import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { randomTopicName } from "../brokers.ts";
import type { CapturedFrame } from "../capture-frames.ts";
import { assertFilesHold, joinWriting, KillingBroker } from "../integration/killed-consumer.ts";
import { randomFrom } from "../kafka/numbered-frames.ts";

/*
 * The long version of test/integration/resumed-output.test.ts: consumers that are killed with -9 again
 * and again, by a request that the broker sees or at any time, until so many have been; what the last
 * one leaves is the topic. PCAPTS_TEST_SEED repeats a run.
 */

const KILLS = 100;
const FRAMES = 60_000;

const scratch = mkdtempSync(path.join(tmpdir(), "pcapts-killed-"));
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

const OUTPUTS: readonly (readonly [string, readonly string[]])[] = [
  ["ring.pcap", ["-b", "filesize:1500"]],
  ["ring.pcapng.gz", ["-F", "pcapng", "--compress-output", "gzip", "-b", "packets:7000"]],
  ["one.pcap", []],
  ["one.pcapng.zst", ["-F", "pcapng", "--compress-output", "zstd"]],
];

test("whatever the moment of the kills, the files of consumers that go on hold every frame once", async (t) => {
  const seed = Number(process.env["PCAPTS_TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`seed ${seed}`);
  const random = randomFrom(seed);
  let kills = 0;
  let topics = 0;
  for (; kills < KILLS; topics++) {
    const [name, args] = OUTPUTS[topics % OUTPUTS.length]!;
    const folder = path.join(scratch, String(topics));
    mkdirSync(folder);
    const member = { topic, group: randomTopicName("group"), name: randomTopicName("member") };
    const line = ["-w", path.join(folder, name), ...args];
    // A run that comes to its end before it is killed is the last one of its files.
    for (let isWhole = false; !isWhole;) {
      const consumer = joinWriting(broker.bootstrap, member, ...line, "-e");
      if (random() < 0.7) broker.killAtRandom(consumer, member.name, random);
      else void sleep(300 + random() * 2500).then(() => consumer.child.kill("SIGKILL"));
      const { status, stderr } = await consumer.ended;
      assert.ok(status === 0 || status === "SIGKILL", `seed ${seed}: ${status}\n${stderr}`);
      if (status === 0) isWhole = true;
      else kills++;
    }
    await assertFilesHold([folder], sent);
    rmSync(folder, { recursive: true });
  }
  t.diagnostic(`${kills} kills, ${topics} times the whole topic, ${sent.length} frames each`);
});
