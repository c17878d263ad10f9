import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { readCapture } from "../capture-frames.ts";
import { type EmbeddedBroker, startEmbeddedBroker } from "../embedded-broker.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { createVethPair, type VethPair } from "../system/veth-pair.ts";
import { runProgram } from "./other-programs.ts";
import {
  assertNoStackTrace,
  consume,
  eventually,
  readLedger,
  RunningProcess,
  startPcapts,
} from "./pcapts-process.ts";

/*
 * Folders into which tcpdump and dumpcap rotate their files.
 */

/** buildUdpFrame() has 1024 and the frame's number as its source port. */
const FIRST_PORT = 1024;

let broker: EmbeddedBroker;
let veth: VethPair;
const scratch = mkdtempSync(path.join(tmpdir(), "folder-feed-"));
before(async () => {
  [broker, veth] = await Promise.all([startEmbeddedBroker(), createVethPair()]);
});
after(async () => {
  await veth.remove();
  await broker.remove();
  rmSync(scratch, { recursive: true });
});

function makeFolder(name: string): string {
  const folder = path.join(scratch, name);
  mkdirSync(folder);
  return folder;
}

function captureOf(count: number, from = 0): Buffer {
  const frames = Array.from({ length: count }, (_, n) => ({
    bytes: buildUdpFrame(from + n, 400),
    seconds: 1_700_000_000 + from + n,
  }));
  return buildCapture({ frames });
}

async function follow(folder: string, topic: string): Promise<RunningProcess> {
  const line = ["-p", "-r", folder, "--monitor", "-k", broker.bootstrap, "-t", topic];
  const producer = startPcapts(line);
  await producer.says(/Starting packet capture/, 40_000);
  return producer;
}

/** Waits until all frames are in Kafka, stops the producer in order, and looks whether they are the right ones. */
async function expectAll(producer: RunningProcess, topic: string, count: number): Promise<string> {
  const asking = setInterval(() => producer.child.kill("SIGUSR1"), 100);
  try {
    await producer.says(new RegExp(`captured ${count} = acknowledged ${count} `), 40_000);
  } finally {
    clearInterval(asking);
  }
  producer.child.kill("SIGINT");
  const { status, stderr } = await producer.ended;
  assert.equal(status, 0, stderr);
  assertNoStackTrace(stderr);
  assert.doesNotMatch(stderr, /cut at|damaged|deleted|overwritten|torn|ERROR/);
  const { received, captured, acknowledged } = readLedger(stderr);
  assert.deepEqual([received, captured, acknowledged], [String(count), count, count]);
  const { frames } = readCapture(await consume(broker.bootstrap, topic));
  const numbers = frames.map(({ bytes }) => bytes.readUInt16BE(34) - FIRST_PORT);
  assert.deepEqual(
    numbers.toSorted((a, b) => a - b),
    Array.from({ length: count }, (_, n) => n),
  );
  return stderr;
}

test("a folder into which tcpdump -G rotates is followed, file by file", async () => {
  const folder = makeFolder("tcpdump-G");
  const producer = await follow(folder, "rotated");
  const name = path.join(folder, "%H%M%S.pcap");
  const tcpdump = new RunningProcess([
    "tcpdump",
    "-Z",
    "root",
    "-n",
    "-i",
    veth.name,
    "-G",
    "1",
    "-w",
    name,
  ]);
  await tcpdump.says(/listening on/, 40_000);
  let count = 0;
  while (readdirSync(folder).length < 4) {
    assert.ok(count < 60_000, "tcpdump does not rotate");
    await veth.send(captureOf(200, count), ["--pps=400"]);
    count += 200;
  }
  // It may not have read the last ones yet.
  const seen = new RegExp(`\\b${count} packets captured`);
  await eventually(
    `${count} frames seen`,
    () => {
      tcpdump.child.kill("SIGUSR1");
      return seen.test(tcpdump.stderr);
    },
    40_000,
  );
  tcpdump.child.kill("SIGINT");
  await tcpdump.ended;
  await expectAll(producer, "rotated", count);
});

test("files that tcpdump -C -z gzip compresses behind the run are read once", async () => {
  const folder = makeFolder("tcpdump-C");
  const file = path.join(scratch, "all.pcap");
  const FRAMES = 12_000;
  writeFileSync(file, captureOf(FRAMES));
  const producer = await follow(folder, "compressed");
  const name = path.join(folder, "out");
  await runProgram(["tcpdump", "-Z", "root", "-r", file, "-C", "1", "-z", "gzip", "-w", name]);
  await eventually(
    "all but the last are compressed",
    () => {
      const names = readdirSync(folder);
      return names.length === 5 && names.filter((each) => each.endsWith(".gz")).length === 4;
    },
    40_000,
  );
  await expectAll(producer, "compressed", FRAMES);
});

test("a ring of dumpcap is followed", async () => {
  const folder = makeFolder("dumpcap");
  const producer = await follow(folder, "ring");
  const ring = ["-b", "packets:100", "-b", "files:50", "-w", path.join(folder, "ring.pcapng")];
  const dumpcap = new RunningProcess(["dumpcap", "-q", "-i", veth.name, ...ring]);
  await dumpcap.says(/File: /, 40_000);
  await veth.send(captureOf(850), ["--pps=1000"]);
  await eventually("the ninth file", () => readdirSync(folder).length === 9, 40_000);
  await expectAll(producer, "ring", 850);
  dumpcap.child.kill("SIGINT");
  await dumpcap.ended;
});
