// pcapts beside its peers in one run: npm run bench -- [--frames N] [--rounds R] [--only publish|read]
//
// Each program is a process of its own, measured from start to end by the kernel's account of it. The
// programs take turns, so that what else the machine does meets all of them; ratios are taken
// within a round, because only those compare like with like.
import { execFileSync, spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from "node:fs";
import { cpus, tmpdir, totalmem, version as kernelVersion } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { Kafka, logLevel } from "kafkajs";
import {
  createTopic,
  projectRoot,
  pythonExecutable,
  randomTopicName,
  startBroker,
} from "../test/brokers.ts";
import { generateCapture } from "./generate-capture.ts";

const PARTITIONS = 4;

const peerFile = (name: string): string => path.join(projectRoot, "bench/peers", name);
const compiledPeer = (name: string): string => path.join(projectRoot, "dist/bench/peers", name);

interface Cost {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly peakMegabytes: number;
  readonly status: number;
}

interface Result extends Cost {
  readonly framesPerSecond: number;
  readonly cpuPerMillion: number;
  /** Why the run does not count. */
  readonly fault: string | undefined;
}

interface Peer {
  readonly name: string;
  readonly settings: string;
  readonly frames: number;
  /** Program and arguments for a topic. */
  readonly command: (topic: string) => readonly string[];
}

const { values } = parseArgs({
  options: {
    frames: { type: "string", default: "1000000" },
    rounds: { type: "string", default: "3" },
    only: { type: "string", default: "publish,read" },
  },
});
const frames = positiveInteger("--frames", values.frames);
const rounds = positiveInteger("--rounds", values.rounds);
const wanted = new Set(values.only.split(","));
const fewer = Math.max(1, Math.round(frames / 5));

const scratch = mkdtempSync(path.join(tmpdir(), "pcapts-bench-"));
const capture = path.join(scratch, "capture.pcap");
const output = path.join(scratch, "out.pcap");
const broker = await startBroker({
  jvm: "server",
  heapMegabytes: 1024,
  properties: { "log.retention.ms": -1, "log.segment.delete.delay.ms": 100 },
});
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    rmSync(scratch, { recursive: true, force: true });
    process.exit(130);
  });
}
try {
  await main();
} finally {
  await broker.remove();
  rmSync(scratch, { recursive: true, force: true });
}

