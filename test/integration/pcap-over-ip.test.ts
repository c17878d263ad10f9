import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { generateCapture } from "../../bench/generate-capture.ts";
import { randomTopicName } from "../brokers.ts";
import { assertSameFrames, readCapture } from "../capture-frames.ts";
import { Certificates } from "../certificates.ts";
import { BrokerProcess } from "../embedded-broker.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { runProgram } from "./other-programs.ts";
import { consume, publish, runPcapts, RunningProcess, startPcapts } from "./pcapts-process.ts";

const FRAMES = 3000;

let broker: BrokerProcess;
let scratch: string;
let certificates: Certificates;
/** A capture, and a topic of one partition that holds it. */
let capture: string;
let topic: string;
before(async () => {
  broker = await BrokerProcess.start();
  scratch = mkdtempSync(path.join(tmpdir(), "pcapts-over-ip-"));
  capture = path.join(scratch, "capture.pcap");
  generateCapture(capture, { frames: FRAMES });
  topic = randomTopicName();
  await publish(broker.bootstrap, topic, capture, "--partitions", "1");
  certificates = new Certificates(path.join(scratch, "certificates"));
  certificates.createAuthorities();
});
after(async () => {
  rmSync(scratch, { recursive: true, force: true });
  await broker.remove();
});

/** `pcapts -c --listen`, once it listens. */
class ListeningConsumer {
  readonly process: RunningProcess;
  readonly port: number;

  private constructor(process: RunningProcess, port: number) {
    this.process = process;
    this.port = port;
  }

  static async start(of: string, ...args: readonly string[]): Promise<ListeningConsumer> {
    const listen = args.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"];
    const process = startPcapts(["-c", "-k", broker.bootstrap, "-t", of, ...listen, ...args]);
    const [, port] = await process.says(/Serving topic ".*" at .*:(\d+) as /, 60_000);
    return new ListeningConsumer(process, Number(port));
  }

  get pipe(): string {
    return `TCP@127.0.0.1:${this.port}`;
  }

  /** nc as a reader, to its end; what it got. */
  async read(): Promise<Buffer> {
    return (await runProgram(["nc", "-d", "127.0.0.1", String(this.port)])).stdout;
  }

  async connect(): Promise<Socket> {
    const socket = connect({ host: "127.0.0.1", port: this.port, allowHalfOpen: true });
    await once(socket, "connect");
    return socket;
  }

  /** Ends it in order. */
  async stop(): Promise<string> {
    this.process.child.kill("SIGTERM");
    const { status, stderr } = await this.process.ended;
    assert.equal(status, 0, stderr);
    return stderr;
  }
}

/** The bytes that a connection brings, until it is closed. */
async function readAll(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of socket) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

const FIELDS = ["frame.number", "frame.time_epoch", "frame.len", "tcp.seq_raw", "_ws.col.Info"];

function fieldsOf(...args: string[]): string[] {
  return ["tshark", "-n", ...args, "-T", "fields", ...FIELDS.flatMap((field) => ["-e", field])];
}

for (const fileType of ["pcap", "pcapng"]) {
  test(
    `several tsharks read ${fileType} at once, and one that stands still holds nobody up`,
    { timeout: 240_000 },
    async () => {
      const server = await ListeningConsumer.start(topic, "-o", "begin", "-F", fileType);
      const expected = (await runProgram(fieldsOf("-r", capture))).stdout.toString();
      const stopped = new RunningProcess(fieldsOf("-l", "-i", server.pipe, "-c", String(FRAMES)));
      await stopped.says(/Capturing on/);
      stopped.child.kill("SIGSTOP");
      const others = Array.from(
        { length: 3 },
        () => new RunningProcess(fieldsOf("-i", server.pipe, "-c", String(FRAMES))).ended,
      );
      for (const { status, stdout, stderr } of await Promise.all(others)) {
        assert.equal(status, 0, stderr);
        assert.equal(stdout.toString(), expected);
      }
      stopped.child.kill("SIGCONT");
      const { status, stdout, stderr } = await stopped.ended;
      assert.equal(status, 0, stderr);
      assert.equal(stdout.toString(), expected);
      assert.match(await server.stop(), /served 4 reader\(s\), .*turned away 0, failed 0/);
    },
  );
}

test("with -e a reader gets the file that -w writes, and then the connection's end", async () => {
  const server = await ListeningConsumer.start(topic, "-o", "begin", "-e");
  const expected = await consume(broker.bootstrap, topic);
  const got = await Promise.all([server.read(), server.read()]);
  for (const file of got) assert.ok(file.equals(expected), `${file.length} bytes`);
  const log = await server.stop();
  assert.equal([...log.matchAll(/Reader \S+ is connected/g)].length, 2);
  const ends = [...log.matchAll(/Reader \S+ has it all: read (\d+) record\(s\)/g)];
  assert.deepEqual(
    ends.map(([, count]) => Number(count)),
    [FRAMES, FRAMES],
  );
  assert.match(log, /served 2 reader\(s\), connected 0, .*; read 6000 record\(s\): written 6000/);
});

