import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { cacheDirectory, pythonExecutable } from "../test/brokers.ts";
import type { BenchOptions, Task } from "./options.ts";
import { PROGRAM_NAMES, TABLE2_PROGRAM_NAMES } from "./options.ts";
import {
  cPeer,
  compiledPeer,
  ownProgram,
  peerFile,
  versionOfCPeer,
  versionOfCompiler,
  versionOfPython,
} from "./peers.ts";
import type { AbsentProgram, ProgramInReport } from "./report.ts";

/** What one run works on. */
export interface RunPlace {
  readonly bootstrap: string;
  readonly topic: string;
  /** The capture to publish; readers need it not. */
  readonly capture: string;
  /** The same frames as pcapng, for programs that need it. */
  readonly pcapngCapture: string;
  readonly frames: number;
}

/** A program that takes part. */
export interface Program extends ProgramInReport {
  /** It is so slow that it gets this part of the frames: 5 is a fifth. */
  readonly share: number;
  /** Whether it writes the frames' bytes alone instead of pcap. */
  readonly rawOutput: boolean;
  /** Whether it reads pcapng instead of pcap. */
  readonly fromPcapng: boolean;
  readonly command: (place: RunPlace) => readonly string[];
}

/** Programs and those that cannot run here. */
export interface Programs {
  readonly programs: readonly Program[];
  readonly absent: readonly AbsentProgram[];
}

/** It looks at addresses, protocol and ports, as filters do. */
const FILTER = "ip and not host 192.0.2.1 and (tcp or udp port 53)";

/** C programs of the comparison. */
export const C_PEERS: readonly string[] = ["produce", "produce-batch", "consume-batch"];

/** Versions of the libraries that the programs run on. */
export function libraryVersions(): string {
  return [
    `Node ${process.version}`,
    `${versionOfCPeer("produce")} for C and node-rdkafka`,
    versionOfPython(),
    `kcat ${/librdkafka ([\d.]+)/.exec(execFileSync("kcat", ["-V"], { encoding: "utf8" }))?.[0] ?? "?"}`,
    versionOfCompiler(),
  ].join(", ");
}

/** The programs that were asked for, pcapts first. */
export function choosePrograms(options: BenchOptions): Programs {
  const nodeRdkafka = nodeRdkafkaFolder();
  const chosen = allPrograms(nodeRdkafka ?? "").filter(
    ({ task, name }) =>
      options.tasks.has(task) &&
      (options.table2 ? TABLE2_PROGRAM_NAMES : PROGRAM_NAMES[task]).includes(name) &&
      (options.peers === undefined || options.peers.has(name)),
  );
  return {
    programs: chosen.filter(({ name }) => name !== "node-rdkafka" || nodeRdkafka !== undefined),
    absent: chosen
      .filter(({ name }) => name === "node-rdkafka" && nodeRdkafka === undefined)
      .map(({ name }) => ({ name, reason: "it could not be built against the librdkafka here" })),
  };
}

/** The program whose topics the readers read. */
export function ownPublisher(): Program {
  return ownProgramFor("publish");
}

/** pcapts with its defaults. */
export function ownProgramFor(wanted: Task): Program {
  const own = allPrograms("").find(({ task, name }) => task === wanted && name === "pcapts");
  if (own === undefined) throw new RangeError("unreachable");
  return own;
}

