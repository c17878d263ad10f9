import { setTimeout as sleep } from "node:timers/promises";
import type { PublishableTopic } from "../../src/kafka/topic.ts";
import { prepareTopic } from "../../src/kafka/topic.ts";
import { silentLogger } from "../../src/logger.ts";
import { createTopic, randomTopicName, startCluster, type TestBroker } from "../brokers.ts";
import { assertOnceAndInOrder } from "../kafka/delivered-frames.ts";
import { connectTo, readTopic } from "../kafka/faulty-broker.ts";
import { HeardLogger, publisherSetup, SMALL_BATCHES } from "../kafka/publisher-setup.ts";
import { SteadyPublish } from "./steady-publish.ts";

const PATIENT = { connectTimeoutMs: 60_000, retryBackoffMs: 20, retryBackoffMaxMs: 500 };

/** What happens to the broker that leads a partition, once and again. */
export type ClusterTrouble = "kill" | "restart" | "hang";

/** What the operator was told, and how much there was. */
export interface ClusterResult {
  readonly frames: number;
  readonly lines: readonly string[];
}

/**
 * Publishes to three brokers while leaders die, are stopped in order and hang,
 * and sees to it that each frame is there once and in order.
 */
export async function publishThroughTroubles(
  troubles: readonly ClusterTrouble[],
): Promise<ClusterResult> {
  const brokers = await startCluster(3, { "min.insync.replicas": 2 });
  try {
    const ports = brokers.map(({ port }) => port);
    const name = randomTopicName("cluster");
    await createTopic(brokers[0]!.bootstrap, name, { partitions: 3, replicationFactor: 3 });
    const transport = await connectTo(...ports);
    const topic = await prepareTopic(transport, name, 3, PATIENT, silentLogger);
    const logger = new HeardLogger();
    const steady = await SteadyPublish.begin(
      publisherSetup(transport, topic, {
        logger,
        client: PATIENT,
        options: {
          ...SMALL_BATCHES,
          batchBytes: 16_384,
          queueBytes: 16 << 20,
          messageTimeoutMs: 0,
        },
      }),
    );
    for (const [round, trouble] of troubles.entries()) {
      await steady.acknowledges(2000);
      const found = await transport.lookUpTopic(name);
      const leader = "leaders" in found ? found.leaders[round % 3]! : -1;
      await makeTrouble(brokers[Math.max(leader, 1) - 1]!, trouble, steady);
    }
    await steady.acknowledges(2000);
    await steady.end();
    await checkLog(ports, topic, steady.count);
    await transport.close();
    return { frames: steady.count, lines: logger.lines };
  } finally {
    await Promise.all(brokers.map((broker) => broker.remove()));
  }
}

async function makeTrouble(
  broker: TestBroker,
  trouble: ClusterTrouble,
  steady: SteadyPublish,
): Promise<void> {
  switch (trouble) {
    case "kill":
      await broker.kill();
      await steady.acknowledges(2000);
      await broker.start();
      break;
    case "restart":
      await broker.stop();
      await broker.start();
      break;
    case "hang":
      // Its connections stand and nobody answers, as when packets are dropped on the way.
      await broker.kill("SIGSTOP");
      await steady.acknowledges(2000);
      await broker.kill("SIGCONT");
      await sleep(100);
  }
}

async function checkLog(
  ports: readonly number[],
  topic: PublishableTopic,
  frames: number,
): Promise<void> {
  const reading = await connectTo(...ports);
  try {
    const found = await reading.lookUpTopic(topic.name);
    const leaders = "leaders" in found ? found.leaders : topic.leaders;
    assertOnceAndInOrder(await readTopic(reading, { ...topic, leaders }), frames);
  } finally {
    await reading.close();
  }
}
