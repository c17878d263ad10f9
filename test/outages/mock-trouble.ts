import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { KAFKA_ERROR_CODE } from "../../src/kafka-wire/error-codes.ts";
import { randomTopicName } from "../brokers.ts";
import { connectTo, readTopicAt } from "../kafka/faulty-broker.ts";
import { randomFrom } from "../kafka/numbered-frames.ts";
import { publisherSetup, SMALL_BATCHES } from "../kafka/publisher-setup.ts";
import { MockCluster } from "./mock-cluster.ts";
import type { RoundResult } from "./round-result.ts";
import { SteadyPublish } from "./steady-publish.ts";

const BROKERS = 3;
const PARTITIONS = 4;
const TROUBLES = 12;
const PRODUCE = 0;
const METADATA = 3;

/** Refused before anything is appended: the mock cluster does no more than that. */
const ERRORS = [
  KAFKA_ERROR_CODE.NOT_LEADER_OR_FOLLOWER,
  KAFKA_ERROR_CODE.LEADER_NOT_AVAILABLE,
  KAFKA_ERROR_CODE.REQUEST_TIMED_OUT,
  KAFKA_ERROR_CODE.NOT_ENOUGH_REPLICAS,
  KAFKA_ERROR_CODE.KAFKA_STORAGE_ERROR,
  KAFKA_ERROR_CODE.UNKNOWN_TOPIC_OR_PARTITION,
];

/**
 * What librdkafka's mock cluster has go wrong. It does not look at sequence numbers: what is sent again
 * after a connection was lost may be there twice, and batches behind a refused one are appended before it,
 * so that only one is in flight where the order is looked at.
 */
export type MockTrouble = "refusals" | "lost connections";

/** One round of what librdkafka's mock cluster has go wrong, chosen by `seed`. */
export async function publishToMocks(trouble: MockTrouble, seed: number): Promise<RoundResult> {
  const random = randomFrom(seed);
  const mayRepeat = trouble === "lost connections";
  const name = randomTopicName("mock");
  const cluster = await MockCluster.start(BROKERS, name, PARTITIONS);
  try {
    const transport = await connectTo(...cluster.ports);
    const found = await transport.lookUpTopic(name);
    assert.ok("leaders" in found);
    const { leaders } = found;
    const topic = { name, leaders, maxMessageBytes: undefined, retentionMs: undefined };
    const steady = await SteadyPublish.begin(
      publisherSetup(transport, topic, {
        options: {
          ...SMALL_BATCHES,
          batchBytes: 3000,
          queueBytes: 60_000,
          messageTimeoutMs: 0,
          maxInFlight: mayRepeat ? 5 : 1,
        },
        client: { retryBackoffMs: 5, retryBackoffMaxMs: 50 },
      }),
      30,
      2,
    );
    for (let round = 0; round < TROUBLES; round++) {
      await steady.acknowledges(1 + Math.floor(random() * 300));
      await makeTrouble(cluster, trouble, random);
    }
    const what = `seed ${seed}`;
    const result = await steady.end(() => readTopicAt(cluster.ports, name), {
      what,
      faults: TROUBLES,
      mayRepeat,
    });
    await transport.close();
    return result;
  } finally {
    await cluster.remove();
  }
}

async function makeTrouble(
  cluster: MockCluster,
  trouble: MockTrouble,
  random: () => number,
): Promise<void> {
  const id = 1 + Math.floor(random() * BROKERS);
  if (trouble === "lost connections") {
    await cluster.tell(`down ${id}`);
    await sleep(random() * 200);
    await cluster.tell(`up ${id}`);
    return;
  }
  const dice = random();
  const errorCode = ERRORS[Math.floor(random() * ERRORS.length)]!;
  if (dice < 0.5) await cluster.tell(`error ${PRODUCE} ${errorCode}`);
  else if (dice < 0.6) {
    await cluster.tell(`error ${METADATA} ${KAFKA_ERROR_CODE.LEADER_NOT_AVAILABLE}`);
  } else if (dice < 0.8) {
    await cluster.tell(`leader ${Math.floor(random() * PARTITIONS)} ${id}`);
  } else await cluster.tell(`rtt ${id} ${Math.floor(random() * 50)}`);
}
