import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { createTopic, randomTopicName, sharedBroker } from "../brokers.ts";
import { readCapture } from "../capture-frames.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { createVethPair, type VethPair } from "../system/veth-pair.ts";
import { countWithTshark } from "./other-programs.ts";
import {
  assertNoStackTrace,
  type Ended,
  eventually,
  PCAPTS,
  publish,
  readLedger,
  RunningProcess,
} from "./pcapts-process.ts";

/*
 * The command lines of Pycapa's README with its name replaced, run by a shell, and what they print.
 */

const FRAME_LENGTH = 60;

let bootstrap: string;
let scratch: string;
let veth: VethPair;
before(async () => {
  ({ bootstrap } = await sharedBroker());
  scratch = mkdtempSync(path.join(tmpdir(), "pcapts-pycapa-"));
  symlinkSync(PCAPTS, path.join(scratch, "pcapts"));
  veth = await createVethPair();
});
after(async () => {
  await veth.remove();
  rmSync(scratch, { recursive: true, force: true });
});

/** A command line as it is typed; $X, $B and $T are the interface, the broker and the topic. */
function shell(commandLine: string, topic: string): RunningProcess {
  return new RunningProcess(["bash", "-o", "pipefail", "-c", commandLine], {
    cwd: scratch,
    env: {
      PATH: `${scratch}:${process.env["PATH"]}`,
      TZ: "UTC",
      X: veth.name,
      B: bootstrap,
      T: topic,
    },
  });
}

async function succeed(process: RunningProcess): Promise<Ended> {
  const ended = await process.ended;
  assert.equal(ended.status, 0, ended.stderr);
  assertNoStackTrace(ended.stderr);
  return ended;
}

function frameBytes(count: number): Buffer[] {
  return Array.from({ length: count }, (_, n) => buildUdpFrame(n, FRAME_LENGTH));
}

/** A capture whose frame N is of second N past 1700000000. */
function capture(count: number): Buffer {
  return buildCapture({
    frames: frameBytes(count).map((bytes, n) => ({
      bytes,
      seconds: 1_700_000_000 + n,
      nanoseconds: 250_000,
    })),
  });
}

/** Sends frames into the interface at a pace that no ring overflows at. */
async function send(count: number): Promise<void> {
  await veth.send(capture(count), ["--pps=2000"]);
}

/** A topic with one partition, so that frames stay in order. */
async function newTopic(): Promise<string> {
  const topic = randomTopicName("pcap");
  await createTopic(bootstrap, topic);
  return topic;
}

/** Hex dump of a frame of 60 bytes: lines of 16 bytes, all but the last with a space at their end. */
function hexDump(frame: Buffer): string {
  const digits = frame.toString("hex").replace(/../g, "$& ");
  return (digits.match(/.{1,48}/g) ?? []).join("\n").trimEnd();
}

test("the producer of the README publishes what an interface receives until Ctrl-C", async () => {
  const topic = await newTopic();
  const startedMs = Date.now();
  const producer = shell(
    "exec pcapts --producer --interface $X --kafka-broker $B --kafka-topic $T",
    topic,
  );
  await producer.says(/Starting packet capture/);
  await send(200);
  const reader = shell(
    "pcapts --consumer --kafka-broker $B --kafka-topic $T --kafka-offset begin --max-packets 200 > live.pcap",
    topic,
  );
  await succeed(reader);
  producer.child.kill("SIGINT");
  const { stdout, stderr } = await succeed(producer);

  assert.equal(stdout.length, 0);
  assert.match(stderr, /Connecting to Kafka; \{"bootstrap.servers":"127.0.0.1:\d+".*\}/);
  assert.match(stderr, /Clean shutdown process started/);
  assert.match(stderr, /Waiting for '\d+' message\(s\) to flush/);
  assert.match(stderr, /'200' packet\(s\) in, '200' packet\(s\) out/);
  const { captured, acknowledged } = readLedger(stderr);
  assert.deepEqual([captured, acknowledged], [200, 200]);

  const { frames, linkType } = readCapture(readFileSync(path.join(scratch, "live.pcap")));
  assert.equal(linkType, 1);
  assert.deepEqual(
    frames.map(({ bytes }) => bytes),
    frameBytes(200),
  );
  for (const { seconds } of frames) {
    assert.ok(seconds * 1000 >= startedMs - 1000 && seconds * 1000 <= Date.now());
  }
});

test("--max-packets 10 --pretty-print 5 prints two hex dumps and ends by itself", async () => {
  const topic = await newTopic();
  const producer = shell(
    "pcapts --producer --interface $X --kafka-broker $B --kafka-topic $T --max-packets 10 --pretty-print 5",
    topic,
  );
  await producer.says(/Starting packet capture/);
  await send(12);
  const { stdout, stderr } = await succeed(producer);
  const frames = frameBytes(10);
  assert.equal(
    stdout.toString(),
    [5, 10].map((n) => `${n} packet(s) received\n${hexDump(frames[n - 1]!)}\n`).join(""),
  );
  assert.match(stderr, /'10' packet\(s\) in, '10' packet\(s\) out/);
  assert.equal(readLedger(stderr).captured, 10);
});

