import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { readCapture } from "../capture-frames.ts";
import { Certificates } from "../certificates.ts";
import { type EmbeddedBroker, startEmbeddedBroker } from "../embedded-broker.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { createVethPair } from "../system/veth-pair.ts";
import { runProgram } from "./other-programs.ts";
import {
  assertNoStackTrace,
  consume,
  readLedger,
  RunningProcess,
  startPcapts,
} from "./pcapts-process.ts";

/*
 * --read-listen, with the programs that people send with.
 */

/** buildUdpFrame() has 1024 and the frame's number as its source port. */
const FIRST_PORT = 1024;

let broker: EmbeddedBroker;
const scratch = mkdtempSync(path.join(tmpdir(), "listen-feed-"));
before(async () => {
  broker = await startEmbeddedBroker();
});
after(async () => {
  await broker.remove();
  rmSync(scratch, { recursive: true });
});

function captureOf(from: number, to: number): Buffer {
  const seconds = Math.floor(Date.now() / 1000);
  const frames = range(from, to).map((n) => ({ bytes: buildUdpFrame(n, 100), seconds }));
  return buildCapture({ frames });
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, n) => from + n);
}

/** `pcapts -p --read-listen`, once it listens. */
async function listen(
  topic: string,
  ...args: readonly string[]
): Promise<{ producer: RunningProcess; port: string }> {
  const line = ["-p", "--read-listen", "0", "-k", broker.bootstrap, "-t", topic, ...args];
  const producer = startPcapts(line);
  const [, port = ""] = await producer.says(
    /Listening for senders at 127\.0\.0\.1:(\d+)(?: over TLS)?$/m,
    40_000,
  );
  return { producer, port };
}

/** nc sends bytes and ends. */
async function send(port: string, bytes: Buffer): Promise<void> {
  await runProgram(["nc", "-N", "127.0.0.1", port], bytes);
}

/** Waits until so many frames are in Kafka, then stops the producer in order. */
async function stopAfter(producer: RunningProcess, count: number): Promise<string> {
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
  return stderr;
}

async function numbersIn(topic: string): Promise<number[]> {
  const { frames } = readCapture(await consume(broker.bootstrap, topic));
  const numbers = frames.map(({ bytes }) => bytes.readUInt16BE(34) - FIRST_PORT);
  return numbers.toSorted((a, b) => a - b);
}

test("tcpdump and nc send, one beside the other, and each is an interface of its own", async () => {
  const veth = await createVethPair();
  try {
    const { producer, port } = await listen("senders");
    const tcpdump = new RunningProcess([
      "sh",
      "-c",
      'tcpdump -Z root -n -U -i "$1" -c 50 -w - | nc -N 127.0.0.1 "$2"',
      "sh",
      veth.name,
      port,
    ]);
    await tcpdump.says(/listening on/, 40_000);
    await producer.says(/Sender 127\.0\.0\.1:\d+ is connected, 1 of at most 32/, 40_000);
    await send(port, captureOf(100, 200));
    await veth.send(captureOf(0, 50), ["--pps=500"]);
    await send(port, captureOf(200, 300));
    // The last frame is cut.
    await send(port, captureOf(300, 303).subarray(0, -1));
    await send(port, Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    await producer.says(/is given up after 0 frame/, 40_000);
    await tcpdump.ended;
    const stderr = await stopAfter(producer, 252);
    assert.match(stderr, /INFO: Sender .* has ended after 50 frame/);
    assert.match(stderr, /WARN: Sender .* is given up after 2 frame.* in the middle of frame 3/);
    assert.match(stderr, /WARN: Sender .* is given up after 0 frame.*not a capture file/);
    assert.match(stderr, /INFO: Sender .* has ended after 100 frame/);
    assert.match(stderr, /; torn 1, which never came whole$/m);
    const { received, captured, acknowledged } = readLedger(stderr);
    assert.deepEqual([received, captured, acknowledged], ["252", 252, 252]);
    assert.deepEqual(await numbersIn("senders"), [...range(0, 50), ...range(100, 302)]);

    const kcat = ["kcat", "-C", "-q", "-e", "-b", broker.bootstrap, "-t", "senders", "-f", "%h\n"];
    const headers = (await runProgram(kcat)).stdout.toString().trimEnd().split("\n");
    const counts = new Map<string, number>();
    for (const each of headers) counts.set(each, (counts.get(each) ?? 0) + 1);
    assert.deepEqual(
      [...counts.values()].toSorted((a, b) => a - b),
      [2, 50, 100, 100],
    );
    for (const each of counts.keys()) assert.match(each, /^iface=TCP@127\.0\.0\.1:\d+$/);
  } finally {
    await veth.remove();
  }
});

test("-m and a filter count what senders send as frames of an interface", async () => {
  const { producer, port } = await listen(
    "limits",
    "-m",
    "5",
    "-s",
    "60",
    "--ledger-topic",
    "books",
    "--sensor",
    "probe7",
    "udp",
    "src",
    "port",
    "1030",
  );
  // Six captures, one behind the other. The producer may end before all is sent.
  const input = Buffer.concat(range(0, 6).map(() => captureOf(0, 10)));
  await new RunningProcess(["nc", "-N", "127.0.0.1", port], { input }).ended;
  const { status, stderr } = await producer.ended;
  assert.equal(status, 0, stderr);
  assert.equal(readLedger(stderr).captured, 5);
  assert.deepEqual(await numbersIn("limits"), [6, 6, 6, 6, 6]);
  const kcat = ["kcat", "-C", "-q", "-e", "-b", broker.bootstrap, "-t", "books", "-f", "%k\\n"];
  const keys = (await runProgram(kcat)).stdout.toString().trimEnd().split("\n");
  assert.deepEqual([...new Set(keys)], ["probe7"]);
});

test("over TLS only those with a certificate send, where one is asked for", async () => {
  const certificates = new Certificates(path.join(scratch, "certificates"));
  certificates.createAuthorities();
  const server = certificates.createServer("localhost");
  const client = certificates.createClient("probe");
  const { producer, port } = await listen(
    "protected",
    "--listen-tls-cert",
    server.certificate,
    "--listen-tls-key",
    server.key,
    "--listen-tls-ca",
    certificates.authority,
  );
  const file = path.join(scratch, "protected.pcap");
  writeFileSync(file, captureOf(0, 100));
  const openssl = ["openssl", "s_client", "-quiet", "-no_ign_eof", "-connect", `localhost:${port}`];
  const script = 'f=$1; shift; "$@" < "$f"';
  const stranger = new RunningProcess(["sh", "-c", script, "sh", file, ...openssl]);
  await stranger.ended;
  await producer.says(/WARN: Sender .* is turned away: no TLS handshake: /, 40_000);
  const identity = ["-cert", client.certificate, "-key", client.key];
  await runProgram(["sh", "-c", script, "sh", file, ...openssl, ...identity]);
  await stopAfter(producer, 100);
  assert.deepEqual(await numbersIn("protected"), range(0, 100));
});