async function main(): Promise<void> {
  const generated = generateCapture(capture, { frames });
  const average = (generated.frameBytes / frames).toFixed(0);
  const bootstrap = broker.bootstrap;
  const bin = path.join(projectRoot, "bin/pcapts.js");

  const publishers: Peer[] = [
    {
      name: "pcapts",
      settings: "its defaults: acks=all, enable.idempotence=true, linger.ms=5, batch.size=1000000",
      frames,
      command: (topic) =>
        [process.execPath, bin, "-p", "-r", capture].concat(["-t", topic, "-k", bootstrap]),
    },
    {
      name: "pycapa",
      settings: "produce() + poll(0) a frame; acks=all, enable.idempotence=true, else defaults",
      frames,
      command: (topic) => [
        pythonExecutable,
        peerFile("pycapa_producer.py"),
        bootstrap,
        topic,
        capture,
      ],
    },
    {
      name: "kafkajs",
      settings: "send() of 2,000 frames, acks=-1, idempotent",
      frames: fewer,
      command: (topic) =>
        [process.execPath, compiledPeer("kafkajs-producer.js")].concat([
          bootstrap,
          topic,
          capture,
          String(fewer),
        ]),
    },
  ];
  const readers: Peer[] = [
    {
      name: "pcapts",
      settings: "-o begin -e, its defaults",
      frames,
      command: (topic) =>
        [process.execPath, bin, "-c", "-t", topic].concat(["-k", bootstrap, "-o", "begin", "-e"]),
    },
    {
      name: "pycapa",
      settings: "poll() a record, write and flush a frame; librdkafka's defaults",
      frames,
      command: (topic) => [pythonExecutable, peerFile("pycapa_consumer.py"), bootstrap, topic],
    },
    {
      name: "kafkajs",
      settings: "eachBatch, one write a batch, maxWaitTimeInMs 500",
      frames,
      command: (topic) => [
        process.execPath,
        compiledPeer("kafkajs-consumer.js"),
        bootstrap,
        topic,
        String(frames),
      ],
    },
  ];

  print(`machine   ${cpus().length} × ${cpus()[0]?.model ?? "?"}, ${gigabytes()} GB`);
  print(`system    ${kernelVersion()}`);
  print(`software  Node ${process.version}, ${pythonVersions()}, commit ${commit()}`);
  print(`broker    Kafka 4.3.0 on this machine, one node, heap 1 GB, G1`);
  print(`input     ${frames} frames of ${average} bytes on average, ${PARTITIONS} partitions`);
  print(`rounds    ${rounds}, programs take turns; kafkajs publishes ${fewer} frames`);

  const published = new Map<string, Result[]>();
  const read = new Map<string, Result[]>();
  for (let round = 1; round <= rounds; round++) {
    let fullTopic: string | undefined;
    const usedTopics: string[] = [];
    for (const peer of inTurn(publishers, round)) {
      // Readers need a full topic even when publishing is not what is asked for.
      if (!wanted.has("publish") && fullTopic !== undefined) break;
      if (!wanted.has("publish") && peer.frames !== frames) continue;
      const topic = randomTopicName(peer.name);
      await createTopic(bootstrap, topic, { partitions: PARTITIONS });
      usedTopics.push(topic);
      const cost = measure(peer.command(topic), "/dev/null");
      const stored = await recordsOf(topic);
      const result = judge(peer, cost, stored, "records in the topic");
      if (result.fault === undefined && peer.frames === frames) {
        // pcapts' own topic is what its users read; any complete one serves else.
        if (fullTopic === undefined || peer.name === "pcapts") fullTopic = topic;
      }
      report("publish", round, peer, result);
      published.set(peer.name, [...(published.get(peer.name) ?? []), result]);
    }
    if (wanted.has("read") && fullTopic !== undefined) {
      for (const peer of inTurn(readers, round)) {
        const cost = measure(peer.command(fullTopic), output);
        const result = judge(peer, cost, framesOf(output), "frames in the output");
        report("read", round, peer, result);
        read.set(peer.name, [...(read.get(peer.name) ?? []), result]);
      }
    }
    await deleteTopics(usedTopics);
  }
  if (wanted.has("publish")) summarise("publish a file", publishers, published);
  if (wanted.has("read")) summarise("read a topic out as pcap", readers, read);
}

/** Another one begins each round. */
function inTurn<T>(items: readonly T[], round: number): T[] {
  return items
    .map((_, index) => items[(index + round - 1) % items.length])
    .filter((x) => x !== undefined);
}

function measure(command: readonly string[], stdout: string): Cost {
  const result = path.join(scratch, "cost.json");
  const run = spawnSync(
    pythonExecutable,
    [path.join(projectRoot, "bench/peers/measure.py"), result, stdout, ...command],
    { encoding: "utf8", stdio: ["ignore", "inherit", "pipe"] },
  );
  if (run.status !== 0) throw new Error(`Cannot measure ${command.join(" ")}: ${run.stderr}`);
  const cost = JSON.parse(readFileSync(result, "utf8")) as Cost;
  if (cost.status !== 0) print(run.stderr.trim().split("\n").slice(-3).join("\n"));
  return cost;
}

function judge(peer: Peer, cost: Cost, count: number, what: string): Result {
  const faults = [];
  if (cost.status !== 0) faults.push(`exit status ${cost.status}`);
  if (count !== peer.frames) faults.push(`${count} ${what}, not ${peer.frames}`);
  return {
    ...cost,
    framesPerSecond: peer.frames / cost.wallSeconds,
    cpuPerMillion: (cost.cpuSeconds / peer.frames) * 1e6,
    fault: faults.length > 0 ? faults.join("; ") : undefined,
  };
}

function report(task: string, round: number, peer: Peer, result: Result): void {
  const run = `${task} ${round} ${peer.name}:`;
  if (result.fault !== undefined) {
    process.exitCode = 1;
    print(`${run} does not count: ${result.fault}`);
    return;
  }
  print(
    `${run} ${result.wallSeconds.toFixed(2)} s, ${Math.round(result.framesPerSecond)} frames/s, ` +
      `${result.cpuSeconds.toFixed(2)} s CPU, ${result.peakMegabytes.toFixed(0)} MB`,
  );
}

