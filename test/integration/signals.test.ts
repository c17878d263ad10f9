import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import {
  createTopic,
  freePort,
  randomTopicName,
  sharedBroker,
  startBroker,
  type TestBroker,
} from "../brokers.ts";
import { assertSameFrames, readCapture } from "../capture-frames.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import {
  assertNoStackTrace,
  consume,
  eventually,
  publish,
  PCAPTS,
  readConsumedCounts,
  readLedger,
  RunningProcess,
  startPcapts,
} from "./pcapts-process.ts";

const PCAP_HEADER_BYTES = 24;
const FRAME_BYTES = 100;
const RECORD_BYTES = 16 + FRAME_BYTES;

let bootstrap: string;
before(async () => {
  ({ bootstrap } = await sharedBroker());
});

/** A capture whose frames are numbered. */
function capture(count: number): Buffer {
  const frames = Array.from({ length: count }, (_, n) => ({
    bytes: buildUdpFrame(n, FRAME_BYTES),
    nanoseconds: n * 1000,
  }));
  return buildCapture({ frames });
}

/** Feeds a capture into a process a few frames at a time, until it is stopped or all is written. */
function feedSlowly(process: RunningProcess, bytes: Buffer): { stop(): void } {
  let at = PCAP_HEADER_BYTES;
  process.child.stdin.write(bytes.subarray(0, at));
  const timer = setInterval(() => {
    // Not a whole number of frames, so that a stop also comes within one.
    process.child.stdin.write(bytes.subarray(at, at + 3 * RECORD_BYTES + 50));
    at += 3 * RECORD_BYTES + 50;
  }, 5);
  return { stop: () => clearInterval(timer) };
}