function allPrograms(nodeRdkafka: string): Program[] {
  const defaults = { share: 1, rawOutput: false, fromPcapng: false };
  const withMetrics = ["--metrics", "127.0.0.1:0"];
  // Without -u, which would make two system calls of each value (half as much CPU time again).
  const kcatLine = ["kcat", "-C", "-o", "beginning", "-e", "-q"];
  // With the defaults a full queue (100,000 messages of a partition) makes librdkafka pause for a second.
  const kcatTuning = ["-X", "queued.min.messages=1000000", "-X", "fetch.wait.max.ms=10"];
  return [
    {
      ...defaults,
      task: "publish",
      name: "pcapts",
      title: "pcapts",
      settings:
        "`pcapts -p -r FILE`, its defaults: acks=all, enable.idempotence=true, linger.ms=5, batch.size=1000000, no compression, flows to partitions",
      command: ({ bootstrap, topic, capture }) =>
        [...ownProgram, "-p", "-r", capture].concat(["-t", topic, "-k", bootstrap]),
    },
    {
      ...defaults,
      task: "publish",
      name: "pcapts-metrics",
      title: "pcapts with --metrics",
      settings: "the same with `--metrics 127.0.0.1:0`",
      command: ({ bootstrap, topic, capture }) =>
        [...ownProgram, "-p", "-r", capture].concat(["-t", topic, "-k", bootstrap], withMetrics),
    },
    {
      ...defaults,
      task: "publish",
      name: "pcapts-pcapng",
      title: "pcapts, from pcapng",
      settings: "the same, of the same frames in a pcapng file",
      fromPcapng: true,
      command: ({ bootstrap, topic, pcapngCapture }) =>
        [...ownProgram, "-p", "-r", pcapngCapture].concat(["-t", topic, "-k", bootstrap]),
    },
    {
      ...defaults,
      task: "publish",
      name: "c",
      title: "C, libpcap + librdkafka",
      settings:
        "rd_kafka_produce() with RD_KAFKA_MSG_F_COPY and rd_kafka_poll(0) a frame; acks=all, enable.idempotence=true, else librdkafka's defaults",
      command: ({ bootstrap, topic, capture }) => [cPeer("produce"), bootstrap, topic, capture],
    },
    {
      ...defaults,
      task: "publish",
      name: "c-batch",
      title: "C, as a specialist would",
      settings:
        "file mapped, rd_kafka_produce_batch() of 1,000 frames to the partitions in turn, no copy; acks=all, enable.idempotence=true, delivery.report.only.error=true, queue.buffering.max.messages=1000000, queue.buffering.max.kbytes=2097151, batch.num.messages=1000000, batch.size=1000000, linger.ms=50; its memory includes the mapped file",
      command: ({ bootstrap, topic, capture }) => [
        cPeer("produce-batch"),
        bootstrap,
        topic,
        capture,
      ],
    },
    {
      ...defaults,
      task: "publish",
      name: "pycapa",
      title: "Pycapa's loop, Python",
      settings:
        "confluent-kafka, produce() and poll(0) a frame; acks=all, enable.idempotence=true, else librdkafka's defaults",
      command: ({ bootstrap, topic, capture }) =>
        [pythonExecutable, peerFile("pycapa_producer.py")].concat([bootstrap, topic, capture]),
    },
    {
      ...defaults,
      task: "publish",
      name: "node-rdkafka",
      title: "node-rdkafka",
      settings:
        "produce() a frame; acks=all, enable.idempotence=true, reports of failures only, else librdkafka's defaults",
      command: ({ bootstrap, topic, capture }) =>
        [process.execPath, peerFile("node-rdkafka-producer.cjs"), nodeRdkafka].concat([
          bootstrap,
          topic,
          capture,
        ]),
    },
    {
      ...defaults,
      task: "publish",
      name: "kafkajs",
      title: "kafkajs",
      settings:
        "send() of 2,000 frames at a time; acks=-1, idempotent: true, maxInFlightRequests: 5",
      share: 5,
      command: ({ bootstrap, topic, capture, frames }) =>
        [process.execPath, compiledPeer("kafkajs-producer.js")].concat([
          bootstrap,
          topic,
          capture,
          String(frames),
        ]),
    },
    {
      ...defaults,
      task: "read",
      name: "pcapts",
      title: "pcapts",
      settings: "`pcapts -c -o begin -e > FILE`, its defaults",
      command: ({ bootstrap, topic }) =>
        [...ownProgram, "-c", "-t", topic].concat(["-k", bootstrap, "-o", "begin", "-e"]),
    },
    {
      ...defaults,
      task: "read",
      name: "pcapts-metrics",
      title: "pcapts with --metrics",
      settings: "the same with `--metrics 127.0.0.1:0`",
      command: ({ bootstrap, topic }) =>
        [...ownProgram, "-c", "-t", topic, "-k", bootstrap].concat(
          ["-o", "begin", "-e"],
          withMetrics,
        ),
    },
    {
      ...defaults,
      task: "read",
      name: "pcapts-unordered",
      title: "pcapts, unordered",
      settings: "the same with `--unordered`",
      command: ({ bootstrap, topic }) =>
        [...ownProgram, "-c", "-t", topic, "-k", bootstrap].concat(
          ["-o", "begin", "-e"],
          "--unordered",
        ),
    },
    {
      ...defaults,
      task: "read",
      name: "pcapts-filter",
      title: "pcapts with a filter",
      settings: `the same with \`-f "${FILTER}"\`, which all frames match`,
      command: ({ bootstrap, topic }) =>
        [...ownProgram, "-c", "-t", topic, "-k", bootstrap].concat(
          ["-o", "begin", "-e"],
          ["-f", FILTER],
        ),
    },
    {
      ...defaults,
      task: "read",
      name: "kcat",
      title: "kcat, raw values only",
      settings: `\`${kcatLine.join(" ")} -D ""\`: values one after the other, no keys, no pcap; librdkafka's defaults`,
      rawOutput: true,
      command: ({ bootstrap, topic }) => [...kcatLine, "-D", "", "-b", bootstrap, "-t", topic],
    },
    {
      ...defaults,
      task: "read",
      name: "kcat-tuned",
      title: "kcat, raw values only, tuned",
      settings: `the same with \`${kcatTuning.join(" ")}\``,
      rawOutput: true,
      command: ({ bootstrap, topic }) =>
        [...kcatLine, ...kcatTuning].concat(["-D", "", "-b", bootstrap, "-t", topic]),
    },
    {
      ...defaults,
      task: "read",
      name: "c-batch",
      title: "C, as a specialist would",
      settings:
        "rd_kafka_consume_batch_queue() of 10,000 messages, pcap written 1 MiB at a time; queued.min.messages=1000000, queued.max.messages.kbytes=262144, fetch.wait.max.ms=10, else librdkafka's defaults",
      command: ({ bootstrap, topic }) => [cPeer("consume-batch"), bootstrap, topic],
    },
    {
      ...defaults,
      task: "read",
      name: "pycapa",
      title: "Pycapa's loop, Python",
      settings: "confluent-kafka, poll() a record, write and flush a frame; librdkafka's defaults",
      command: ({ bootstrap, topic }) =>
        [pythonExecutable, peerFile("pycapa_consumer.py")].concat([bootstrap, topic]),
    },
    {
      ...defaults,
      task: "read",
      name: "kafkajs",
      title: "kafkajs",
      settings: "eachBatch, one write a batch; maxWaitTimeInMs 500, else its defaults",
      command: ({ bootstrap, topic, frames }) =>
        [process.execPath, compiledPeer("kafkajs-consumer.js")].concat([
          bootstrap,
          topic,
          String(frames),
        ]),
    },
    {
      ...defaults,
      task: "file",
      name: "pcapts",
      title: "pcapts, pcap",
      settings: "its reader alone, of a pcap file",
      command: ({ capture, frames }) => readAlone(capture, frames),
    },
    {
      ...defaults,
      task: "file",
      name: "pcapts-pcapng",
      title: "pcapts, pcapng",
      settings: "its reader alone, of the same frames in a pcapng file",
      fromPcapng: true,
      command: ({ pcapngCapture, frames }) => readAlone(pcapngCapture, frames),
    },
  ];
}

function readAlone(capture: string, frames: number): readonly string[] {
  return [process.execPath, compiledPeer("read-capture.js"), capture, String(frames)];
}

/** Where set-up built node-rdkafka for this Node; undefined where it could not. */
function nodeRdkafkaFolder(): string | undefined {
  const name = readdirSync(cacheDirectory)
    .filter((entry) => entry.startsWith("node-rdkafka-"))
    .filter((entry) => entry.endsWith(`-${process.versions.modules}`))
    .toSorted()
    .at(-1);
  const folder = path.join(cacheDirectory, name ?? "node-rdkafka");
  if (!existsSync(path.join(folder, ".complete"))) return undefined;
  return path.join(folder, "node_modules/node-rdkafka");
}