function summarise(title: string, peers: readonly Peer[], results: Map<string, Result[]>): void {
  print(`\n${title}: median (least - most)`);
  for (const peer of peers) {
    const all = (results.get(peer.name) ?? []).filter(({ fault }) => fault === undefined);
    print(`  ${peer.name.padEnd(8)} ${peer.settings}`);
    if (all.length === 0) {
      print(`           no run counts`);
      continue;
    }
    print(
      `           frames/s       ${spread(
        all.map((r) => r.framesPerSecond),
        0,
      )}`,
    );
    print(
      `           wall s         ${spread(
        all.map((r) => r.wallSeconds),
        2,
      )}`,
    );
    print(
      `           CPU s/million  ${spread(
        all.map((r) => r.cpuPerMillion),
        2,
      )}`,
    );
    print(
      `           peak MB        ${spread(
        all.map((r) => r.peakMegabytes),
        0,
      )}`,
    );
  }
  const [own, ...others] = peers;
  for (const other of others) {
    const pairs = (results.get(own?.name ?? "") ?? [])
      .map((mine, round) => [mine, results.get(other.name)?.[round]] as const)
      .filter(([mine, theirs]) => mine.fault === undefined && theirs?.fault === undefined);
    if (pairs.length === 0) continue;
    const times = pairs.map(
      ([mine, theirs]) => mine.framesPerSecond / (theirs?.framesPerSecond ?? NaN),
    );
    const cpu = pairs.map(([mine, theirs]) => mine.cpuPerMillion / (theirs?.cpuPerMillion ?? NaN));
    print(
      `  ${own?.name} against ${other.name}: ${spread(times, 2)} times the frames/s, ${spread(cpu, 2)} of the CPU`,
    );
  }
}

function spread(numbers: readonly number[], digits: number): string {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? NaN;
  const median = sorted.length % 2 === 1 ? high : (high + (sorted[middle - 1] ?? NaN)) / 2;
  const [least, most] = [sorted[0] ?? NaN, sorted.at(-1) ?? NaN];
  return `${median.toFixed(digits)} (${least.toFixed(digits)} - ${most.toFixed(digits)})`;
}

/** Frames of a little-endian pcap file; -1 when it is not one, or is cut. */
function framesOf(file: string): number {
  const input = openSync(file, "r");
  const window = Buffer.alloc(1 << 20);
  try {
    if (readSync(input, window, 0, 24, 0) !== 24 || window.readUInt32LE(0) !== 0xa1b2c3d4)
      return -1;
    let position = 24;
    let count = 0;
    for (;;) {
      const bytes = readSync(input, window, 0, window.length, position);
      if (bytes === 0) return count;
      let at = 0;
      while (at + 16 <= bytes) {
        const next = at + 16 + window.readUInt32LE(at + 8);
        if (next > bytes) break;
        at = next;
        count++;
      }
      if (at === 0) return -1;
      position += at;
    }
  } finally {
    closeSync(input);
  }
}

async function withAdmin<T>(work: (admin: ReturnType<Kafka["admin"]>) => Promise<T>): Promise<T> {
  const admin = new Kafka({ brokers: [broker.bootstrap], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

function recordsOf(topic: string): Promise<number> {
  return withAdmin(async (admin) => {
    const offsets = await admin.fetchTopicOffsets(topic);
    return offsets.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0);
  });
}

function deleteTopics(topics: string[]): Promise<void> {
  return withAdmin((admin) => admin.deleteTopics({ topics }));
}

function positiveInteger(flag: string, text: string): number {
  const number = Number(text.replaceAll(/[_,]/g, ""));
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new RangeError(`${flag} expects a positive integer, not ${JSON.stringify(text)}`);
}

function gigabytes(): string {
  return (totalmem() / 2 ** 30).toFixed(0);
}

function pythonVersions(): string {
  const program =
    "import platform, confluent_kafka as c; print(f'Python {platform.python_version()}, " +
    "confluent-kafka {c.version()}, librdkafka {c.libversion()[0]}')";
  return execFileSync(pythonExecutable, ["-c", program], { encoding: "utf8" }).trim();
}

function commit(): string {
  const run = spawnSync("git", ["describe", "--always", "--dirty"], {
    cwd: projectRoot,
    encoding: "utf8",
  });
  return run.status === 0 ? run.stdout.trim() : "unknown";
}

function print(text: string): void {
  console.log(text);
}
