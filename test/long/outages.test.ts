/*
 * Randomised rounds of everything that may go wrong between a producer and Kafka. Each round ends with the
 * books: sent = acknowledged + lost, and all that was acknowledged in the log once and in order.
 *
 * PCAPTS_TEST_ROUNDS="proxy=50 errors=50"   how many rounds of which kinds, and no others
 * PCAPTS_TEST_SEED=4711                     the first seed; round n of a kind has the n-th after it
 * PCAPTS_TEST_DOCS=1                        writes the report into docs/outages.md
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { describeMachine, type Machine } from "../../bench/machine.ts";
import { formatCount, machineFacts } from "../../bench/tables.ts";
import { BrokerProcess } from "../embedded-broker.ts";
import { FaultyBroker } from "../kafka/faulty-broker.ts";
import { publishThroughTroubles, startTroubledCluster } from "../outages/cluster-trouble.ts";
import { publishThroughErrors } from "../outages/error-trouble.ts";
import { publishToMocks } from "../outages/mock-trouble.ts";
import { LossyPath, PACKET_TROUBLES, publishThroughDrops } from "../outages/packet-trouble.ts";
import { killProducers } from "../outages/producer-kill.ts";
import { NETWORK_TROUBLES, ProxiedKafka, publishThroughProxy } from "../outages/proxy-trouble.ts";
import type { RoundResult } from "../outages/round-result.ts";
import { readPeakMegabytes, resetPeak } from "../resident-memory.ts";
import { writeReport } from "./report.ts";

/** Runs one round. */
type Round = (seed: number) => Promise<RoundResult>;

/** A kind of trouble. */
interface Kind {
  readonly name: string;
  readonly title: string;
  readonly rounds: number;
  /** Sets up what all of its rounds use. @returns a round, and what takes all away again */
  begin(): Promise<{ round: Round; end: () => Promise<unknown> }>;
}