test("each reader starts where -o says when it connects", { timeout: 120_000 }, async () => {
  const growing = randomTopicName();
  const frames = Array.from({ length: 90 }, (_, n) => ({ bytes: buildUdpFrame(n, 80) }));
  const publishPart = async (from: number): Promise<void> => {
    const part = buildCapture({ frames: frames.slice(from, from + 30) });
    await publish(broker.bootstrap, growing, part, "--partitions", "1");
  };
  await publishPart(0);
  const server = await ListeningConsumer.start(growing, "-m", "30");
  const fromBegin = await ListeningConsumer.start(growing, "-o", "begin", "-m", "60");
  const first = server.read();
  await server.process.says(/Reader \S+ is connected/);
  await untilWaiting(server);
  await publishPart(30);
  assert.ok((await first).equals(buildCapture({ frames: frames.slice(30, 60) })));
  const second = server.read();
  await untilWaiting(server, 2);
  await publishPart(60);
  assert.ok((await second).equals(buildCapture({ frames: frames.slice(60, 90) })));
  assert.ok((await fromBegin.read()).equals(buildCapture({ frames: frames.slice(0, 60) })));
  await Promise.all([server.stop(), fromBegin.stop()]);
});

/** Waits until readers say that no frame comes for them: their positions are known then. */
async function untilWaiting(server: ListeningConsumer, readers = 1): Promise<void> {
  const all = Array.from({ length: readers }, () => "Reader \\S+: No frame yet").join("[^]*");
  await server.process.says(new RegExp(all), 60_000);
}

test(
  "a reader that takes nothing costs others nothing, and no memory for what it does not take",
  { timeout: 280_000 },
  async () => {
    const large = randomTopicName();
    const file = path.join(scratch, "large.pcap");
    // 300 MB: far more than sockets, answers of the broker and Node itself hold.
    generateCapture(file, { frames: 200_000, frameBytes: 1514 });
    await publish(broker.bootstrap, large, file, "--partitions", "2");
    rmSync(file);
    const server = await ListeningConsumer.start(large, "-o", "begin", "-e");
    const still = await server.connect();
    still.pause();
    const nc = (): Promise<unknown> =>
      runProgram(["sh", "-c", `nc -d 127.0.0.1 ${server.port} | wc -c`]).then(({ stdout }) => {
        assert.equal(Number(stdout.toString()), 24 + 200_000 * (16 + 1514));
      });
    await Promise.all([nc(), nc()]);
    const status = readFileSync(`/proc/${server.process.child.pid}/status`, "ascii");
    const peakKib = Number(/^VmHWM:\s*(\d+)/m.exec(status)?.[1]);
    assert.ok(peakKib < 300 * 1024, `${peakKib} KiB`);
    // Once it takes frames again it gets them all.
    const rest = await readAll(still);
    assert.equal(rest.length, 24 + 200_000 * (16 + 1514));
    await server.stop();
  },
);

test("after a signal readers have whole files; one that takes nothing is not waited for", async () => {
  const server = await ListeningConsumer.start(
    topic,
    "-o",
    "begin",
    "-F",
    "pcapng",
    "--flush-timeout",
    "2",
  );
  const whole = await server.connect();
  const parts: Buffer[] = [];
  whole.on("data", (part: Buffer) => parts.push(part));
  const ended = once(whole, "end");
  const size = (): number => parts.reduce((sum, part) => sum + part.length, 0);
  while (size() < 500_000) await new Promise((resolve) => setTimeout(resolve, 10));
  const stalled = randomTopicName();
  generateCapture(path.join(scratch, "stalled.pcap"), { frames: 20_000, frameBytes: 1514 });
  await publish(broker.bootstrap, stalled, path.join(scratch, "stalled.pcap"));
  const other = await ListeningConsumer.start(stalled, "-o", "begin", "--flush-timeout", "2");
  const still = await other.connect();
  still.pause();
  await other.process.says(/Reader \S+ is connected/);

  const [log, otherLog] = await Promise.all([server.stop(), other.stop()]);
  await ended;
  const file = path.join(scratch, "whole.pcapng");
  writeFileSync(file, Buffer.concat(parts));
  // capinfos fails on a file that is cut; the counts at its end are there.
  const { stdout } = await runProgram(["capinfos", "-c", "-M", file]);
  assert.match(stdout.toString(), new RegExp(`packets:\\s+${FRAMES}$`, "m"));
  assert.match(log, /Reader \S+ has it all/);
  assert.match(otherLog, /Reader \S+ (took nothing any more|has it all)/);
  still.destroy();
});

