import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { generateCapture } from "../../bench/generate-capture.ts";
import { createTopic, type KafkaVersion, randomTopicName, startBroker } from "../brokers.ts";
import { assertSameFrames, readCapture, wholeFrames } from "../capture-frames.ts";
import type { CapturedFrame } from "../capture-frames.ts";
import { committedOffsets } from "../integration/group-offsets.ts";
import { eventually, publish, startPcapts } from "../integration/pcapts-process.ts";
import type { RunningProcess } from "../integration/pcapts-process.ts";

const scratch = mkdtempSync(path.join(tmpdir(), "pcapts-long-groups-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const PIECES = 10;

/** Ten captures whose frames are all different: the second of capture tells the piece. */
function generatePieces(framesInAll: number): readonly string[] {
  return Array.from({ length: PIECES }, (_, index) => {
    const file = path.join(scratch, `${framesInAll}-${index}.pcap`);
    const frames = framesInAll / PIECES;
    generateCapture(file, { frames, firstSecond: 1_700_000_000 + index * 100 });
    return file;
  });
}

const rounds: readonly { version: KafkaVersion; frames: number }[] = [
  { version: "4.3.0", frames: 1_000_000 },
  { version: "3.9.1", frames: 300_000 },
  { version: "2.7.2", frames: 300_000 },
];

for (const { version, frames } of rounds) {
  test(`a member joins, one leaves and one is killed while ${frames} frames pass Kafka ${version}: none is lost, and only what was not committed comes twice`, async () => {
    const broker = await startBroker({ version });
    try {
      await passThroughChangingGroup(broker.bootstrap, generatePieces(frames));
    } finally {
      await broker.remove();
    }
  });
}

async function passThroughChangingGroup(
  bootstrap: string,
  pieces: readonly string[],
): Promise<void> {
  const topic = randomTopicName();
  const group = randomTopicName("group");
  await createTopic(bootstrap, topic, { partitions: 6 });
  const join = (): RunningProcess =>
    startPcapts(
      `-c -k ${bootstrap} -t ${topic} -o begin --linktype 1 -X group.id=${group} -X session.timeout.ms=6000 -X heartbeat.interval.ms=500`.split(
        " ",
      ),
    );
  const killed = join();
  const leaver = join();
  await Promise.all(
    [killed, leaver].map((member) => member.says(/reads partition\(s\) \d, \d, \d$/m)),
  );
  let joiner: RunningProcess | undefined;
  let beforeKill = 0;
  for (const [index, piece] of pieces.entries()) {
    if (index === 3) joiner = join();
    if (index === 5) leaver.child.kill("SIGTERM");
    if (index === 7) {
      beforeKill = await committedCount(bootstrap, group, topic);
      killed.child.kill("SIGKILL");
    }
    await publish(bootstrap, topic, piece);
  }
  const sent = (await Promise.all(pieces.map((piece) => framesOf(piece)))).flat();
  await eventually(
    "every offset committed",
    async () => (await committedCount(bootstrap, group, topic)) === sent.length,
    60_000,
  );
  joiner!.child.kill("SIGINT");
  const ended = await Promise.all([killed.ended, leaver.ended, joiner!.ended]);
  assert.deepEqual(
    ended.map(({ status }) => status),
    ["SIGKILL", 0, 0],
  );
  const got = ended.flatMap(({ stdout }) => wholeFrames(stdout));
  const unique = new Map(
    got.map((frame) => [
      `${frame.seconds}.${frame.fraction} ${frame.bytes.toString("latin1")}`,
      frame,
    ]),
  );
  assertSameFrames([...unique.values()], sent);
  const published = (sent.length / PIECES) * 7;
  assert.ok(
    got.length - unique.size <= published - beforeKill + sent.length / PIECES,
    `${got.length - unique.size} frames twice, ${published - beforeKill} were not committed at the kill`,
  );
}

async function committedCount(bootstrap: string, group: string, topic: string): Promise<number> {
  const offsets = await committedOffsets(bootstrap, group, topic);
  return offsets.reduce((sum, { offset }) => sum + offset, 0);
}

const framesOf = async (file: string): Promise<readonly CapturedFrame[]> =>
  readCapture(await readFile(file)).frames;