const scratch = mkdtempSync(path.join(tmpdir(), "pcapts-outages-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const KINDS: readonly Kind[] = [
  {
    name: "single",
    title: "one Kafka, killed with -9 and restarted",
    rounds: 6,
    begin: () => beginProxied((kafka, seed) => publishThroughProxy(kafka, seed, ["kill"])),
  },
  {
    name: "rolling",
    title: "three Kafkas, restarted one after the other",
    rounds: 3,
    begin: () => beginCluster(["roll"]),
  },
  {
    name: "leaders",
    title: "three Kafkas, the leader killed with -9 every few seconds",
    rounds: 5,
    begin: () => beginCluster(["kill", "kill", "kill"]),
  },
  {
    name: "proxy",
    title: "connections reset, cut in an answer, late, dead, refused",
    rounds: 26,
    begin: () => beginProxied((kafka, seed) => publishThroughProxy(kafka, seed, NETWORK_TROUBLES)),
  },
  {
    name: "packets",
    title: "packets dropped by nft, held up by tbf",
    rounds: 8,
    begin: async () => {
      const broker = await BrokerProcess.start();
      const lossy = await LossyPath.create(broker.bootstrap);
      return {
        round: (seed) => publishThroughDrops(lossy, PACKET_TROUBLES, seed),
        end: async () => {
          await lossy.remove();
          await broker.remove();
        },
      };
    },
  },
  {
    name: "mock",
    title: "librdkafka's mock cluster: refusals, leaders, lost connections",
    rounds: 12,
    begin: () =>
      Promise.resolve({
        round: (seed) => publishToMocks(seed % 2 === 0 ? "refusals" : "lost connections", seed),
        end: () => Promise.resolve(),
      }),
  },
  {
    name: "errors",
    title: "each error code and fault of the embedded broker",
    rounds: 20,
    begin: async () => {
      const broker = await FaultyBroker.start();
      const transport = await broker.connect();
      return {
        round: (seed) => publishThroughErrors(broker, transport, seed),
        end: () => broker.remove(),
      };
    },
  },
  {
    name: "kill-spool",
    title: "producer killed with -9, with a spool",
    rounds: 10,
    begin: () =>
      beginKills((broker, seed) => killProducers(broker, path.join(scratch, `${seed}`), seed)),
  },
  {
    name: "kill",
    title: "producer killed with -9, without a spool",
    rounds: 10,
    begin: () => beginKills((broker, seed) => killProducers(broker, undefined, seed)),
  },
];

async function beginProxied(round: (kafka: ProxiedKafka, seed: number) => Promise<RoundResult>) {
  const kafka = await ProxiedKafka.start();
  return { round: (seed: number) => round(kafka, seed), end: () => kafka.remove() };
}

async function beginCluster(troubles: Parameters<typeof publishThroughTroubles>[1]) {
  const brokers = await startTroubledCluster();
  return {
    round: () => publishThroughTroubles(brokers, troubles),
    end: () => Promise.all(brokers.map((broker) => broker.remove())),
  };
}

async function beginKills(round: (broker: BrokerProcess, seed: number) => Promise<RoundResult>) {
  const broker = await BrokerProcess.start();
  return { round: (seed: number) => round(broker, seed), end: () => broker.remove() };
}

/** How many rounds of a kind: its own number, or what the environment says. */
function roundsOf({ name, rounds }: Kind): number {
  const asked = process.env["PCAPTS_TEST_ROUNDS"];
  if (asked === undefined) return rounds;
  const known = KINDS.map((kind) => kind.name);
  for (const part of asked.split(/[\s,]+/)) {
    if (!known.includes(part.split("=")[0]!) || !/=\d+$/.test(part)) {
      throw new Error(`PCAPTS_TEST_ROUNDS: "${part}" is no KIND=ROUNDS of ${known.join(", ")}`);
    }
  }
  return Number(new RegExp(`(^|[\\s,])${name}=(\\d+)`).exec(asked)?.[2] ?? 0);
}

const firstSeed = Number(process.env["PCAPTS_TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const machine: Machine = describeMachine();
const rows: string[][] = [];

for (const kind of KINDS) {
  const rounds = roundsOf(kind);
  if (rounds === 0) continue;
  test(`${rounds} rounds: ${kind.title}`, async () => {
    console.log(`${kind.name}: seeds ${firstSeed} to ${firstSeed + rounds - 1}`);
    const { round, end } = await kind.begin();
    const results: RoundResult[] = [];
    resetPeak();
    try {
      for (let seed = firstSeed; seed < firstSeed + rounds; seed++) results.push(await round(seed));
    } finally {
      await end();
    }
    rows.push(rowOf(kind, results, readPeakMegabytes("self")));
  });
}

function rowOf({ title }: Kind, results: readonly RoundResult[], testPeak: number): string[] {
  const sum = (valueOf: (result: RoundResult) => number): string =>
    formatCount(results.reduce((total, result) => total + valueOf(result), 0));
  const peaks = results.map(({ peakMegabytes }) => peakMegabytes);
  const isOwnProcess = peaks.some((peak) => peak !== undefined);
  const peak = isOwnProcess ? Math.max(...peaks.map((each) => each ?? 0)) : testPeak;
  return [
    title,
    String(results.length),
    sum(({ frames }) => frames),
    sum(({ faults }) => faults),
    sum(({ acknowledged }) => acknowledged),
    sum(({ lost }) => lost),
    results.some(({ resends }) => resends === undefined) ? "–" : sum((one) => one.resends ?? 0),
    `${peak.toFixed(0)} MB${isOwnProcess ? "" : " with the test"}`,
  ];
}

after(() => {
  const facts = [...machineFacts(machine), `seed ${firstSeed}`];
  const heading = [
    "what goes wrong",
    "rounds",
    "frames",
    "faults",
    "acknowledged",
    "lost and named",
    "resends",
    "peak memory",
  ];
  writeReport("outages", facts, [heading, ...rows]);
});
