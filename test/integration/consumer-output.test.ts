import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { generateCapture } from "../../bench/generate-capture.ts";
import { createTopic, randomTopicName, sharedBroker } from "../brokers.ts";
import { assertSameFrames, readCapture, type CapturedFrame } from "../capture-frames.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { readCaptureInfo, runProgram } from "./other-programs.ts";
import {
  consume,
  publish,
  readConsumedCounts,
  runPcapts,
  startPcapts,
  succeedPcapts,
} from "./pcapts-process.ts";

const FRAMES = 40_000;

let bootstrap: string;
let scratch: string;
let topic: string;
/** Less than a second of traffic, in 4 partitions. */
let frames: readonly CapturedFrame[];
let capture: string;
before(async () => {
  ({ bootstrap } = await sharedBroker());
  scratch = mkdtempSync(path.join(tmpdir(), "pcapts-output-"));
  capture = path.join(scratch, "capture.pcap");
  generateCapture(capture, { frames: FRAMES, flows: 500 });
  frames = readCapture(readFileSync(capture)).frames;
  topic = randomTopicName();
  await publish(bootstrap, topic, capture);
});
after(() => rmSync(scratch, { recursive: true, force: true }));

const reading = (of = topic): string[] => ["-c", "-k", bootstrap, "-t", of, "-o", "begin", "-e"];

/** Frames that stand behind one that was captured later. */
function countLate(of: readonly CapturedFrame[]): number {
  let last = 0n;
  let late = 0;
  for (const { seconds, fraction } of of) {
    const time = BigInt(seconds) * 1_000_000n + BigInt(fraction);
    if (time < last) late++;
    else last = time;
  }
  return late;
}

/** What a consumer says of frames that came too late. */
function readLate(stderr: string): number {
  return Number(/; (\d+) came too late to be put in order/.exec(stderr)?.[1] ?? 0);
}

test("the frames of a finished topic come in the order of their capture times, -m the earliest", async () => {
  const [ordered, unordered, first] = await Promise.all([
    consume(bootstrap, topic),
    consume(bootstrap, topic, "--unordered"),
    consume(bootstrap, topic, "-m", "100"),
  ]);
  const inOrder = readCapture(ordered).frames;
  assert.equal(countLate(inOrder), 0);
  assertSameFrames(inOrder, frames);
  assert.ok(countLate(readCapture(unordered).frames) > 0);
  assertSameFrames(readCapture(unordered).frames, frames);
  assertSameFrames(readCapture(first).frames, frames.slice(0, 100));
});

test("captures of other times, published one behind the other, come out of a finished topic in order", async () => {
  const of = randomTopicName();
  const captures = [3, 1, 2].map((day) =>
    buildCapture({
      frames: toTestFrames(frames.slice(0, 3000)).map((frame) => ({
        ...frame,
        seconds: frame.seconds + day * 86_400,
      })),
    }),
  );
  for (const each of captures) await publish(bootstrap, of, each);
  const { stdout, stderr } = await succeedPcapts([...reading(of), "--ordered=1"]);
  const written = readCapture(stdout).frames;
  assert.equal(countLate(written), 0);
  assert.equal(readLate(stderr), 0);
  assertSameFrames(
    written,
    captures.flatMap((each) => readCapture(each).frames),
  );
});

test(
  "what is further apart than memory holds is counted as late",
  { timeout: 60_000 },
  async () => {
    const of = randomTopicName();
    const seconds = 1_700_000_000;
    const bytes = Buffer.alloc(60_000);
    // 84 MB, then the earliest frame.
    const input = buildCapture({
      frames: [
        ...Array.from({ length: 1400 }, (_, n) => ({ bytes, seconds, nanoseconds: n * 1000 })),
        { bytes: Buffer.alloc(60), seconds: 5 },
      ],
    });
    await publish(bootstrap, of, input, "--partitions", "1", "-X", "compression.codec=gzip");
    const { stdout, stderr } = await succeedPcapts(reading(of));
    const written = readCapture(stdout).frames;
    assert.equal(written.length, 1401);
    assert.equal(countLate(written), 1);
    assert.equal(readLate(stderr), 1);
    assert.match(stderr, /WARN: 1 frame\(s\) came too late/);
    const plain = await succeedPcapts([...reading(of), "--unordered"]);
    assert.equal(readLate(plain.stderr), 0);
  },
);

