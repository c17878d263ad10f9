import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { assertSameFrames, readCapture } from "../capture-frames.ts";
import { type EmbeddedBroker, startEmbeddedBroker } from "../embedded-broker.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { countRecords, runProgram } from "./other-programs.ts";
import {
  assertNoStackTrace,
  consume,
  eventually,
  PCAPTS,
  readLedger,
  RunningProcess,
  startPcapts,
  succeedPcapts,
} from "./pcapts-process.ts";

/*
 * Named pipes with the programs that people write into them.
 */

let broker: EmbeddedBroker;
const scratch = mkdtempSync(path.join(tmpdir(), "pipe-feed-"));
before(async () => {
  broker = await startEmbeddedBroker();
});
after(async () => {
  await broker.remove();
  rmSync(scratch, { recursive: true });
});

function write(name: string, bytes: Buffer): string {
  const file = path.join(scratch, name);
  writeFileSync(file, bytes);
  return file;
}

async function makePipe(name: string): Promise<string> {
  const pipe = path.join(scratch, name);
  await runProgram(["mkfifo", pipe]);
  return pipe;
}

function captureOf(count: number, from = 0): Buffer {
  const frames = Array.from({ length: count }, (_, n) => ({
    bytes: buildUdpFrame(from + n, 100),
    seconds: 1_700_000_000 + from + n,
  }));
  return buildCapture({ frames });
}

/** Waits until a topic has so many records, then stops its producer in order. */
async function stopAfter(producer: RunningProcess, topic: string, count: number): Promise<string> {
  await eventually(
    `${count} records`,
    async () => {
      if (producer.child.exitCode !== null) assert.fail(producer.stderr);
      return (await countRecords(broker.bootstrap, topic)) >= count;
    },
    40_000,
  );
  producer.child.kill("SIGTERM");
  const { status, stderr } = await producer.ended;
  assert.equal(status, 0, stderr);
  assertNoStackTrace(stderr);
  return stderr;
}

test("a pipe takes one writer after the other, one of them killed within a frame", async () => {
  const pipe = await makePipe("writers");
  const first = write("first.pcap", captureOf(1000));
  const second = write("second.pcap", captureOf(500, 1000));
  const third = write("third.pcap", captureOf(700, 1500));
  const line = ["-p", "-r", pipe, "-k", broker.bootstrap, "-t", "writers"];
  const producer = startPcapts(line);
  await runProgram(["tcpdump", "-Z", "root", "-r", first, "-w", pipe]);
  await producer.says(/A writer of .* has ended after 1000 frames/);
  // 24 + 50 * 116 + 60 bytes: within the 51st frame.
  const killed = new RunningProcess([
    "sh",
    "-c",
    'head -c 5884 "$1" > "$2.part"; exec 3> "$2"; cat "$2.part" >&3; kill -9 $$',
    "sh",
    second,
    pipe,
  ]);
  assert.equal((await killed.ended).status, "SIGKILL");
  // No pause: the next one may be there before anybody noticed.
  await runProgram(["sh", "-c", 'cat "$1" > "$2"', "sh", third, pipe]);

  const said = await stopAfter(producer, "writers", 1750);
  assert.match(said, /WARN: .*cut at byte 5884, in the middle of frame 51;.*waiting for the next/);
  assert.match(said, /; torn 1, which never came whole$/m);
  const { captured, acknowledged, received } = readLedger(said);
  assert.deepEqual([received, captured, acknowledged], ["1750", 1750, 1750]);
  const { frames } = readCapture(await consume(broker.bootstrap, "writers"));
  assertSameFrames(frames, [
    ...readCapture(captureOf(1050)).frames,
    ...readCapture(captureOf(700, 1500)).frames,
  ]);
});

test("a pipe ends by -m, and by -a while it has no writer", async () => {
  const pipe = await makePipe("limits");
  const file = write("ten.pcap", captureOf(10));
  const line = ["-p", "-r", pipe, "-k", broker.bootstrap, "-t", "limits"];
  const counted = startPcapts([...line, "-m", "15"]);
  await runProgram(["sh", "-c", 'cat "$1" > "$2"; cat "$1" > "$2"', "sh", file, pipe]);
  const first = await counted.ended;
  assert.equal(first.status, 0, first.stderr);
  assert.equal(readLedger(first.stderr).captured, 15);

  const timed = startPcapts([...line, "-a", "duration:1"]);
  await runProgram(["sh", "-c", 'cat "$1" > "$2"', "sh", file, pipe]);
  const second = await timed.ended;
  assert.equal(second.status, 0, second.stderr);
  assert.match(second.stderr, /Capture ends: 1 s are over/);
});

test("what is read once ends with its writer: standard input and a shell's <(…)", async () => {
  const pipe = await makePipe("once");
  const file = write("once.pcap", captureOf(10));
  const program = `${process.execPath} ${PCAPTS} -p -k ${broker.bootstrap} -t once`;
  const script = `cat ${file} > ${pipe} & ${program} -r - < ${pipe} && ${program} -r <(cat ${file})`;
  const { stderr } = await runProgram(["bash", "-c", script]);
  assert.equal(readLedger(stderr).captured, 10);
  assert.equal(await countRecords(broker.bootstrap, "once"), 20);
});

test("frames of a pipe carry capture times if asked for, unless the topic would delete them at once", async () => {
  const pipe = await makePipe("times");
  const file = write("old.pcap", captureOf(10));
  const line = ["-p", "-r", pipe, "-k", broker.bootstrap, "-t", "times", "-m", "10"];
  const writing = runProgram(["sh", "-c", 'cat "$1" > "$2"', "sh", file, pipe]);
  const { stderr } = await succeedPcapts([...line, "--record-timestamp", "capture"]);
  await writing;
  assert.match(
    stderr,
    /WARN: .*has frames of 2023-11-14T22:13:20.000Z, older than topic "times" keeps/,
  );
  const { stdout } = await runProgram([
    "kcat",
    "-C",
    "-q",
    "-e",
    "-b",
    broker.bootstrap,
    "-t",
    "times",
    "-f",
    "%T\n",
  ]);
  const times = stdout.toString().trim().split("\n").map(Number);
  assert.ok(
    times.every((time) => time > Date.now() - 3_600_000),
    String(times),
  );
});
