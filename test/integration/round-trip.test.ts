import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { generateCapture } from "../../bench/generate-capture.ts";
import { createTopic, randomTopicName, sharedBroker } from "../brokers.ts";
import {
  assertSameFrames,
  assertSameOrderInFlows,
  type Capture,
  countFlows,
  readCapture,
} from "../capture-frames.ts";
import { buildCapture, buildUdpFrame, type TestFrame } from "../fixtures/generate.ts";
import { countWithTshark, readCaptureInfo } from "./other-programs.ts";
import {
  assertNoStackTrace,
  consume,
  publish,
  readConsumedCounts,
  readLedger,
  runPcapts,
  startPcapts,
  succeedPcapts,
} from "./pcapts-process.ts";

const PCAP_HEADER_BYTES = 24;
const ETHERNET = 1;

let bootstrap: string;
let scratch: string;
before(async () => {
  ({ bootstrap } = await sharedBroker());
  scratch = mkdtempSync(path.join(tmpdir(), "pcapts-round-trip-"));
});
after(() => rmSync(scratch, { recursive: true, force: true }));

/** Publishes a capture to a new topic and reads it back. */
async function roundTrip(
  capture: Buffer | string,
  { publishing = [], consuming = [] }: Partial<Record<"publishing" | "consuming", string[]>> = {},
): Promise<Capture> {
  const topic = randomTopicName();
  await publish(bootstrap, topic, capture, ...publishing);
  return readCapture(await consume(bootstrap, topic, ...consuming));
}

function udpFrames(count: number, length = 90): TestFrame[] {
  return Array.from({ length: count }, (_, n) => ({
    bytes: buildUdpFrame(n, length),
    seconds: 1_700_000_000 + n,
    nanoseconds: (n % 1000) * 1_000_123,
  }));
}

test("a capture of 180,000 frames comes back whole and in order within each flow", async () => {
  const file = path.join(scratch, "large.pcap");
  generateCapture(file, { frames: 180_000 });
  const expected = readCapture(readFileSync(file));
  const topic = randomTopicName();

  const produced = await publish(bootstrap, topic, file);
  const { captured, acknowledged } = readLedger(produced.stderr);
  assert.deepEqual({ captured, acknowledged }, { captured: 180_000, acknowledged: 180_000 });
  assert.equal(produced.stdout.length, 0);

  const output = await consume(bootstrap, topic);
  const outputFile = path.join(scratch, "large-out.pcap");
  writeFileSync(outputFile, output);
  const [info, tsharkFrames] = await Promise.all([
    readCaptureInfo(outputFile),
    countWithTshark(outputFile),
  ]);
  assert.deepEqual(info, { frames: 180_000, encapsulation: "ether", fileType: "pcap" });
  assert.equal(tsharkFrames, 180_000);

  const capture = readCapture(output);
  assert.equal(capture.linkType, ETHERNET);
  assert.equal(countFlows(expected.frames), 2000);
  assertSameFrames(capture.frames, expected.frames);
  assertSameOrderInFlows(capture.frames, expected.frames);
});

test("--write and standard output give the same bytes", async () => {
  const topic = randomTopicName();
  await createTopic(bootstrap, topic);
  await publish(bootstrap, topic, buildCapture({ frames: udpFrames(200) }));
  const file = path.join(scratch, "written.pcap");
  const [piped, written] = await Promise.all([
    consume(bootstrap, topic),
    consume(bootstrap, topic, "-w", file),
  ]);
  assert.equal(readCapture(piped).frames.length, 200);
  assert.deepEqual(readFileSync(file), piped);
  assert.equal(written.length, 0);
});

test("captures of either byte order and precision come back little-endian, with their nanoseconds under -F nsecpcap", async () => {
  const topic = randomTopicName();
  await createTopic(bootstrap, topic, { partitions: 3 });
  const layouts = [false, true].flatMap((bigEndian) =>
    [false, true].map((nanosecond) => ({ bigEndian, nanosecond })),
  );
  const captures = layouts.map((layout, n) => {
    const frames = udpFrames(1500, 60 + n).map((frame) => ({
      ...frame,
      // A file of microseconds has no more to give.
      nanoseconds: layout.nanosecond ? (frame.nanoseconds ?? 0) : 5000,
    }));
    return { ...layout, frames };
  });
  await Promise.all(captures.map((each) => publish(bootstrap, topic, buildCapture(each))));
  const outputs = await Promise.all([
    consume(bootstrap, topic),
    consume(bootstrap, topic, "-F", "nsecpcap"),
  ]);
  const frames = captures.flatMap((each) => each.frames);
  for (const [n, nanosecond] of [false, true].entries()) {
    const output = readCapture(outputs[n]!);
    assert.deepEqual([output.nanosecond, output.bigEndian], [nanosecond, false]);
    assertSameFrames(output.frames, readCapture(buildCapture({ frames, nanosecond })).frames);
  }
});

