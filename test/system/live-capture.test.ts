import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { createTopic, projectRoot, randomTopicName, sharedBroker } from "../brokers.ts";
import { readCapture } from "../capture-frames.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { countRecords, runProgram } from "../integration/other-programs.ts";
import {
  assertNoStackTrace,
  consume,
  type Ended,
  eventually,
  PCAPTS,
  readLedger,
  runPcapts,
  type RunningProcess,
  startPcapts,
} from "../integration/pcapts-process.ts";
import { createVethPair, type VethPair } from "./veth-pair.ts";

/*
 * The real command line captures from real interfaces into a real Kafka. Users other than root have
 * to be able to read this checkout.
 */

const LIMIT = { timeout: 60_000 };
const FRAME_BYTES = 184;
/** buildUdpFrame() has 1024 and the frame's number as its source port. */
const FIRST_PORT = 1024;

let bootstrap: string;
let veth: VethPair;
let other: VethPair;
before(async () => {
  ({ bootstrap } = await sharedBroker());
  [veth, other] = await Promise.all([createVethPair(), createVethPair()]);
});
after(() => Promise.all([veth.remove(), other.remove()]));

function frames(count: number): { bytes: Buffer }[] {
  return Array.from({ length: count }, (_, n) => ({ bytes: buildUdpFrame(n, FRAME_BYTES) }));
}

/** Sends numbered frames at a pace that no ring overflows at. */
function send(pair: VethPair, count: number): Promise<void> {
  return pair.send(buildCapture({ frames: frames(count) }), ["--pps=3000"]);
}

/** A topic with one partition, so that frames stay in order. */
async function newTopic(): Promise<string> {
  const topic = randomTopicName("live");
  await createTopic(bootstrap, topic);
  return topic;
}

/** A producer that captures already. */
async function capture(
  topic: string,
  args: readonly string[],
  command: readonly string[] = [],
): Promise<RunningProcess> {
  // Engine cap says at DEBUG when the kernel captures for it.
  const line = ["-p", "-k", bootstrap, "-t", topic, "-ll", "DEBUG", ...args];
  const producer = startPcapts(line, { command: [...command, process.execPath, PCAPTS] as never });
  await producer.says(/Starting packet capture/);
  if (args.includes("cap")) {
    for (const name of args.filter((_, n) => args[n - 1] === "-i")) {
      await producer.says(new RegExp(`Engine cap captures on interface "${name}"`));
    }
  }
  return producer;
}

async function succeed(producer: RunningProcess): Promise<Ended> {
  const ended = await producer.ended;
  assert.equal(ended.status, 0, ended.stderr);
  assertNoStackTrace(ended.stderr);
  return ended;
}

/** Waits until the producer has captured so many frames, then stops it as Ctrl-C does. */
async function stopAfter(producer: RunningProcess, count: number): Promise<Ended> {
  await untilCaptured(producer, count);
  producer.child.kill("SIGINT");
  return succeed(producer);
}

async function untilCaptured(producer: RunningProcess, count: number): Promise<void> {
  const asking = setInterval(() => producer.child.kill("SIGUSR1"), 100);
  try {
    await producer.says(new RegExp(`captured ${count} = acknowledged ${count} `));
  } finally {
    clearInterval(asking);
  }
}

/** Source ports of the frames in a topic, which number them. */
async function numbersIn(topic: string): Promise<number[]> {
  const { frames: found } = readCapture(await consume(bootstrap, topic));
  return found.map(({ bytes }) => bytes.readUInt16BE(34) - FIRST_PORT);
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}

/** A field of /proc/PID/status. */
function statusOf(pid: number, field: string): string {
  const status = readFileSync(`/proc/${pid}/status`, "ascii");
  return new RegExp(`^${field}:\\s+(.*)$`, "m").exec(status)?.[1]?.replaceAll("\t", " ") ?? "";
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "ascii")
    .split(" ")
    .filter(Boolean)
    .map(Number);
}

