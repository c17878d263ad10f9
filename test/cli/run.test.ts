import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, randomTopicName, sharedBroker } from "../brokers.ts";
import { type Ended, PCAPTS, startPcapts } from "./pcapts-process.ts";

const FRAME_BYTES = 60;

/** A capture of Ethernet frames of 60 bytes, a microsecond apart. */
function makeCapture(frameCount: number): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(262_144, 16);
  header.writeUInt32LE(1, 20);
  const frames = Buffer.alloc(frameCount * (16 + FRAME_BYTES), 0xab);
  for (let index = 0; index < frameCount; index++) {
    const at = index * (16 + FRAME_BYTES);
    frames.writeUInt32LE(1_700_000_000, at);
    frames.writeUInt32LE(index, at + 4);
    frames.writeUInt32LE(FRAME_BYTES, at + 8);
    frames.writeUInt32LE(FRAME_BYTES, at + 12);
  }
  return Buffer.concat([header, frames]);
}

async function publish(frameCount: number, ...args: string[]): Promise<Ended> {
  const { child, ended } = startPcapts(["-p", "-r", "-", ...args]);
  child.stdin.end(makeCapture(frameCount));
  return ended;
}

test("a publish and a consume print messages to standard error and pcap to standard output", async () => {
  const { bootstrap } = await sharedBroker();
  const topic = randomTopicName();
  const published = await publish(3, "-k", bootstrap, "-t", topic, "--partitions", "1");
  assert.equal(published.status, 0, published.stderr);
  assert.equal(published.stdout, "");
  for (const known of [
    /INFO: Connecting to Kafka; \{.*\}$/m,
    /INFO: Starting packet capture$/m,
    /INFO: Waiting for '\d+' message\(s\) to flush$/m,
    /INFO: '3' packet\(s\) in, '3' packet\(s\) out$/m,
    /captured 3 = acknowledged 3 \+ failed 0 \+ unknown 0 \+ dropped here 0 \+ queued 0$/m,
  ]) {
    assert.match(published.stderr, known);
  }
  const consumer = startPcapts(["-c", "-k", bootstrap, "-t", topic, "-o", "begin", "-e"]);
  const consumed = await consumer.ended;
  assert.equal(consumed.status, 0, consumed.stderr);
  assert.equal(consumed.stdout, makeCapture(3).toString("latin1"));
  assert.match(consumed.stderr, /INFO: read 3 record\(s\): written 3 frame\(s\)/);
});