test("--pretty-print-format line prints what Pycapa's last release printed, received and delivered", async () => {
  const topic = await newTopic();
  const producer = shell(
    "pcapts --producer --interface $X --kafka-broker $B --kafka-topic $T --max-packets 10 " +
      "--pretty-print 5 --pretty-print-format line",
    topic,
  );
  await producer.says(/Starting packet capture/);
  await send(12);
  const { stdout } = await succeed(producer);
  const lines = stdout.toString().trimEnd().split("\n");
  assert.deepEqual(
    lines.filter((line) => line.startsWith("Packet received")),
    ["Packet received[5]", "Packet received[10]"],
  );
  const delivered = lines.filter((line) => line.startsWith("Packet delivered"));
  assert.equal(delivered.length, 2);
  for (const [n, line] of delivered.entries()) {
    const count = 5 * (n + 1);
    const head = `Packet delivered\\[${count}\\]: date=\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d\\.\\d{6}`;
    const tail = `topic=${topic} partition=0 offset=${count - 1} len=${FRAME_LENGTH}`;
    assert.match(line, new RegExp(`^${head} ${tail}$`));
  }
  assert.equal(lines.length, 4);
});

test("the consumer of the README writes ten frames into a file that tshark opens", async () => {
  const topic = await newTopic();
  await publish(bootstrap, topic, capture(25));
  const { stdout } = await succeed(
    shell(
      "pcapts --consumer --kafka-broker $B --kafka-topic $T --kafka-offset begin --max-packets 10 > out.pcap",
      topic,
    ),
  );
  assert.equal(stdout.length, 0);
  const file = path.join(scratch, "out.pcap");
  assert.deepEqual(readFileSync(file), capture(10));
  assert.equal(await countWithTshark(file), 10);
});

test("the consumer's --pretty-print prints every fifth frame in either of Pycapa's forms", async () => {
  const topic = await newTopic();
  await publish(bootstrap, topic, capture(12));
  const line =
    "pcapts --consumer --kafka-broker $B --kafka-topic $T --kafka-offset begin --pretty-print 5";
  const [hex, text] = await Promise.all([
    succeed(shell(`${line} --max-packets 10`, topic)),
    succeed(shell(`${line} --pretty-print-format line --exit-at-end`, topic)),
  ]);
  const frames = frameBytes(10);
  assert.equal(
    hex.stdout.toString(),
    `Packet: count=5 date=2023-11-14 22:13:24.000250 topic=${topic}\n${hexDump(frames[4]!)}\n` +
      `Packet: count=10 date=2023-11-14 22:13:29.000250 topic=${topic}\n${hexDump(frames[9]!)}\n`,
  );
  assert.equal(
    text.stdout.toString(),
    `Packet[5]: date=2023-11-14 22:13:24.000250 topic=${topic} partition=0 offset=4 len=60\n` +
      `Packet[10]: date=2023-11-14 22:13:29.000250 topic=${topic} partition=0 offset=9 len=60\n` +
      `Reached end of topar: topic=${topic}, partition=0, offset=12\n`,
  );
});

test("a consumer that goes on says when it has reached the end of the partition, and again after more", async () => {
  const topic = await newTopic();
  await publish(bootstrap, topic, capture(3));
  const consumer = shell(
    "exec pcapts --consumer --kafka-broker $B --kafka-topic $T --kafka-offset begin --pretty-print 2 " +
      "--pretty-print-format line",
    topic,
  );
  const ends = (): number[] =>
    [...consumer.stdout.toString().matchAll(/^Reached end of topar: .* offset=(\d+)$/gm)].map(
      ([, offset]) => Number(offset),
    );
  await eventually("the end at offset 3", () => ends().includes(3));
  await publish(bootstrap, topic, capture(3));
  await eventually("the end at offset 6", () => ends().includes(6));
  consumer.child.kill("SIGINT");
  const { stdout } = await succeed(consumer);
  assert.deepEqual(
    [...stdout.toString().matchAll(/^Packet\[(\d+)\]/gm)].map(([, count]) => Number(count)),
    [2, 4, 6],
  );
});

test("a consumer's stream is dissected by tshark -i - while it comes, and by tshark -r -", async () => {
  const topic = await newTopic();
  await publish(bootstrap, topic, capture(25));
  const consumer = "pcapts --consumer --kafka-broker $B --kafka-topic $T --kafka-offset begin";
  const live = shell(`exec ${consumer} | tshark -n -l -c 30 -i - -T fields -e udp.srcport`, topic);
  const read = await succeed(
    shell(`${consumer} --max-packets 10 | tshark -n -r - -T fields -e udp.srcport`, topic),
  );
  const ports = (output: Buffer): number[] => output.toString().trim().split("\n").map(Number);
  const expected = Array.from({ length: 30 }, (_, n) => 1024 + n);
  assert.deepEqual(ports(read.stdout), expected.slice(0, 10));

  await eventually("25 frames in tshark", () => ports(live.stdout).length === 25);
  await publish(
    bootstrap,
    topic,
    buildCapture({ frames: [25, 26, 27, 28, 29].map((n) => ({ bytes: buildUdpFrame(n, 60) })) }),
  );
  // tshark ends after 30 frames; pcapts notices at its next write, or when the pipe is closed.
  await eventually("30 frames in tshark", () => ports(live.stdout).length === 30);
  assert.deepEqual(ports(live.stdout), expected);
  await publish(bootstrap, topic, capture(5));
  const { status, stderr } = await live.ended;
  assert.equal(status, 0, stderr);
});

test("unique prefixes, joined values and -X as often as one likes work as under argparse", async () => {
  const topic = await newTopic();
  await publish(bootstrap, topic, capture(12));
  const { stdout } = await succeed(
    shell(
      "pcapts --cons --kafka-b=$B -t$T -o=begin -m10 -pp5 --log ERROR -X client.id=a=b -X fetch.min.bytes=1",
      topic,
    ),
  );
  assert.match(stdout.toString(), /^Packet: count=5 [^]*^Packet: count=10 /m);
});
