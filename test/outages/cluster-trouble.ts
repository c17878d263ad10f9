import { setTimeout as sleep } from "node:timers/promises";
import { prepareTopic } from "../../src/kafka/topic.ts";
import { silentLogger } from "../../src/logger.ts";
import { createTopic, randomTopicName, startCluster, type TestBroker } from "../brokers.ts";
import { connectTo, readTopicAt } from "../kafka/faulty-broker.ts";
import { HeardLogger, publisherSetup, SMALL_BATCHES } from "../kafka/publisher-setup.ts";
import type { RoundResult } from "./round-result.ts";
import { SteadyPublish } from "./steady-publish.ts";

const PATIENT = { connectTimeoutMs: 60_000, retryBackoffMs: 20, retryBackoffMaxMs: 500 };

/** What happens to the broker that leads a partition; a roll restarts all brokers, one after the other. */
export type ClusterTrouble = "kill" | "restart" | "hang" | "roll";

/** What came of a round, and what the operator was told. */
export interface ClusterResult extends RoundResult {
  readonly lines: readonly string[];
}

/** Three brokers that need two of them to acknowledge anything. */
export function startTroubledCluster(): Promise<readonly TestBroker[]> {
  return startCluster(3, { "min.insync.replicas": 2 });
}

/**
 * Publishes to three brokers while leaders die, are stopped in order and hang,
 * and sees to it that each frame is there once and in order.
 */
export async function publishThroughTroubles(
  brokers: readonly TestBroker[],
  troubles: readonly ClusterTrouble[],
): Promise<ClusterResult> {
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
    100,
  );
  for (const [round, trouble] of troubles.entries()) {
    await steady.acknowledges(2000);
    const found = await transport.lookUpTopic(name);
    const leader = "leaders" in found ? found.leaders[round % 3]! : -1;
    await makeTrouble(brokers, Math.max(leader, 1) - 1, trouble, steady);
  }
  await steady.acknowledges(2000);
  const faults = troubles.reduce((sum, trouble) => sum + (trouble === "roll" ? 3 : 1), 0);
  const result = await steady.end(() => readTopicAt(ports, name), {
    what: troubles.join(),
    faults,
  });
  await transport.close();
  return { ...result, lines: logger.lines };
}

async function makeTrouble(
  brokers: readonly TestBroker[],
  leader: number,
  trouble: ClusterTrouble,
  steady: SteadyPublish,
): Promise<void> {
  const broker = brokers[leader]!;
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
      break;
    case "roll":
      for (const each of brokers) {
        await each.stop();
        await each.start();
        await steady.acknowledges(1000);
      }
  }
}