test(
  "readers of one group share a topic, each with a share of its own",
  { timeout: 120_000 },
  async () => {
    const shared = randomTopicName();
    await publish(broker.bootstrap, shared, capture, "--partitions", "4");
    const group = `group.id=${randomTopicName("readers")}`;
    const server = await ListeningConsumer.start(
      shared,
      "-o",
      "begin",
      "-X",
      group,
      "-F",
      "nsecpcap",
    );
    const readers = [await server.connect(), await server.connect()];
    const got = readers.map(() => Buffer.alloc(0));
    readers.forEach((socket, n) => {
      socket.on("data", (part: Buffer) => (got[n] = Buffer.concat([got[n]!, part])));
    });
    const count = (): number =>
      got.reduce((sum, file) => sum + (file.length > 24 ? readWhole(file) : 0), 0);
    while (count() < FRAMES) await new Promise((resolve) => setTimeout(resolve, 50));
    await server.process.says(
      /this member reads partition\(s\) \d, \d\s[^]*this member reads/,
      60_000,
    );
    await server.stop();
    const times = got.flatMap((file) =>
      readCapture(file).frames.map(({ seconds, fraction }) => seconds * 1e6 + fraction / 1000),
    );
    const expected = readCapture(readFileSync(capture)).frames;
    assert.deepEqual(
      times.toSorted((a, b) => a - b),
      expected.map(({ seconds, fraction }) => seconds * 1e6 + fraction),
    );
  },
);

/** How many whole frames there are so far. */
function readWhole(file: Buffer): number {
  let frames = 0;
  for (let at = 24; at + 16 <= file.length; frames++) {
    at += 16 + file.readUInt32LE(at + 8);
    if (at > file.length) break;
  }
  return frames;
}

test("what readers send is passed over, half a close is none, and a reset is the reader's end", async () => {
  const server = await ListeningConsumer.start(topic, "-o", "begin", "-e", "-m", "2000");
  const garbage = await server.connect();
  garbage.write(Buffer.alloc(200_000, "GET / HTTP/1.1\r\n"));
  const halfClosed = await server.connect();
  halfClosed.end("bye");
  const reset = await server.connect();
  reset.resetAndDestroy();
  const files = await Promise.all([readAll(garbage), readAll(halfClosed)]);
  const expected = readCapture(readFileSync(capture)).frames.slice(0, 2000);
  for (const file of files) assertSameFrames(readCapture(file).frames, expected);
  // nc closes its direction at once when it has nothing to send.
  const { stdout } = await runProgram(["nc", "-N", "127.0.0.1", String(server.port)]);
  assertSameFrames(readCapture(stdout).frames, expected);
  await server.process.says(/Reader \S+ is gone|Reader \S+ has it all[^]*has it all[^]*has it all/);
  assert.match(await server.stop(), /failed 0/);
});

test("a reader that closed its direction first is missed when it is gone, also while no frame comes", async () => {
  const server = await ListeningConsumer.start(topic);
  const reader = await server.connect();
  await once(reader, "data");
  reader.end();
  await once(reader, "finish");
  await new Promise((resolve) => setTimeout(resolve, 100));
  reader.resetAndDestroy();
  await server.process.says(/Reader \S+ is gone/, 30_000);
  await server.stop();
});

test("as many readers as may be are served; others are turned away until there is room", async () => {
  const server = await ListeningConsumer.start(topic, "-o", "begin", "--max-readers", "2");
  const first = await server.connect();
  const second = await server.connect();
  await Promise.all([once(first, "data"), once(second, "data")]);
  for (let turn = 0; turn < 3; turn++) {
    const refused = await server.connect();
    assert.equal((await readAll(refused)).length, 0);
    refused.destroy();
  }
  first.resetAndDestroy();
  await server.process.says(/Reader \S+ is gone/);
  const again = await server.connect();
  await once(again, "data");
  second.destroy();
  again.destroy();
  const log = await server.stop();
  assert.equal([...log.matchAll(/WARN: A reader is turned away: 2 are connected/g)].length, 1);
  assert.match(log, /served 3 reader\(s\), .*turned away 3/);
});

