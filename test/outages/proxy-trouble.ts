import { setTimeout as sleep } from "node:timers/promises";
import { prepareTopic } from "../../src/kafka/topic.ts";
import { silentLogger } from "../../src/logger.ts";
import { randomTopicName, startBroker, type TestBroker } from "../brokers.ts";
import { connectTo, IMPATIENT, readTopic } from "../kafka/faulty-broker.ts";
import { randomFrom } from "../kafka/numbered-frames.ts";
import { publisherSetup, SMALL_BATCHES } from "../kafka/publisher-setup.ts";
import { TcpProxy } from "../tcp-proxy.ts";
import type { RoundResult } from "./round-result.ts";
import { SteadyPublish } from "./steady-publish.ts";

/** A Kafka that is reached through a proxy alone. */
export class ProxiedKafka {
  readonly broker: TestBroker;
  readonly proxy: TcpProxy;

  private constructor(broker: TestBroker, proxy: TcpProxy) {
    this.broker = broker;
    this.proxy = proxy;
  }

  static async start(): Promise<ProxiedKafka> {
    const proxy = await TcpProxy.start();
    const broker = await startBroker({
      properties: { "advertised.listeners": `PLAINTEXT://127.0.0.1:${proxy.port}` },
    });
    proxy.targetPort = broker.port;
    return new ProxiedKafka(broker, proxy);
  }

  async remove(): Promise<void> {
    await this.proxy.close();
    await this.broker.remove();
  }
}

/** What may happen to a connection, and to the process at its end. */
export type ProxyTrouble = "reset" | "half-answer" | "delay" | "black-hole" | "refuse" | "kill";

/** All that may happen while the broker itself is well. */
export const NETWORK_TROUBLES: readonly ProxyTrouble[] = [
  "reset",
  "half-answer",
  "delay",
  "black-hole",
  "refuse",
];

/** One round of troubles, which `seed` chooses among `troubles`. */
export async function publishThroughProxy(
  { broker, proxy }: ProxiedKafka,
  seed: number,
  troubles: readonly ProxyTrouble[],
): Promise<RoundResult> {
  const random = randomFrom(seed);
  const transport = await connectTo(proxy.port);
  const topic = await prepareTopic(
    transport,
    randomTopicName("proxied"),
    1 + Math.floor(random() * 4),
    { ...IMPATIENT, connectTimeoutMs: 60_000 },
    silentLogger,
  );
  // Longer than some of the troubles, shorter than others.
  const messageTimeoutMs = random() < 0.3 ? (troubles.includes("kill") ? 3000 : 250) : 0;
  const steady = await SteadyPublish.begin(
    publisherSetup(transport, topic, {
      options: {
        ...SMALL_BATCHES,
        batchBytes: 2000,
        queueBytes: random() < 0.5 ? 100_000 : 1 << 20,
        messageTimeoutMs,
      },
      client: { retryBackoffMs: 5, retryBackoffMaxMs: 50 },
    }),
    1 + Math.floor(random() * 100),
    1,
  );
  const faults = 3 + Math.floor(random() * 4);
  for (let left = faults; left > 0; left--) {
    await steady.acknowledges(Math.floor(random() * 500));
    switch (troubles[Math.floor(random() * troubles.length)]!) {
      case "reset":
        proxy.reset();
        break;
      case "half-answer":
        proxy.halveAnswers(1 + Math.floor(random() * 3));
        break;
      case "delay":
        proxy.delayMs = Math.floor(random() * 60);
        await sleep(random() * 200);
        proxy.delayMs = 0;
        break;
      case "black-hole":
        proxy.blackHole();
        await sleep(random() * 400);
        // Nobody heard of it; and what was under way is lost or comes late.
        if (random() < 0.5) proxy.reset();
        proxy.pass();
        break;
      case "refuse":
        proxy.refuse();
        proxy.reset();
        await sleep(random() * 300);
        proxy.pass();
        break;
      case "kill":
        await broker.kill();
        await broker.start();
    }
  }
  const what = `seed ${seed}`;
  const mayLose = messageTimeoutMs > 0;
  const result = await steady.end(() => readTopic(transport, topic), { what, faults, mayLose });
  await transport.close();
  return result;
}
