import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createWriteStream, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { after, test } from "node:test";
import { generateCapture } from "../../bench/generate-capture.ts";
import {
  createTopic,
  type KafkaVersion,
  newestNodeExecutable,
  projectRoot,
  randomTopicName,
  startBroker,
} from "../brokers.ts";

const FRAMES = 50_000;
const PARTITIONS = 4;

const scratch = mkdtempSync(path.join(tmpdir(), "pcapts-versions-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const capture = path.join(scratch, "capture.pcap");
generateCapture(capture, { frames: FRAMES });

/** Runs bin/pcapts.js; its standard output goes to `output`. Fails with what it said on stderr. */
async function pcapts(node: string, args: readonly string[], output?: string): Promise<void> {
  const child = spawn(node, [path.join(projectRoot, "bin/pcapts.js"), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let messages = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (messages += text));
  const exited = once(child, "exit");
  if (output === undefined) child.stdout.resume();
  else await pipeline(child.stdout, createWriteStream(output));
  const [code, signal] = await exited;
  assert.equal(code, 0, `pcapts ${args.join(" ")} ended with ${code ?? signal}:\n${messages}`);
}

/** Each frame of a little-endian pcap file, header and bytes, as a hash; sorted. */
function frameHashes(file: string): string[] {
  const bytes = readFileSync(file);
  assert.equal(bytes.readUInt32LE(0), 0xa1b2c3d4, "a pcap file with microseconds");
  const hashes: string[] = [];
  for (let at = 24; at < bytes.length;) {
    const next = at + 16 + bytes.readUInt32LE(at + 8);
    assert.ok(next <= bytes.length, `frame at byte ${at} is cut`);
    hashes.push(createHash("sha1").update(bytes.subarray(at, next)).digest("base64"));
    at = next;
  }
  return hashes.toSorted();
}

async function assertRoundTrip(node: string, bootstrap: string): Promise<void> {
  const topic = randomTopicName();
  await createTopic(bootstrap, topic, { partitions: PARTITIONS });
  await pcapts(node, ["-p", "-r", capture, "-t", topic, "-k", bootstrap]);
  const output = path.join(scratch, `${topic}.pcap`);
  await pcapts(node, ["-c", "-t", topic, "-o", "begin", "-e", "-k", bootstrap], output);
  assert.deepEqual(frameHashes(output), frameHashes(capture));
}

const versions: readonly KafkaVersion[] = ["2.7.2", "3.9.1", "4.3.0"];
for (const version of versions) {
  test(`every frame of a file comes back from Kafka ${version}`, async () => {
    const broker = await startBroker({ version });
    try {
      await assertRoundTrip(process.execPath, broker.bootstrap);
    } finally {
      await broker.remove();
    }
  });
}

test("every frame of a file comes back with the newest Node", async () => {
  const { stdout } = spawnSync(newestNodeExecutable, ["--version"], { encoding: "utf8" });
  assert.match(stdout, /^v(2[4-9]|[3-9]\d)\./);
  const broker = await startBroker();
  try {
    await assertRoundTrip(newestNodeExecutable, broker.bootstrap);
  } finally {
    await broker.remove();
  }
});
