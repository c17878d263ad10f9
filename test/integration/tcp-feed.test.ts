import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { freePort } from "../brokers.ts";
import { assertSameFrames, readCapture } from "../capture-frames.ts";
import { type EmbeddedBroker, startEmbeddedBroker } from "../embedded-broker.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { createVethPair } from "../system/veth-pair.ts";
import { countRecords, runProgram } from "./other-programs.ts";
import {
  assertNoStackTrace,
  consume,
  eventually,
  readLedger,
  runPcapts,
  RunningProcess,
  startPcapts,
} from "./pcapts-process.ts";

/*
 * pcap-over-IP with nc as the server.
 */

let broker: EmbeddedBroker;
const scratch = mkdtempSync(path.join(tmpdir(), "tcp-feed-"));
before(async () => {
  broker = await startEmbeddedBroker();
});
after(async () => {
  await broker.remove();
  rmSync(scratch, { recursive: true });
});

function captureOf(count: number, from = 0, seconds = Math.floor(Date.now() / 1000)): Buffer {
  const frames = Array.from({ length: count }, (_, n) => ({
    bytes: buildUdpFrame(from + n, 100),
    seconds,
    nanoseconds: (from + n) * 1000,
  }));
  return buildCapture({ frames });
}

/** nc serves a file to one client and ends with it. */
function serveOnce(port: number, name: string, bytes: Buffer): RunningProcess {
  const file = path.join(scratch, name);
  writeFileSync(file, bytes);
  return new RunningProcess([
    "sh",
    "-c",
    'exec nc -N -l 127.0.0.1 "$1" < "$2"',
    "sh",
    String(port),
    file,
  ]);
}

async function countedUntil(topic: string, count: number): Promise<void> {
  await eventually(
    `${count} records`,
    async () => (await countRecords(broker.bootstrap, topic)) >= count,
    40_000,
  );
}

test("TCP@ reads what nc serves, and again what another nc serves", async () => {
  const port = await freePort();
  const first = captureOf(300);
  const second = captureOf(200, 300);
  const line = ["-p", "-i", `TCP@127.0.0.1:${port}`, "-k", broker.bootstrap, "-t", "served"];
  const producer = startPcapts(line);
  await producer.says(
    /WARN: Cannot connect to "TCP@127.0.0.1:\d+": connection refused; trying again/,
    40_000,
  );
  await serveOnce(port, "first.pcap", first).ended;
  await producer.says(
    /WARN: .*has closed the connection after 300 frames; connecting again/,
    40_000,
  );
  // 24 + 200 * 116 bytes without the last 10: the last frame is torn.
  await serveOnce(port, "second.pcap", second.subarray(0, -10)).ended;
  await countedUntil("served", 499);
  await producer.says(/INFO: Reading "TCP@.* again/, 40_000);
  producer.child.kill("SIGTERM");
  const { status, stderr } = await producer.ended;
  assert.equal(status, 0, stderr);
  assertNoStackTrace(stderr);
  assert.match(stderr, /; torn 1, which never came whole$/m);
  const { received, captured, acknowledged } = readLedger(stderr);
  assert.deepEqual([received, captured, acknowledged], ["499", 499, 499]);
  const { frames } = readCapture(await consume(broker.bootstrap, "served"));
  assertSameFrames(frames, [
    ...readCapture(first).frames,
    ...readCapture(second).frames.slice(0, 199),
  ]);
});

test("frames of TCP@ carry their capture times, are filtered and cut as those of an interface", async () => {
  const port = await freePort();
  const at = Math.floor(Date.now() / 1000) - 3600;
  const server = serveOnce(port, "times.pcap", captureOf(50, 0, at));
  const line = ["-p", "-i", `TCP@127.0.0.1:${port}`, "-k", broker.bootstrap, "-t", "times"];
  const { status, stderr } = await runPcapts([
    ...line,
    "-s",
    "60",
    "-m",
    "5",
    "-f",
    "src host 10.0.0.7 or src host 10.0.0.9 or greater 100 and src net 10.0.0.16/28",
  ]);
  assert.equal(status, 0, stderr);
  const ledger = readLedger(stderr);
  assert.equal(ledger.captured, 5);
  assert.ok(ledger.filtered > 0, stderr);
  const { frames } = readCapture(await consume(broker.bootstrap, "times"));
  assert.deepEqual(
    new Set(frames.map(({ capturedLength, wireLength }) => `${capturedLength} of ${wireLength}`)),
    new Set(["60 of 100"]),
  );
  const kcat = ["kcat", "-C", "-q", "-e", "-b", broker.bootstrap, "-t", "times", "-f", "%T\n"];
  const { stdout } = await runProgram(kcat);
  assert.deepEqual(new Set(stdout.toString().trim().split("\n")), new Set([String(at * 1000)]));
  server.child.kill("SIGKILL");
});

test("TCP@ stands beside an interface of this machine, and each record names its own", async () => {
  const veth = await createVethPair();
  try {
    const port = await freePort();
    const server = serveOnce(port, "beside.pcap", captureOf(30));
    const stream = `TCP@127.0.0.1:${port}`;
    const line = ["-p", "-i", veth.name, "-i", stream, "-k", broker.bootstrap, "-t", "beside"];
    const producer = startPcapts(line);
    await producer.says(/Starting packet capture/, 40_000);
    await veth.send(captureOf(20), ["--pps=1000"]);
    await server.ended;
    await countedUntil("beside", 50);
    producer.child.kill("SIGTERM");
    const { status, stderr } = await producer.ended;
    assert.equal(status, 0, stderr);
    assert.match(stderr, new RegExp(`INFO: ${veth.name}: received 20, dropped by the kernel 0`));
    assert.match(stderr, new RegExp(`INFO: ${stream}: received 30, dropped by the kernel 0`));
    const kcat = ["kcat", "-C", "-q", "-e", "-b", broker.bootstrap, "-t", "beside", "-f", "%h\\n"];
    const headers = (await runProgram(kcat)).stdout.toString().trimEnd().split("\n");
    assert.equal(headers.filter((each) => each === `iface=${veth.name}`).length, 20);
    assert.equal(headers.filter((each) => each === `iface=${stream}`).length, 30);
    assert.equal(headers.length, 50);
  } finally {
    await veth.remove();
  }
});

test("TCP@ that nobody answers ends with an error of its own", async () => {
  const port = await freePort();
  const line = ["-p", "-i", `TCP@127.0.0.1:${port}`, "--connect-timeout", "0.5"];
  const { status, stderr } = await runPcapts(line);
  assert.equal(status, 1);
  assert.match(stderr, /Cannot connect to "TCP@127.0.0.1:\d+" within 0.5 s: connection refused/);
});