test("frames of 0, 1, 14, 65,535 and 262,144 bytes come back, from a file and from standard input", async () => {
  const frames = [0, 1, 14, 65_535, 262_144].map((length, n) => ({
    bytes: Buffer.alloc(length, n + 1),
    seconds: n,
    nanoseconds: 999_999_000,
    wireLength: length + (n % 2),
  }));
  const input = buildCapture({ frames });
  const file = path.join(scratch, "lengths.pcap");
  writeFileSync(file, input);
  const outputs = await Promise.all([roundTrip(file), roundTrip(input)]);
  for (const output of outputs) {
    assert.equal(output.snapLength, 262_144);
    assertSameFrames(output.frames, readCapture(input).frames);
  }
});

test("tens of thousands of the shortest frames come back", async () => {
  const frames = Array.from({ length: 30_000 }, (_, n) => ({
    bytes: Buffer.from([n, n >> 8].slice(0, n % 3)),
    nanoseconds: n * 1000,
  }));
  const input = buildCapture({ frames });
  assertSameFrames((await roundTrip(input)).frames, readCapture(input).frames);
});

for (const [linkType, name] of [
  [113, "Linux cooked capture"],
  [101, "raw IP"],
  [127, "radiotap"],
] as const) {
  test(`frames of link type ${linkType} (${name}) come back under it`, async () => {
    const input = buildCapture({ frames: udpFrames(50), linkType });
    const output = await roundTrip(input);
    assert.equal(output.linkType, linkType);
    assertSameFrames(output.frames, readCapture(input).frames);
  });
}

test("two link types in one topic: the last record's is written, the other's are counted and named, exit 1", async () => {
  const topic = randomTopicName();
  await createTopic(bootstrap, topic);
  const cooked = buildCapture({ frames: udpFrames(2), linkType: 113 });
  const ethernet = buildCapture({ frames: udpFrames(5000) });
  await publish(bootstrap, topic, cooked);
  await publish(bootstrap, topic, ethernet);
  const line = ["-c", "-k", bootstrap, "-t", topic, "-o", "begin", "-e"];
  const [plain, asked] = await Promise.all([
    runPcapts(line),
    runPcapts([...line, "--linktype", "113"]),
  ]);

  assert.equal(plain.status, 1, plain.stderr);
  assert.match(plain.stderr, /WARN: .*LINUX_SLL are left out.*-F pcapng.*--linktype 113/);
  assert.equal(readCapture(plain.stdout).linkType, ETHERNET);
  assertSameFrames(readCapture(plain.stdout).frames, readCapture(ethernet).frames);
  assert.deepEqual(readConsumedCounts(plain.stderr), {
    read: 5002,
    written: 5000,
    notFrames: 0,
    otherLinkType: 2,
  });

  assert.equal(asked.status, 1, asked.stderr);
  assert.match(asked.stderr, /WARN: .*EN10MB are left out.*-F pcapng/);
  assert.equal(readCapture(asked.stdout).linkType, 113);
  assertSameFrames(readCapture(asked.stdout).frames, readCapture(cooked).frames);
  assert.equal(readConsumedCounts(asked.stderr).otherLinkType, 5000);
});

for (const partitions of [1, 64]) {
  test(`a topic with ${partitions} partition(s) gives back every frame, in the order of the file`, async () => {
    const file = path.join(scratch, `partitions-${partitions}.pcap`);
    generateCapture(file, { frames: 20_000, flows: 300, seed: partitions });
    const output = await roundTrip(file, {
      publishing: ["--partitions", String(partitions)],
    });
    const expected = readCapture(readFileSync(file)).frames;
    assertSameFrames(output.frames, expected);
    assertSameOrderInFlows(output.frames, expected);
    // Times of this file differ, so its order is that of capture times.
    assert.ok(output.frames.every((frame, n) => frame.bytes.equals(expected[n]!.bytes)));
  });
}

test("--partitioner random gives back every frame as well", async () => {
  const file = path.join(scratch, "random.pcap");
  generateCapture(file, { frames: 5000, flows: 1 });
  const output = await roundTrip(file, { publishing: ["--partitioner", "random"] });
  assertSameFrames(output.frames, readCapture(readFileSync(file)).frames);
});

test("-m stops after that many frames, on either side", async () => {
  const input = buildCapture({ frames: udpFrames(3000) });
  const topic = randomTopicName();
  await createTopic(bootstrap, topic);
  const produced = await publish(bootstrap, topic, input, "-m", "2500");
  assert.equal(readLedger(produced.stderr).captured, 2500);
  const line = ["-c", "-k", bootstrap, "-t", topic, "-o", "begin"];
  const [all, ten, more] = await Promise.all([
    consume(bootstrap, topic),
    succeedPcapts([...line, "-m", "10"]),
    succeedPcapts([...line, "-m", "9000", "-e"]),
  ]);
  const expected = readCapture(input).frames;
  assertSameFrames(readCapture(all).frames, expected.slice(0, 2500));
  assertSameFrames(readCapture(ten.stdout).frames, expected.slice(0, 10));
  assertSameFrames(readCapture(more.stdout).frames, expected.slice(0, 2500));
  assert.equal(readConsumedCounts(ten.stderr).written, 10);
});