/** True once a process takes the signal itself. */
function isCaught(pid: number, signal: number): boolean {
  const status = readFileSync(`/proc/${pid}/status`, "ascii");
  const caught = BigInt(`0x${/^SigCgt:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  return ((caught >> BigInt(signal - 1)) & 1n) === 1n;
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  const open = await new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
  });
  socket.destroy();
  return open;
}

/** Milliseconds of the day in the first message that matches. */
function timeOf(stderr: string, pattern: RegExp): number {
  const line = stderr.split("\n").find((each) => pattern.test(each)) ?? "";
  const [, hours, minutes, seconds] = /(\d\d):(\d\d):(\d\d\.\d+)/.exec(line) ?? [];
  assert.ok(seconds !== undefined, `no message ${pattern} in:\n${stderr}`);
  return (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
}

describe("signals and closed output", { concurrency: 2 }, () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`${signal} ends a producer in the middle of its stream with all it took acknowledged`, async () => {
      const topic = randomTopicName();
      await createTopic(bootstrap, topic);
      const producer = startPcapts(["-p", "-r", "-", "-k", bootstrap, "-t", topic]);
      const whole = capture(20_000);
      const feeder = feedSlowly(producer, whole);
      try {
        await producer.says(/Starting packet capture/);
        await eventually("100 frames taken", () => {
          producer.child.kill("SIGUSR1");
          return [...producer.stderr.matchAll(/captured (\d+) = acknowledged/g)].some(
            ([, captured]) => Number(captured) >= 100,
          );
        });
        producer.child.kill(signal);
        const { status, stdout, stderr } = await producer.ended;
        assert.equal(status, 0, stderr);
        assert.equal(stdout.length, 0);
        assertNoStackTrace(stderr);
        assert.match(stderr, /Clean shutdown process started/);
        assert.match(stderr, /Waiting for '\d+' message\(s\) to flush/);
        const { captured, acknowledged } = readLedger(stderr);
        assert.ok(captured >= 100 && captured < 20_000, `${captured} frames`);
        assert.equal(acknowledged, captured);
        assert.match(stderr, new RegExp(`'${captured}' packet\\(s\\) in, '${captured}' packet`));

        const { frames } = readCapture(await consume(bootstrap, topic));
        assertSameFrames(frames, readCapture(whole).frames.slice(0, captured));
      } finally {
        feeder.stop();
      }
    });

    test(`${signal} ends a consumer with nothing to read, and its output is a valid empty file`, async () => {
      const topic = randomTopicName();
      await createTopic(bootstrap, topic);
      const line = ["-c", "-k", bootstrap, "-t", topic];
      const [atEnd, missing] = [
        startPcapts(line),
        startPcapts(["-c", "-k", bootstrap, "-t", randomTopicName()]),
      ];
      await missing.says(/WARN: .*does not exist; waiting for it/);
      await atEnd.says(/No frame yet/);
      for (const consumer of [atEnd, missing]) {
        consumer.child.kill(signal);
        const { status, stdout, stderr } = await consumer.ended;
        assert.equal(status, 0, stderr);
        assert.equal(stdout.length, PCAP_HEADER_BYTES);
        assert.equal(readCapture(stdout).frames.length, 0);
        assert.equal(readConsumedCounts(stderr).written, 0);
        assertNoStackTrace(stderr);
      }
    });
  }

  test("SIGTERM ends a consumer in the middle of a stream with whole frames and their count", async () => {
    const topic = randomTopicName();
    await createTopic(bootstrap, topic);
    const producer = startPcapts(["-p", "-r", "-", "-k", bootstrap, "-t", topic]);
    const consumer = startPcapts(["-c", "-k", bootstrap, "-t", topic, "-o", "begin"]);
    const whole = capture(20_000);
    const feeder = feedSlowly(producer, whole);
    try {
      await consumer.writes(({ length }) => length > PCAP_HEADER_BYTES + 100 * RECORD_BYTES);
      consumer.child.kill("SIGTERM");
      const { status, stdout, stderr } = await consumer.ended;
      assert.equal(status, 0, stderr);
      const { frames } = readCapture(stdout);
      assertSameFrames(frames, readCapture(whole).frames.slice(0, frames.length));
      assert.equal(readConsumedCounts(stderr).written, frames.length);
    } finally {
      feeder.stop();
      producer.child.kill("SIGTERM");
    }
    assert.equal((await producer.ended).status, 0);
  });

  test("SIGUSR1 at once after the start and later prints the counters, and opens no debugger port", async () => {
    const topic = randomTopicName();
    await createTopic(bootstrap, topic);
    const ports = [await freePort(), await freePort()] as const;
    const start = (args: string[], port: number): RunningProcess =>
      startPcapts([...args, "-k", bootstrap, "-t", topic], {
        env: { NODE_OPTIONS: `--inspect-port=127.0.0.1:${port}` },
      });
    const producer = start(["-p", "-r", "-"], ports[0]);
    const consumer = start(["-c", "-o", "begin"], ports[1]);
    producer.child.stdin.write(capture(5));
    const counters = { producer: /captured \d+ = acknowledged/g, consumer: /read \d+ record/g };
    for (const [process, port, pattern] of [
      [producer, ports[0], counters.producer],
      [consumer, ports[1], counters.consumer],
    ] as const) {
      await eventually("a handler", () => isCaught(process.child.pid!, 10));
      process.child.kill("SIGUSR1");
      await process.says(pattern);
      assert.equal(await listens(port), false);
    }
    await consumer.writes((stdout) => stdout.length === capture(5).length);
    for (const [process, port, last] of [
      [producer, ports[0], /captured 5 = acknowledged 5 /],
      [consumer, ports[1], /read 5 record\(s\): written 5 frame/],
    ] as const) {
      process.child.kill("SIGUSR1");
      await process.says(last);
      assert.equal(await listens(port), false);
      // It went on.
      assert.equal(process.child.exitCode ?? process.child.signalCode, null);
      process.child.kill("SIGTERM");
      assert.equal((await process.ended).status, 0);
    }
  });

  test("a closed standard output is a quiet exit 0, for pcap and for text", async () => {
    const topic = randomTopicName();
    await publish(bootstrap, topic, capture(20_000));
    const line = `"${process.execPath}" "${PCAPTS}" -c -k ${bootstrap} -t ${topic} -o begin`;
    for (const flags of ["", "-e", "-pp 1", "-pp 1 -e"]) {
      const { status, stdout, stderr } = await new RunningProcess([
        "bash",
        "-o",
        "pipefail",
        "-c",
        `${line} ${flags} | head -c 100`,
      ]).ended;
      assert.equal(status, 0, stderr);
      assert.equal(stdout.length, 100);
      assert.doesNotMatch(stderr, /ERROR|WARN|EPIPE/);
      assertNoStackTrace(stderr);
    }
  });
});

describe("a broker that does not answer any more", () => {
  let broker: TestBroker;
  before(async () => {
    broker = await startBroker({ heapMegabytes: 256 });
  });
  after(() => broker.remove());

  /** A producer that has published and then has frames that the stopped broker does not take. */
  async function startStuckProducer(...args: string[]): Promise<RunningProcess> {
    const producer = startPcapts(["-p", "-r", "-", "-k", broker.bootstrap, "-t", "t", ...args]);
    producer.child.stdin.write(capture(10));
    await eventually("10 frames acknowledged", () => {
      if (/Starting packet capture/.test(producer.stderr)) producer.child.kill("SIGUSR1");
      return /acknowledged 10 /.test(producer.stderr);
    });
    return producer;
  }

  test("a second signal exits 130 at once, --flush-timeout bounds the wait, a consumer just ends", async () => {
    await createTopic(broker.bootstrap, "t");
    const [impatient, patient, consumer] = await Promise.all([
      startStuckProducer("--flush-timeout", "60"),
      startStuckProducer("--flush-timeout", "1.5"),
      (async () => {
        const started = startPcapts(["-c", "-k", broker.bootstrap, "-t", "t", "-o", "begin"]);
        await started.writes(({ length }) => length > PCAP_HEADER_BYTES);
        return started;
      })(),
    ]);
    await broker.kill("SIGSTOP");
    try {
      for (const producer of [impatient, patient]) {
        producer.child.stdin.write(capture(30).subarray(PCAP_HEADER_BYTES));
        await eventually("30 more frames captured", () => {
          producer.child.kill("SIGUSR1");
          return /captured 40 = acknowledged 10 /.test(producer.stderr);
        });
      }

      impatient.child.kill("SIGINT");
      await impatient.says(/Waiting for '30' message\(s\) to flush/);
      impatient.child.kill("SIGTERM");
      const ended = await impatient.ended;
      assert.equal(ended.status, 130, ended.stderr);
      assertNoStackTrace(ended.stderr);

      const signalMs = patient.ageMs;
      patient.child.kill("SIGTERM");
      const flushed = await patient.ended;
      const waitedMs = patient.ageMs - signalMs;
      assert.equal(flushed.status, 1, flushed.stderr);
      assert.ok(waitedMs > 1400, `${waitedMs} ms for --flush-timeout 1.5`);
      const { captured, acknowledged, failed, unknown } = readLedger(flushed.stderr);
      assert.deepEqual([captured, acknowledged, failed, unknown], [40, 10, 0, 30]);
      assert.match(flushed.stderr, /ERROR: .*'30' captured frame\(s\) were not acknowledged/);
      assertNoStackTrace(flushed.stderr);

      consumer.child.kill("SIGINT");
      const read = await consumer.ended;
      assert.equal(read.status, 0, read.stderr);
      assert.equal(readCapture(read.stdout).frames.length, readConsumedCounts(read.stderr).written);
    } finally {
      await broker.kill("SIGCONT");
    }
  });
});

describe("no broker at the start", { concurrency: 4 }, () => {
  const CONNECT_TIMEOUT_MS = 2000;

  /** Accepts connections and never says a word. */
  async function startSilentServer(): Promise<Server> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    server.unref();
    return server;
  }

  for (const [kind, expected] of [
    ["nobody listens", /connection refused/],
    ["nobody answers", /no answer/],
  ] as const) {
    for (const mode of ["producer", "consumer"] as const) {
      test(`where ${kind} a ${mode} warns before it gives up with host, port and reason, and exits 1 after --connect-timeout`, async () => {
        const silent = await startSilentServer();
        const { port } = silent.address() as { port: number };
        const address = `127.0.0.1:${kind === "nobody answers" ? port : await freePort()}`;
        const line = mode === "producer" ? ["-p", "-r", "-"] : ["-c", "-e"];
        const run = startPcapts(
          [...line, "-k", address, "--connect-timeout", "2", "-ll", "debug"],
          { input: capture(3) },
        );
        const { status, stdout, stderr } = await run.ended;
        silent.close();

        assert.equal(status, 1, stderr);
        const warning = new RegExp(`WARN: Cannot reach Kafka at ${address}: (.*);`);
        assert.match(warning.exec(stderr)?.[1] ?? "no warning", expected);
        assert.equal(stderr.match(/ WARN: /g)?.length, 1, stderr);
        const began = timeOf(stderr, /Connecting to Kafka/);
        const failure = new RegExp(
          `ERROR: Cannot reach Kafka at "${address}": .*--connect-timeout`,
        );
        const waitedMs = timeOf(stderr, failure) - began;
        assert.ok(timeOf(stderr, / WARN: /) - began < waitedMs, stderr);
        assert.ok(waitedMs > CONNECT_TIMEOUT_MS - 300, `gave up after ${waitedMs} ms`);
        if (mode === "producer") assert.equal(readLedger(stderr).captured, 0);
        else assert.ok(stdout.length === 0 || stdout.length === PCAP_HEADER_BYTES);
      });
    }
  }

  test("a bootstrap server that is down is named, and the next is tried at once", async () => {
    const port = await freePort();
    const run = startPcapts(["-p", "-r", "-", "-k", `127.0.0.1:${port},${bootstrap}`], {
      input: capture(3),
    });
    const { status, stderr } = await run.ended;
    assert.equal(status, 0, stderr);
    assert.match(stderr, new RegExp(`WARN: Cannot reach Kafka at 127.0.0.1:${port}: .*refused`));
    assert.equal(readLedger(stderr).acknowledged, 3);
  });
});