test("a consumer whose reader has enough exits 0 and says nothing, in pcap and in text", async () => {
  const { bootstrap } = await sharedBroker();
  const topic = randomTopicName();
  assert.equal((await publish(20_000, "-k", bootstrap, "-t", topic)).status, 0);
  for (const form of [[], ["-pp", "1"]]) {
    const args = ["-c", "-k", bootstrap, "-t", topic, "-o", "begin", ...form];
    const child = spawn(process.execPath, [PCAPTS, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    let stderr = "";
    child.stderr.on("data", (bytes: Buffer) => (stderr += bytes.toString()));
    child.stdout.once("data", () => child.stdout.destroy());
    const [status] = (await once(child, "close")) as [number];
    assert.deepEqual([status, stderr], [0, ""]);
  }
});

test("a second signal ends a run that cannot finish at once, with 130", async () => {
  const { bootstrap } = await sharedBroker();
  const topic = randomTopicName();
  assert.equal((await publish(20_000, "-k", bootstrap, "-t", topic)).status, 0);
  // Nobody reads its output, so it cannot finish what it has begun to write.
  const args = ["-c", "-k", bootstrap, "-t", topic, "-o", "begin", "-e"];
  const child = spawn(process.execPath, [PCAPTS, ...args], { stdio: ["ignore", "pipe", "ignore"] });
  await once(child.stdout, "readable");
  await sleep(300);
  child.kill("SIGTERM");
  await sleep(300);
  assert.equal(child.exitCode, null);
  child.kill("SIGINT");
  const [status] = (await once(child, "exit")) as [number];
  assert.equal(status, 130);
  child.stdout.destroy();
});

test("SIGUSR1 prints the counters at any log level, and the run goes on", async () => {
  const { bootstrap } = await sharedBroker();
  const args = ["-p", "-r", "-", "-k", bootstrap, "-t", randomTopicName(), "-ll", "ERROR"];
  const { child, ended } = startPcapts(args);
  const capture = makeCapture(2);
  child.stdin.write(capture.subarray(0, 24 + 16 + FRAME_BYTES));
  let said = "";
  child.stderr.on("data", (bytes: Buffer) => (said += bytes.toString()));
  const deadline = Date.now() + 20_000;
  while (!said.includes("captured 1 = acknowledged 1 +") && Date.now() < deadline) {
    await sleep(250);
    // Before that the first modules are still loading, and it would die of it.
    if (Date.now() > deadline - 19_000) child.kill("SIGUSR1");
  }
  child.stdin.end(capture.subarray(24 + 16 + FRAME_BYTES));
  const { status, stderr } = await ended;
  assert.equal(status, 0, stderr);
  assert.match(stderr, /INFO: received 1 = .*captured 1 = acknowledged 1 \+/);
});

test("a broker that cannot be reached is named at once, and the run ends with 1 in time", async () => {
  const broker = `127.0.0.1:${await freePort()}`;
  for (const mode of [["-p", "-r", "-"], ["-c"]]) {
    const { child, ended } = startPcapts([...mode, "-k", broker, "--connect-timeout", "1"]);
    child.stdin.end(makeCapture(1));
    const { status, stdout, stderr } = await ended;
    assert.deepEqual([status, stdout], [1, ""]);
    assert.match(stderr, new RegExp(`WARN: .*${broker}: connection refused`));
    assert.match(stderr, new RegExp(`ERROR: .*"${broker}": connection refused`));
    assert.ok(!/^\s+at /m.test(stderr), stderr);
  }
});

test("messages are lines of JSON with --log-format json", async () => {
  const { ended } = startPcapts([
    "-c",
    "-k",
    "127.0.0.1:1",
    "--connect-timeout",
    "0.5",
    "--log-format",
    "json",
  ]);
  const { status, stderr } = await ended;
  assert.equal(status, 1);
  const lines = stderr.trimEnd().split("\n");
  const levels = new Set(lines.map((line) => (JSON.parse(line) as { level: string }).level));
  assert.ok(levels.has("WARN") && levels.has("ERROR"), stderr);
});

test("an output that cannot be written ends a consumer with 1", async () => {
  const { bootstrap } = await sharedBroker();
  const topic = randomTopicName();
  assert.equal((await publish(3, "-k", bootstrap, "-t", topic)).status, 0);
  for (const [file, reason] of [
    [
      "/nonexistent/out.pcap",
      /ERROR: Cannot write "\/nonexistent\/out\.pcap": no such file or directory/,
    ],
    ["/dev/full", /ERROR: Cannot write .*no space left/],
  ] as const) {
    const args = ["-c", "-k", bootstrap, "-t", topic, "-o", "begin", "-e", "-w", file];
    const { status, stderr } = await startPcapts(args).ended;
    assert.equal(status, 1, stderr);
    assert.match(stderr, reason);
  }
});

test("a file that is missing, or no capture, ends a producer with 1 before Kafka is contacted", async () => {
  const missing = await startPcapts(["-p", "-r", "/nonexistent.pcap"]).ended;
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /ERROR: Cannot read "\/nonexistent\.pcap": no such file/);
  const wrong = await startPcapts(["-p", "-r", PCAPTS]).ended;
  assert.equal(wrong.status, 1);
  assert.match(wrong.stderr, /ERROR: .*pcapts\.js.*/);
  assert.ok(!/Connecting to Kafka/.test(missing.stderr + wrong.stderr));
});

test("an interface that does not exist ends a producer with 1 and the list of those that do", async () => {
  const { status, stderr } = await startPcapts(["-p", "-i", "nosuch0"]).ended;
  assert.equal(status, 1);
  assert.match(
    stderr,
    /ERROR: Cannot open interface "nosuch0": no such device; there are .*\blo\b/,
  );
});
