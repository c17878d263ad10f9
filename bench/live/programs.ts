import { pythonExecutable } from "../../test/brokers.ts";
import {
  cPeer,
  compiledPeer,
  ownProgram,
  peerFile,
  versionOfCPeer,
  versionOfCompiler,
  versionOfPython,
} from "../peers.ts";
import type { LiveProgramInReport } from "./report.ts";

/** What one run works on. */
export interface LivePlace {
  readonly bootstrap: string;
  readonly topic: string;
  readonly interfaceName: string;
}

/** A program that captures until SIGINT. */
export interface LiveProgram extends LiveProgramInReport {
  /** What it writes to standard error once it captures. */
  readonly ready: RegExp;
  readonly command: (place: LivePlace) => readonly string[];
}

/** C programs of this benchmark. */
export const LIVE_C_PEERS: readonly string[] = ["produce", "timed-frames"];

const SHARED_SETTINGS = "ring 64 MiB, promiscuous, acks=all";

/** All programs, the compared ones first. */
export const LIVE_PROGRAMS: readonly LiveProgram[] = [
  {
    name: "pcapts",
    title: "pcapts, engine libpcap",
    settings: `\`pcapts -p -i INTERFACE --engine libpcap\`, its defaults: ${SHARED_SETTINGS}, enable.idempotence=true, linger.ms=5, flows to partitions`,
    ready: /Starting packet capture/,
    command: (place) => ownCommand(place, "libpcap"),
  },
  {
    name: "pcapts-cap",
    title: "pcapts, engine cap",
    settings:
      "the same with `--engine cap`; two processes: CPU time is of both, memory of the larger",
    ready: /Starting packet capture/,
    command: (place) => ownCommand(place, "cap"),
  },
  {
    name: "c",
    title: "C, libpcap + librdkafka",
    settings: `pcap_dispatch(), rd_kafka_produce() with RD_KAFKA_MSG_F_COPY and rd_kafka_poll(0) a frame; ${SHARED_SETTINGS}, blocks of 10 ms, enable.idempotence=true, else librdkafka's defaults`,
    ready: /^capturing$/m,
    command: ({ bootstrap, topic, interfaceName }) =>
      [cPeer("produce"), bootstrap, topic].concat(["-i", interfaceName]),
  },
  {
    name: "pycapa",
    title: "Pycapa's loop, Python",
    settings: `pcapy-ng's next(), confluent-kafka's produce() and poll(0) a frame; ${SHARED_SETTINGS}, blocks of 500 ms, enable.idempotence=true, else librdkafka's defaults`,
    ready: /^capturing$/m,
    command: ({ bootstrap, topic, interfaceName }) =>
      [pythonExecutable, peerFile("pycapa_producer.py"), bootstrap, topic].concat([
        "-i",
        interfaceName,
      ]),
  },
  {
    name: "cap-kafkajs",
    title: "cap and kafkajs, naive",
    settings: `cap's "packet" event, a copy of each frame, kafkajs send() of up to 2,000, one after the other; ${SHARED_SETTINGS}, idempotent: true`,
    ready: /^capturing$/m,
    command: ({ bootstrap, topic, interfaceName }) =>
      [process.execPath, compiledPeer("cap-kafkajs-producer.js"), bootstrap, topic].concat([
        interfaceName,
      ]),
  },
];

/** Versions of what the programs run on. */
export function liveLibraryVersions(tcpreplayVersion: string): string {
  return [
    `Node ${process.version}`,
    `${versionOfCPeer("produce")} for C`,
    `${versionOfPython()}, pcapy-ng`,
    tcpreplayVersion,
    versionOfCompiler(),
  ].join(", ");
}

/**
 * Frames that a program says the kernel dropped.
 * @param errorOutput the end of its standard error
 * @returns undefined when it does not know
 */
export function droppedByKernel(errorOutput: string): number | undefined {
  const counts = [...errorOutput.matchAll(/dropped by the kernel (\d+)/g)];
  const last = counts.at(-1)?.[1];
  return last === undefined ? undefined : Number(last);
}

function ownCommand({ bootstrap, topic, interfaceName }: LivePlace, engine: string): string[] {
  return [...ownProgram, "-p", "-i", interfaceName, "--engine", engine].concat([
    "-t",
    topic,
    "-k",
    bootstrap,
  ]);
}
