import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { createTopic, randomTopicName } from "../brokers.ts";
import { askLedger, eventually, PCAPTS, readLedger } from "../integration/pcapts-process.ts";
import { assertOnceAndInOrder } from "../kafka/delivered-frames.ts";
import { readTopicAt } from "../kafka/faulty-broker.ts";
import { randomFrom } from "../kafka/numbered-frames.ts";
import { tunnelKafka } from "../system/kafka-tunnel.ts";
import { createVethPair, type VethPair } from "../system/veth-pair.ts";
import { FedProducer } from "./fed-producer.ts";
import type { RoundResult } from "./round-result.ts";

/**
 * What the kernel does to packets between producer and broker: it drops all of them or some, in one
 * direction, and tells nobody (nft); or it lets few of them pass (tc's token bucket filter).
 */
export type PacketTrouble = "drop requests" | "drop answers" | "drop some" | "slow";

/** All of them. */
export const PACKET_TROUBLES: readonly PacketTrouble[] = [
  "drop requests",
  "drop answers",
  "drop some",
  "slow",
];

/** A network namespace whose loopback leads to a broker of this machine, and drops packets when it is told. */
export class LossyPath {
  readonly veth: VethPair;
  readonly bootstrap: string;
  readonly #closeTunnel: () => Promise<void>;

  private constructor(veth: VethPair, bootstrap: string, closeTunnel: () => Promise<void>) {
    this.veth = veth;
    this.bootstrap = bootstrap;
    this.#closeTunnel = closeTunnel;
  }

  /** Makes the namespace; needs root, nft and tc. */
  static async create(bootstrap: string): Promise<LossyPath> {
    const veth = await createVethPair();
    return new LossyPath(veth, bootstrap, await tunnelKafka(veth, bootstrap));
  }

  /** Makes trouble until `heal`. */
  async make(trouble: PacketTrouble): Promise<void> {
    const port = this.bootstrap.split(":")[1]!;
    const rules = {
      "drop requests": `tcp dport ${port} counter drop`,
      "drop answers": `tcp sport ${port} counter drop`,
      "drop some": `tcp dport ${port} numgen random mod 100 < 30 counter drop`,
    };
    if (trouble === "slow") {
      // Less than the producer is fed with.
      const bucket = ["tbf", "rate", "8mbit", "burst", "128kb", "latency", "300ms"];
      await this.veth.exec(["tc", "qdisc", "replace", "dev", "lo", "root", ...bucket]);
      return;
    }
    const chain = "add chain inet faults input { type filter hook input priority 0; }";
    const rule = `add rule inet faults input ${rules[trouble]}`;
    await this.veth.exec(["nft", `add table inet faults; ${chain}; ${rule}`]);
  }

  /** Waits until the trouble has met a packet. */
  async meetsPackets(): Promise<void> {
    await eventually("a packet that is dropped or held up", async () => {
      const rules = await this.veth.exec(["nft", "list", "ruleset"]);
      const queue = await this.veth.exec(["tc", "-s", "qdisc", "show", "dev", "lo"]);
      return /counter packets [1-9]|overlimits [1-9]/.test(rules.stdout + queue.stdout);
    });
  }

  /** Everything passes again. */
  async heal(): Promise<void> {
    await this.veth.exec(["nft", "flush", "ruleset"]);
    await this.veth.exec(["sh", "-c", "tc qdisc del dev lo root 2> /dev/null || true"]);
  }

  async remove(): Promise<void> {
    await this.#closeTunnel();
    await this.veth.remove();
  }
}

/** One round of these troubles, with times that `seed` chooses; each frame is there once and in order. */
export async function publishThroughDrops(
  path: LossyPath,
  troubles: readonly PacketTrouble[],
  seed: number,
): Promise<RoundResult> {
  const random = randomFrom(seed);
  const { bootstrap, veth } = path;
  const topic = randomTopicName("dropped");
  await createTopic(bootstrap, topic, { partitions: 3 });
  const line =
    `-p -k ${bootstrap} -t ${topic} -ll DEBUG -X message.timeout.ms=0 -X batch.size=20000 ` +
    "-X queue.buffering.max.kbytes=1000 -X socket.timeout.ms=1000 -X retry.backoff.ms=5";
  const command = veth.inside([process.execPath, PCAPTS]);
  const producer = await FedProducer.start(line.split(" "), 0, random, command);
  const acknowledged = async () => (await askLedger(producer.process)).acknowledged;
  for (const trouble of troubles) {
    const before = await acknowledged();
    await eventually("frames", async () => (await acknowledged()) > before + 500, 60_000);
    await path.make(trouble);
    await path.meetsPackets();
    await sleep(random() * 2500);
    await path.heal();
  }
  const { status, stderr } = await producer.end();
  assert.equal(status, 0, stderr.slice(-4000));
  const ledger = readLedger(stderr);
  const frames = producer.next;
  assert.equal(ledger.acknowledged, frames);
  const content = await readTopicAt([Number(bootstrap.split(":")[1])], topic);
  assertOnceAndInOrder(content, frames, `seed ${seed}`);
  const resends = [...stderr.matchAll(/DEBUG.*(sending|trying) again/g)].length;
  const { peakMegabytes } = producer;
  const faults = troubles.length;
  return { frames, faults, acknowledged: frames, lost: 0, resends, peakMegabytes };
}