test("-s cuts the frames of a file and keeps their wire length; -s 0 cuts nothing", async () => {
  const frames = [50, 100, 101, 1000].map((length) => ({ bytes: buildUdpFrame(length, length) }));
  const input = buildCapture({ frames });
  const [cut, whole] = await Promise.all([
    roundTrip(input, { publishing: ["-s", "100"] }),
    roundTrip(input, { publishing: ["-s0"] }),
  ]);
  const expected = frames.map(({ bytes }) => ({
    bytes: bytes.subarray(0, 100),
    wireLength: bytes.length,
  }));
  assertSameFrames(cut.frames, readCapture(buildCapture({ frames: expected })).frames);
  assertSameFrames(whole.frames, readCapture(input).frames);
});

test("an empty capture becomes a valid empty file, with the link type that was asked for", async () => {
  const topic = randomTopicName();
  const produced = await publish(bootstrap, topic, buildCapture({ frames: [] }));
  assert.equal(readLedger(produced.stderr).captured, 0);
  const [plain, raw, nano] = await Promise.all([
    consume(bootstrap, topic),
    consume(bootstrap, topic, "--linktype", "101"),
    consume(bootstrap, topic, "-F", "nsecpcap"),
  ]);
  for (const [output, linkType, nanosecond] of [
    [plain, ETHERNET, false],
    [raw, 101, false],
    [nano, ETHERNET, true],
  ] as const) {
    assert.equal(output.length, PCAP_HEADER_BYTES);
    const capture = readCapture(output);
    assert.deepEqual([capture.linkType, capture.nanosecond], [linkType, nanosecond]);
  }
  const file = path.join(scratch, "empty.pcap");
  writeFileSync(file, plain);
  assert.equal((await readCaptureInfo(file)).frames, 0);
  assert.equal(await countWithTshark(file), 0);
});

describe("a consumer that waits", { concurrency: true }, () => {
  test("the file header is there before any frame, and a frame follows within a second of publishing", async () => {
    const topic = randomTopicName();
    await publish(bootstrap, topic, buildCapture({ frames: udpFrames(3), linkType: 101 }));
    const consumer = startPcapts(["-c", "-k", bootstrap, "-t", topic]);
    try {
      const header = await consumer.writes((stdout) => stdout.length > 0);
      assert.equal(header.length, PCAP_HEADER_BYTES);
      assert.equal(readCapture(header).linkType, 101);

      const input = buildCapture({ frames: udpFrames(1), linkType: 101 });
      await publish(bootstrap, topic, input);
      await consumer.writes((stdout) => stdout.length === input.length, 1000);
      assertSameFrames(readCapture(consumer.stdout).frames, readCapture(input).frames);
    } finally {
      consumer.child.kill("SIGTERM");
    }
    const { status, stderr } = await consumer.ended;
    assert.equal(status, 0);
    assertNoStackTrace(stderr);
  });

  test("in an empty topic the file header waits for the first frame, unless --header-now", async () => {
    const topic = randomTopicName();
    await createTopic(bootstrap, topic);
    const line = ["-c", "-k", bootstrap, "-t", topic, "-ll", "debug", "-o", "begin"];
    const waiting = startPcapts(line);
    const atOnce = startPcapts([...line, "--header-now"]);
    try {
      const header = await atOnce.writes((stdout) => stdout.length > 0);
      assert.equal(readCapture(header).linkType, ETHERNET);
      // It says so after three seconds without a frame; by then it reads.
      await waiting.says(/No frame yet; topic ".*" is empty/);
      assert.equal(waiting.stdout.length, 0);

      const input = buildCapture({ frames: udpFrames(4), linkType: 127 });
      await publish(bootstrap, topic, input);
      const output = await waiting.writes((stdout) => stdout.length === input.length);
      assert.equal(readCapture(output).linkType, 127);
      assertSameFrames(readCapture(output).frames, readCapture(input).frames);
    } finally {
      waiting.child.kill("SIGTERM");
      atOnce.child.kill("SIGTERM");
    }
    assert.equal((await waiting.ended).status, 0);
    // Frames of radiotap do not fit under the Ethernet header that was written at once.
    assert.equal((await atOnce.ended).status, 1);
  });

  test("a consumer without an offset says after three seconds how many frames are stored and how to read them", async () => {
    const topic = randomTopicName();
    await publish(bootstrap, topic, buildCapture({ frames: udpFrames(12) }));
    const consumer = startPcapts(["-c", "-k", bootstrap, "-t", topic]);
    try {
      await consumer.says(/INFO: .*\b12\b.*-o begin/);
      assert.ok(consumer.ageMs > 3000);
    } finally {
      consumer.child.kill("SIGINT");
    }
    assert.equal((await consumer.ended).status, 0);
  });
});