for (const engine of ["libpcap", "cap"] as const) {
  describe(`engine ${engine}`, () => {
    test("several interfaces feed one run, and each record names its own", LIMIT, async () => {
      const topic = await newTopic();
      const interfaces = ["-i", veth.name, "-i", other.name];
      const producer = await capture(topic, ["--engine", engine, ...interfaces]);
      await Promise.all([send(veth, 30), send(other, 20)]);
      const { stderr } = await stopAfter(producer, 50);
      for (const { name } of [veth, other]) {
        assert.match(
          stderr,
          new RegExp(`INFO: Capturing on ${name} \\(EN10MB, snaplen \\d+\\) with `),
        );
        assert.match(stderr, new RegExp(`INFO: ${name}: received .*, dropped by the kernel `));
      }
      const { stdout } = await runProgram([
        "kcat",
        "-C",
        "-q",
        "-e",
        "-b",
        bootstrap,
        "-t",
        topic,
        "-o",
        "beginning",
        "-f",
        "%h\n",
      ]);
      const headers = stdout.toString().trimEnd().split("\n");
      assert.equal(headers.filter((each) => each === `iface=${veth.name}`).length, 30);
      assert.equal(headers.filter((each) => each === `iface=${other.name}`).length, 20);
      assert.equal(headers.length, 50);
    });

    test("a filter lets through what matches, from -f and from words", LIMIT, async () => {
      const filter = `udp src port ${FIRST_PORT + 3} or udp src port ${FIRST_PORT + 7}`;
      for (const form of [["-f", filter], filter.split(" ")]) {
        const topic = await newTopic();
        const producer = await capture(topic, ["--engine", engine, "-i", veth.name, ...form]);
        await send(veth, 40);
        await stopAfter(producer, 2);
        assert.deepEqual(await numbersIn(topic), [3, 7]);
      }
    });

    test("-m ends a capture by itself after the first frames", LIMIT, async () => {
      const topic = await newTopic();
      const producer = await capture(topic, ["--engine", engine, "-i", veth.name, "-m", "10"]);
      await send(veth, 40);
      const { stderr } = await succeed(producer);
      assert.equal(readLedger(stderr).acknowledged, 10);
      assert.deepEqual(await numbersIn(topic), numbers(10));
    });

    test("-Z gives root up once the interface is open, and capturing goes on", LIMIT, async () => {
      const topic = await newTopic();
      const args = ["--engine", engine, "-i", veth.name, "-Z", "daemon"];
      const producer = await capture(topic, args);
      const pid = producer.child.pid!;
      const isChanged = (each: number): boolean => statusOf(each, "Uid") === "1 1 1 1";
      const all = [pid, ...childrenOf(pid)];
      assert.equal(all.length, engine === "cap" ? 2 : 1);
      await eventually("the change of user", () => all.every(isChanged));
      for (const each of all) {
        assert.equal(statusOf(each, "Gid"), "1 1 1 1");
        assert.equal(statusOf(each, "CapEff"), "0000000000000000");
        assert.equal(statusOf(each, "CapPrm"), "0000000000000000");
      }
      await send(veth, 20);
      const { stderr } = await stopAfter(producer, 20);
      assert.match(stderr, /Changed to user "daemon" \(1:1\), for good[^]*Connecting to Kafka/);
      assert.deepEqual(await numbersIn(topic), numbers(20));
    });

    test("a user without any right but CAP_NET_RAW captures", LIMIT, async () => {
      const topic = await newTopic();
      const producer = await capture(
        topic,
        ["--engine", engine, "-i", veth.name],
        [
          "setpriv",
          "--reuid=1",
          "--regid=1",
          "--clear-groups",
          "--inh-caps=-all,+net_raw",
          "--ambient-caps=-all,+net_raw",
          "--bounding-set=-all,+net_raw",
        ],
      );
      assert.equal(statusOf(producer.child.pid!, "CapEff"), "0000000000002000");
      await send(veth, 20);
      await stopAfter(producer, 20);
      assert.deepEqual(await numbersIn(topic), numbers(20));
    });

    test("without that right the message says how to grant it, and how not to", LIMIT, async () => {
      const command = ["setpriv", "--bounding-set=-net_raw,-net_admin", "--inh-caps=-all"];
      const { status, stderr } = await runPcapts(["-p", "--engine", engine, "-i", veth.name], {
        command: [...command, process.execPath, PCAPTS] as never,
      });
      assert.equal(status, 1);
      assert.match(stderr, /ERROR: Cannot open interface .* needs the capability CAP_NET_RAW/);
      assert.match(
        stderr,
        /sudo.*AmbientCapabilities=CAP_NET_RAW.*setpriv.*Do not setcap the node/,
      );
      assert.doesNotMatch(stderr, /Connecting to Kafka/);
      assertNoStackTrace(stderr);
    });

    test(
      "a filter that does not compile is refused in libpcap's words, and Kafka is left alone",
      LIMIT,
      async () => {
        const args = ["-p", "--engine", engine, "-i", veth.name, "tcp", "port", "port"];
        const { status, stderr } = await runPcapts(args);
        assert.equal(status, 2, stderr);
        assert.match(stderr, /Cannot compile filter "tcp port port".*: .*syntax error/);
        assert.doesNotMatch(stderr, /Connecting to Kafka/);
      },
    );
  });
}