test(
  "a pipe gets frames of several partitions in order while they are published, or what was late is counted",
  { timeout: 60_000 },
  async () => {
    const of = randomTopicName();
    await createTopic(bootstrap, of, { partitions: 4 });
    const line = ["-c", "-k", bootstrap, "-t", of, "-o", "begin", "-m", "2000"];
    const consumers = [[], ["--ordered=3000"]].map((more) => startPcapts([...line, ...more]));
    await publish(bootstrap, of, buildCapture({ frames: toTestFrames(frames.slice(0, 2000)) }));
    for (const consumer of consumers) {
      const { status, stdout, stderr } = await consumer.ended;
      assert.equal(status, 0, stderr);
      const written = readCapture(stdout).frames;
      assertSameFrames(written, frames.slice(0, 2000));
      assert.equal(countLate(written), readLate(stderr));
    }
  },
);

test("text names the end of a partition behind its frames, before any that come after", async () => {
  const of = randomTopicName();
  await createTopic(bootstrap, of, { partitions: 4 });
  const consumer = startPcapts(
    `-c -k ${bootstrap} -t ${of} -o begin -pp 1 --pretty-print-format line`.split(" "),
  );
  for (let part = 0; part < 4; part++) {
    const some = frames.slice(part * 500, part * 500 + 500);
    await publish(bootstrap, of, buildCapture({ frames: toTestFrames(some) }));
    await consumer.writes(
      (stdout) => [...stdout.toString().matchAll(/^Packet\[/gm)].length === part * 500 + 500,
    );
  }
  const endsOf = (text: string): number[] =>
    [...text.matchAll(/^Reached end of topar: .* offset=(\d+)$/gm)].map(([, offset]) =>
      Number(offset),
    );
  // The last ends are told of, too.
  await consumer.writes((stdout) => {
    const last = new Map<string, number>();
    for (const [, partition = "", offset] of stdout
      .toString()
      .matchAll(/^Reached end of topar: .* partition=(\d), offset=(\d+)$/gm)) {
      last.set(partition, Number(offset));
    }
    return [...last.values()].reduce((sum, offset) => sum + offset, 0) === 2000;
  });
  consumer.child.kill("SIGTERM");
  const { status, stdout } = await consumer.ended;
  assert.equal(status, 0);
  assert.ok(endsOf(stdout.toString()).length > 4);
  const next = new Map<string, number>();
  for (const [, kind, partition = "", offset] of stdout
    .toString()
    .matchAll(/^(Packet\[|Reached end).*partition=(\d),? offset=(\d+)/gm)) {
    const expected = next.get(partition) ?? 0;
    assert.equal(Number(offset), expected, `${kind} of partition ${partition}`);
    if (kind === "Packet[") next.set(partition, expected + 1);
  }
});

test(
  "--from and --to give the frames of that time and end, though records carry the time of publishing",
  { timeout: 60_000 },
  async () => {
    const second = frames[FRAMES / 2]!;
    const from = second.seconds * 1_000_000 + second.fraction;
    const to = from + 50_000;
    const iso = (micros: number): string =>
      new Date(Math.floor(micros / 1000)).toISOString().replace("Z", "") +
      `${String(micros % 1000).padStart(3, "0")}Z`;
    const expected = frames.filter((frame) => {
      const micros = frame.seconds * 1_000_000 + frame.fraction;
      return micros >= from && micros < to;
    });
    assert.ok(expected.length > 10 && expected.length < FRAMES / 2);
    const line = ["-c", "-k", bootstrap, "-t", topic, "--from", iso(from), "--to", iso(to)];
    const { stdout, stderr } = await succeedPcapts(line);
    assertSameFrames(readCapture(stdout).frames, expected);
    assert.equal(countLate(readCapture(stdout).frames), 0);
    assert.match(stderr, /INFO: .*records carry the time of publishing/);
    assert.match(
      stderr,
      new RegExp(`captured outside of --from and --to ${FRAMES - expected.length}`),
    );

    // Under capture times the frames before and behind need not be read.
    const stamped = randomTopicName();
    await createTopic(bootstrap, stamped, { partitions: 2, config: { "retention.ms": "-1" } });
    await publish(bootstrap, stamped, capture, "--record-timestamp", "capture");
    const short = await succeedPcapts([...line.slice(0, 4), stamped, ...line.slice(5)]);
    assertSameFrames(readCapture(short.stdout).frames, expected);
    assert.doesNotMatch(short.stderr, /time of publishing/);
    assert.ok(readConsumedCounts(short.stderr).read < FRAMES, short.stderr);
  },
);

test("--to in the future ends the run when it is past", { timeout: 60_000 }, async () => {
  const of = randomTopicName();
  const now = Math.floor(Date.now() / 1000);
  const input = buildCapture({
    frames: [1, 2, 3].map((n) => ({ bytes: buildUdpFrame(n, 80), seconds: now - n })),
  });
  await publish(bootstrap, of, input);
  const to = new Date(Date.now() + 3000).toISOString();
  const { status, stdout, stderr } = await runPcapts([
    "-c",
    "-k",
    bootstrap,
    "-t",
    of,
    "--from",
    "-1h",
    "--to",
    to,
  ]);
  assert.equal(status, 0, stderr);
  assertSameFrames(readCapture(stdout).frames, readCapture(input).frames);
});

test("a consumer's filter leaves what tcpdump leaves; other link types do not match and are counted", async () => {
  const of = randomTopicName();
  await createTopic(bootstrap, of, { partitions: 2 });
  await publish(bootstrap, of, capture);
  const usb = Array.from({ length: 7 }, (_, n) => ({ bytes: Buffer.alloc(64, n) }));
  await publish(bootstrap, of, buildCapture({ frames: usb, linkType: 189 }));
  const expected = execFileSync("tcpdump", ["-r", capture, "-w", "-", "tcp port 80"], {
    maxBuffer: 1 << 28,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const line = [...reading(of), "--linktype", "1", "-f", "tcp port 80"];
  const { status, stdout, stderr } = await runPcapts(line);
  assert.equal(status, 0, stderr);
  assertSameFrames(readCapture(stdout).frames, readCapture(expected).frames);
  assert.match(stderr, /WARN: Frames of link type USB_LINUX are left out: Cannot compile filter/);
  assert.match(stderr, /the filter does not fit the link type of 7 of them/);

  const wrong = await runPcapts(["-c", "-k", "127.0.0.1:1", "tcp", "port"]);
  assert.equal(wrong.status, 2);
  assert.match(
    wrong.stderr,
    /Cannot compile filter "tcp port" for frames of type EN10MB: .*syntax/,
  );
  // Only other link types know it.
  const radio = await runPcapts([...reading(), "-f", "type mgt"]);
  assert.equal(radio.status, 0, radio.stderr);
});

for (const [fileType, ending] of [
  ["pcap", ".pcap"],
  ["pcapng", ".pcapng.gz"],
] as const) {
  test(`a ring of ${fileType} files has dumpcap's names, all frames in order, each file whole`, async () => {
    const folder = mkdtempSync(path.join(scratch, "ring-"));
    const compression = ending.endsWith(".gz") ? ["--compress-output", "gzip"] : [];
    const output = path.join(folder, `out${ending}`);
    await succeedPcapts([
      ...reading(),
      "-F",
      fileType,
      "-w",
      output,
      "-b",
      "packets:15000",
      ...compression,
    ]);
    const names = readdirSync(folder).toSorted();
    assert.equal(names.length, 3);
    for (const [n, name] of names.entries()) {
      assert.match(name, new RegExp(`^out_0000${n + 1}_\\d{14}${ending.replaceAll(".", "\\.")}$`));
    }
    const counts = await Promise.all(names.map((name) => readCaptureInfo(path.join(folder, name))));
    assert.deepEqual(
      counts.map((info) => info.frames),
      [15_000, 15_000, 10_000],
    );
    const merged = path.join(folder, "merged.pcap");
    await runProgram([
      "mergecap",
      "-a",
      "-F",
      "pcap",
      "-w",
      merged,
      ...names.map((name) => path.join(folder, name)),
    ]);
    assertSameFrames(readCapture(readFileSync(merged)).frames, frames);
    assert.equal(countLate(readCapture(readFileSync(merged)).frames), 0);
  });
}

test("a ring keeps its newest files, -C and -W as in tcpdump, with parts of the time in the name", async () => {
  const folder = mkdtempSync(path.join(scratch, "ring-"));
  const output = path.join(folder, "at-%Y%m%d.pcap");
  await succeedPcapts([...reading(), "-w", output, "-C", "1", "-W", "3"]);
  const names = readdirSync(folder);
  assert.equal(names.length, 3);
  let kept = 0;
  for (const name of names) {
    assert.match(name, /^at-20\d{6}\.pcap\d*$/);
    const file = readFileSync(path.join(folder, name));
    assert.ok(file.length < 1_002_000, `${name}: ${file.length} bytes`);
    kept += readCapture(file).frames.length;
  }
  assert.ok(kept > 5000 && kept < FRAMES);
});

test("-G and -W alone end the run after so many files", async () => {
  const folder = mkdtempSync(path.join(scratch, "ring-"));
  const seconds = frames.at(-1)!.seconds - frames[0]!.seconds;
  assert.equal(seconds, 0, "one second's worth of frames");
  const of = randomTopicName();
  const slow = Array.from({ length: 50 }, (_, n) => ({
    bytes: buildUdpFrame(n, 60),
    seconds: 1_700_000_000 + n,
  }));
  await publish(bootstrap, of, buildCapture({ frames: slow }));
  await succeedPcapts([
    ...reading(of),
    "-w",
    path.join(folder, "x-%s.pcap"),
    "-G",
    "10",
    "-W",
    "2",
  ]);
  assert.deepEqual(readdirSync(folder).toSorted(), ["x-1700000000.pcap", "x-1700000010.pcap"]);
  for (const name of readdirSync(folder)) {
    assert.equal(readCapture(readFileSync(path.join(folder, name))).frames.length, 10);
  }
});

for (const compression of ["gzip", "zstd"] as const) {
  test(
    `--compress-output ${compression} writes what the program of that name reads, also when a signal ends it`,
    { timeout: 60_000 },
    async () => {
      const file = path.join(scratch, `out.${compression}`);
      const whole = await succeedPcapts([
        ...reading(),
        "--compress-output",
        compression,
        "-w",
        file,
      ]);
      assert.equal(whole.stdout.length, 0);
      const decompressed = execFileSync(compression, ["-dc"], {
        input: readFileSync(file),
        maxBuffer: 1 << 28,
      });
      assertSameFrames(readCapture(decompressed).frames, frames);

      const endless = reading().filter((word) => word !== "-e");
      const consumer = startPcapts([...endless, "--compress-output", compression]);
      await consumer.writes((stdout) => stdout.length > 100_000);
      consumer.child.kill("SIGTERM");
      const { status, stdout } = await consumer.ended;
      assert.equal(status, 0);
      const cut = execFileSync(compression, ["-dc"], { input: stdout, maxBuffer: 1 << 28 });
      assert.ok(readCapture(cut).frames.length > 1000);
    },
  );
}

test("an empty topic makes a pcapng file that every program opens", async () => {
  const of = randomTopicName();
  await createTopic(bootstrap, of);
  const file = path.join(scratch, "empty.pcapng");
  writeFileSync(file, await consume(bootstrap, of, "-F", "pcapng"));
  assert.equal((await readCaptureInfo(file)).frames, 0);
  await runProgram(["tcpdump", "-r", file]);
});

function toTestFrames(
  of: readonly CapturedFrame[],
): { bytes: Buffer; seconds: number; nanoseconds: number }[] {
  return of.map(({ bytes, seconds, fraction }) => ({
    bytes,
    seconds,
    nanoseconds: fraction * 1000,
  }));
}
