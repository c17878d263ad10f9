import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { readCapture } from "../capture-frames.ts";
import { type EmbeddedBroker, startEmbeddedBroker } from "../embedded-broker.ts";
import { buildCapture, buildUdpFrame, type TestFrame } from "../fixtures/generate.ts";
import { runProgram } from "./other-programs.ts";
import { consume, publish, readLedger, startPcapts } from "./pcapts-process.ts";

/*
 * Replays are timed by whoever reads the topic: kcat prints when each record was published. That they
 * are in time, too, is in test/long/replay.test.ts.
 */

/** Clocks of the wall are adjusted a little now and then. */
const CLOCK_MS = 3;

const scratch = mkdtempSync(path.join(tmpdir(), "pcapts-replay-"));
let embedded: EmbeddedBroker;
before(async () => {
  embedded = await startEmbeddedBroker();
});
after(async () => {
  await embedded.remove();
  rmSync(scratch, { recursive: true });
});

/** A file with a frame for each of these times, in ms. */
function write(name: string, times: readonly number[]): { file: string; frames: TestFrame[] } {
  const frames = times.map((ms, n) => ({
    bytes: buildUdpFrame(n, 100),
    seconds: 1_700_000_000 + Math.floor(ms / 1000),
    nanoseconds: (ms % 1000) * 1e6,
  }));
  const file = path.join(scratch, name);
  writeFileSync(file, buildCapture({ frames }));
  return { file, frames };
}

/** When each record was published, in ms, whatever its partition. */
async function publishTimes(topic: string): Promise<number[]> {
  const line = `kcat -C -q -e -b ${embedded.bootstrap} -t ${topic} -o beginning -f %T\\n`;
  const { stdout } = await runProgram(line.split(" "));
  return stdout
    .toString()
    .trimEnd()
    .split("\n")
    .map(Number)
    .toSorted((a, b) => a - b);
}

/**
 * Publishes a capture and fails if a frame was early. The first one's time is not the one to count from:
 * it may have been held up on its way into a record.
 *
 * @param dues in ms after the first frame
 * @returns what was said
 */
async function assertNoneEarly(
  topic: string,
  capture: string | Buffer,
  args: readonly string[],
  dues: readonly number[],
): Promise<string> {
  const line = ["--log-format", "json", ...args];
  const { stderr } = await publish(embedded.bootstrap, topic, capture, ...line);
  const started = /"time":"([^"]+)"[^\n]*Starting packet capture/.exec(stderr)?.[1] ?? "";
  const times = await publishTimes(topic);
  assert.equal(times.length, dues.length);
  for (const [n, due] of dues.entries()) {
    const afterMs = times[n]! - Date.parse(started);
    assert.ok(afterMs >= due - CLOCK_MS, `frame ${n} came after ${afterMs} ms, not ${due}`);
  }
  return stderr;
}

test("--pps publishes every frame, none before its time", async () => {
  const { file, frames } = write("pps.pcap", Array<number>(100).fill(0));
  const dues = frames.map((_, n) => n * 4);
  const stderr = await assertNoneEarly("pps", file, ["--pps", "250"], dues);
  assert.match(stderr, /Replay took \d+\.\d+ s: [\d.]+ frames\/s of 250 asked for, at most \d+ ms/);
  assert.equal(readLedger(stderr).acknowledged, 100);
  const read = readCapture(await consume(embedded.bootstrap, "pps"));
  assert.deepEqual(
    read.frames.map(({ bytes }) => bytes.toString("hex")).toSorted(),
    frames.map(({ bytes }) => bytes.toString("hex")).toSorted(),
  );
});

test("--mbps counts the bytes of frames", async () => {
  const { file, frames } = write("mbps.pcap", Array<number>(30).fill(0));
  // 800 bits each at 80,000 a second.
  const dues = frames.map((_, n) => n * 10);
  await assertNoneEarly("mbps", file, ["--mbps", "0.08"], dues);
});

test("--multiplier replays what matches a filter as it was recorded, file after file", async () => {
  const one = write("one.pcap", [0, 0, 100, 400]);
  const two = write("two.pcap", [90_000, 90_200]);
  const line = ["--multiplier", "2", "-f", "udp", "-r", one.file];
  await assertNoneEarly("multiplier", two.file, line, [0, 0, 50, 200, 200, 300]);
});

test("--loop publishes files again under the same capture times", async () => {
  const { file } = write("loop.pcap", [1000, 2000, 3000]);
  const line = ["--partitions", "1", "--loop", "3"];
  const { stderr } = await publish(embedded.bootstrap, "loop", file, ...line);
  assert.equal(readLedger(stderr).acknowledged, 9);
  const { frames } = readCapture(await consume(embedded.bootstrap, "loop", "--unordered"));
  assert.deepEqual(
    frames.map(({ seconds }) => seconds - 1_700_000_000),
    [1, 2, 3, 1, 2, 3, 1, 2, 3],
  );
});

test("--loop 0 goes on until a signal, and then everything published is acknowledged", async () => {
  const { file } = write("ever.pcap", [0, 1, 2, 3, 4, 5, 6]);
  const line = `-p -k ${embedded.bootstrap} -t ever -r ${file} --loop 0 --pps 700 --stats-interval 0.1`;
  const replay = startPcapts(line.split(" "));
  await replay.says(/acknowledged \d{3,} /);
  replay.child.kill("SIGTERM");
  const { status, stderr } = await replay.ended;
  assert.equal(status, 0, stderr);
  const { captured, acknowledged } = readLedger(stderr);
  assert.equal(acknowledged, captured);
  assert.equal((await publishTimes("ever")).length, captured);
});

test("a signal ends a replay that waits for a frame of tomorrow, and -m does not begin to wait", async () => {
  const { file } = write("day.pcap", [0, 86_400_000]);
  const line = `-p -k ${embedded.bootstrap} -t day -r ${file} --multiplier 1`;
  const replay = startPcapts([...line.split(" "), "--stats-interval", "0.1"]);
  await replay.says(/acknowledged 1 /);
  replay.child.kill("SIGTERM");
  const { status, stderr } = await replay.ended;
  assert.equal(status, 0, stderr);
  assert.match(stderr, /Clean shutdown process started/);
  const { received, acknowledged } = readLedger(stderr);
  assert.deepEqual([received, acknowledged], ["1", 1]);

  const limited = await startPcapts([...line.split(" "), "-m", "1"]).ended;
  assert.equal(limited.status, 0, limited.stderr);
  assert.equal(readLedger(limited.stderr).acknowledged, 1);
});

test("standard input is paced", async () => {
  const frames = Array.from({ length: 20 }, (_, n) => ({ bytes: buildUdpFrame(n, 60) }));
  const dues = frames.map((_, n) => n * 5);
  await assertNoneEarly("stdin", buildCapture({ frames }), ["--pps", "200"], dues);
});