test("an installation without the addon captures by cap, and says why", LIMIT, async () => {
  const installation = mkdtempSync(path.join(tmpdir(), "pcapts-without-addon-"));
  try {
    for (const part of ["bin", "package.json", "dist/cli", "dist/src"]) {
      cpSync(path.join(projectRoot, part), path.join(installation, part), { recursive: true });
    }
    symlinkSync(path.join(projectRoot, "node_modules"), path.join(installation, "node_modules"));
    const command = [process.execPath, path.join(installation, "bin/pcapts.js")] as never;
    const topic = await newTopic();
    const line = ["-p", "-k", bootstrap, "-t", topic, "-ll", "DEBUG", "-i", veth.name];
    const producer = startPcapts(line, { command });
    await producer.says(/Engine cap captures on interface/);
    await send(veth, 20);
    const { stderr } = await stopAfter(producer, 20);
    assert.match(
      stderr,
      /WARN: Interface ".*" is captured by engine cap: Cannot load .* "libpcap": /,
    );
    assert.match(stderr, /INFO: Capturing on .* with cap: times are taken when a frame is read/);
    assert.match(stderr, /INFO: received unknown = dropped by the kernel unknown /);
    assert.deepEqual(await numbersIn(topic), numbers(20));

    // Nothing else can filter a file.
    const input = buildCapture({ frames: frames(1) });
    const filtered = await runPcapts(["-p", "-r", "-", "udp"], { command, input });
    assert.equal(filtered.status, 1);
    assert.match(filtered.stderr, /ERROR: Cannot load the capture engine "libpcap": /);
    assert.doesNotMatch(filtered.stderr, /Connecting to Kafka/);
  } finally {
    rmSync(installation, { recursive: true });
  }
});

test(
  "one of several interfaces that goes down ends the run with every frame accounted for",
  LIMIT,
  async () => {
    const topic = await newTopic();
    const failing = await createVethPair();
    try {
      const producer = await capture(topic, ["-i", veth.name, "-i", failing.name]);
      await Promise.all([send(veth, 30), send(failing, 20)]);
      await untilCaptured(producer, 50);
      await failing.down();
      const { status, stderr } = await producer.ended;
      assert.equal(status, 1, stderr);
      assert.match(
        stderr,
        new RegExp(`ERROR: Cannot capture on interface "${failing.name}" any longer`),
      );
      const { received, acknowledged } = readLedger(stderr);
      assert.deepEqual([received, acknowledged], ["50", 50]);
      assert.equal(await countRecords(bootstrap, topic), 50);
    } finally {
      await failing.remove();
    }
  },
);

test("-a packets: ends a run as -m does", LIMIT, async () => {
  const topic = await newTopic();
  const producer = await capture(topic, ["-i", veth.name, "-a", "packets:10"]);
  await send(veth, 40);
  assert.equal(readLedger((await succeed(producer)).stderr).acknowledged, 10);
  assert.deepEqual(await numbersIn(topic), numbers(10));
});

test("-a filesize: ends a run with the frame that makes a pcap file as large", LIMIT, async () => {
  const topic = await newTopic();
  const producer = await capture(topic, ["-i", veth.name, "-a", "filesize:3"]);
  await send(veth, 40);
  await succeed(producer);
  // 24 bytes and frames of 200 with their headers: 14 are 2,824 bytes, 15 are 3,024.
  assert.equal((await consume(bootstrap, topic)).length, 3024);
});