test("over TLS openssl reads the topic, also where others can reach it; without TLS nobody does", async () => {
  const { certificate, key } = certificates.createServer("localhost");
  const server = await ListeningConsumer.start(
    topic,
    "-o",
    "begin",
    "-e",
    "--listen",
    "0.0.0.0:0",
    "--listen-tls-cert",
    certificate,
    "--listen-tls-key",
    key,
  );
  await server.process.says(/as pcap over TLS/);
  const address = `localhost:${server.port}`;
  const trusting = ["-CAfile", certificates.authority, "-verify_return_error"];
  const client = ["openssl", "s_client", "-quiet", "-connect", address, "-4", ...trusting];
  const { stdout } = await runProgram(["sh", "-c", `${client.join(" ")} < /dev/null`]);
  assert.ok(stdout.equals(await consume(broker.bootstrap, topic)), `${stdout.length} bytes`);
  const plain = await server.connect();
  plain.on("error", () => {});
  plain.end("no TLS\r\n\r\n");
  assert.equal(
    (await readAll(plain).catch(() => Buffer.alloc(0))).includes("\xd4\xc3", 0, "latin1"),
    false,
  );
  await server.process.says(/WARN: Reader \S+ is turned away: no TLS handshake/);
  await server.stop();
});

test("with --listen-tls-ca only readers with a certificate of that authority are served", async () => {
  const { certificate, key } = certificates.createServer("server");
  const known = certificates.createClient("reader");
  const server = await ListeningConsumer.start(
    topic,
    "-o",
    "begin",
    "-e",
    "--listen-tls-cert",
    certificate,
    "--listen-tls-key",
    key,
    "--listen-tls-ca",
    certificates.authority,
  );
  const client = `openssl s_client -quiet -connect localhost:${server.port} -4 -CAfile ${certificates.authority}`;
  const stranger = await new RunningProcess(["sh", "-c", `${client} < /dev/null`]).ended;
  assert.equal(stranger.stdout.length, 0);
  const own = `-cert ${known.certificate} -key ${known.key}`;
  const { stdout } = await runProgram(["sh", "-c", `${client} ${own} < /dev/null`]);
  assertSameFrames(readCapture(stdout).frames, readCapture(readFileSync(capture)).frames);
  await server.stop();
});

test("an address that others reach is refused without TLS, unless it is insisted on", async () => {
  const line = ["-c", "-k", broker.bootstrap, "-t", topic];
  for (const address of ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"]) {
    const { status, stderr } = await runPcapts([...line, "--listen", address]);
    assert.equal(status, 2, stderr);
    assert.match(stderr, /--listen does not take ".*": .*--listen-tls-cert .*--insecure-listen/);
  }
  const server = await ListeningConsumer.start(
    topic,
    "--listen",
    "0.0.0.0:0",
    "--insecure-listen",
    "-o",
    "begin",
    "-e",
  );
  assert.ok((await server.read()).length > 24);
  await server.stop();
});

test("what keeps it from serving is said at the start: the port, the topic, Kafka, a certificate", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  const certificate = certificates.createServer("one").certificate;
  const { key } = certificates.createServer("another");
  const listen = ["--listen", "127.0.0.1:0"];
  for (const [args, status, expected] of [
    [["--listen", `127.0.0.1:${port}`], 1, /Cannot listen at .*: another program listens there/],
    [[...listen, "-t", "nowhere", "-e"], 1, /Cannot serve topic "nowhere": it does not exist/],
    [[...listen, "-k", "127.0.0.1:1", "--connect-timeout", "0.5"], 1, /Cannot reach Kafka/],
    [[...listen, "bad", "filter"], 2, /Cannot compile filter "bad filter"/],
    [
      [...listen, "--listen-tls-cert", certificate, "--listen-tls-key", key],
      2,
      /the key does not belong to the certificate/,
    ],
  ] as const) {
    const ended = await runPcapts(["-c", "-k", broker.bootstrap, "-t", topic, ...args]);
    assert.equal(ended.status, status, ended.stderr);
    assert.match(ended.stderr, expected);
  }
  taken.close();
});

test("a reader whose topic cannot be read any more is closed, and the server goes on", async () => {
  const own = await BrokerProcess.start();
  try {
    const name = randomTopicName();
    await publish(own.bootstrap, name, capture, "--partitions", "1");
    const server = await ListeningConsumer.start(
      name,
      "-k",
      own.bootstrap,
      "-o",
      "begin",
      "--connect-timeout",
      "1",
    );
    await own.kill();
    assert.ok((await server.read()).length <= 24);
    await server.process.says(/ERROR: Reader \S+: Cannot reach Kafka/);
    await own.start();
    const reader = await server.connect();
    await once(reader, "data");
    reader.destroy();
    server.process.child.kill("SIGTERM");
    const { status, stderr } = await server.process.ended;
    assert.equal(status, 1);
    assert.match(stderr, /served 2 reader\(s\), .*failed 1/);
  } finally {
    await own.remove();
  }
});