test("-a duration: ends a run by itself, with everything that came before", LIMIT, async () => {
  const topic = await newTopic();
  const producer = await capture(topic, ["-i", veth.name, "-a", "duration:3"]);
  await send(veth, 40);
  await untilCaptured(producer, 40);
  const { stderr } = await succeed(producer);
  assert.match(stderr, /INFO: Capture ends: 3 s are over/);
  assert.doesNotMatch(stderr, /Clean shutdown process started/);
  assert.equal(await countRecords(bootstrap, topic), 40);
});

test("--time-stamp-precision nano keeps what is below a microsecond", LIMIT, async () => {
  const topic = await newTopic();
  const args = ["-i", veth.name, "--time-stamp-precision", "nano"];
  const producer = await capture(topic, args);
  await send(veth, 40);
  await stopAfter(producer, 40);
  const file = readCapture(await consume(bootstrap, topic, "-F", "nsecpcap"));
  assert.ok(file.frames.some(({ fraction }) => fraction % 1000 !== 0));
});

test("-y opens an interface with another of its link types", LIMIT, async () => {
  const topic = await newTopic();
  // "any" sees what everything else on this machine sends: this number is in no other frame.
  const sequence = randomInt(2 ** 31, 2 ** 32);
  const filter = `udp[8:4] = ${sequence}`;
  const producer = await capture(topic, ["-i", "any", "-y", "linux_sll2", filter]);
  await veth.send(buildCapture({ frames: [{ bytes: buildUdpFrame(sequence, FRAME_BYTES) }] }));
  const { stderr } = await stopAfter(producer, 1);
  assert.match(stderr, /Capturing on any \(LINUX_SLL2, snaplen 262144\)/);
  assert.equal(readCapture(await consume(bootstrap, topic)).linkType, 276);
});

test("-L and -J list what tcpdump lists", LIMIT, async () => {
  for (const [flag, name] of [
    ["-L", veth.name],
    ["-L", "any"],
    ["-J", veth.name],
    ["-J", "any"],
  ] as const) {
    const [ours, theirs] = await Promise.all([
      runPcapts([flag, "-i", name]),
      runProgram(["tcpdump", flag, "-i", name]),
    ]);
    assert.equal(ours.status, 0, ours.stderr);
    const words = (text: string): string[] =>
      text
        .replaceAll(" (printing not supported)", "")
        .split("\n")
        .filter((line) => line.startsWith("  "))
        .toSorted();
    const expected = words(theirs.stdout.toString() + theirs.stderr);
    assert.deepEqual(words(ours.stdout.toString()), expected);
    assert.equal(ours.stderr, "");
  }
});

test(
  "link and time stamp types that an interface has not are refused with those it has",
  LIMIT,
  async () => {
    for (const [flag, type, message] of [
      ["-y", "IEEE802_11", /link type "IEEE802_11".*; it has EN10MB.*pcapts -L -i/],
      ["-j", "adapter", /time stamp type "adapter".*pcapts -J -i/],
      ["-j", "nosuch", /time stamp type "nosuch".*pcapts -J -i/],
    ] as const) {
      const { status, stderr } = await runPcapts(["-p", "-i", veth.name, flag, type]);
      assert.equal(status, 2, stderr);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /Connecting to Kafka/);
    }
  },
);

test("an interface that is named twice is refused, however it is spelt", LIMIT, async () => {
  const list = JSON.parse((await runPcapts(["-D", "--json"])).stdout.toString()) as {
    index: number;
    name: string;
  }[];
  const { index } = list.find(({ name }) => name === veth.name)!;
  for (const [again, message] of [
    [veth.name, /-i, --interface names ".*" twice$/m],
    [String(index), /-i, --interface names ".*" twice, as ".*" and as "\d+"$/m],
  ] as const) {
    const { status, stderr } = await runPcapts(["-p", "-i", veth.name, "-i", again]);
    assert.equal(status, 2, stderr);
    assert.match(stderr, message);
  }
});
