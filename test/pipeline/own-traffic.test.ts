import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import type { LiveSource } from "../../src/capture/live-source.ts";
import { createTransport, type Transport } from "../../src/kafka/transport.ts";
import type { BrokerAddress } from "../../src/kafka/client-options.ts";
import { silentLogger } from "../../src/logger.ts";
import { OwnTraffic } from "../../src/pipeline/own-traffic.ts";
import { createTopic, freePort, randomTopicName, sharedBroker, startBroker } from "../brokers.ts";

const LIMIT = { timeout: 60_000 };

function addressOf(bootstrap: string): BrokerAddress {
  const [host = "", port] = bootstrap.split(":");
  return { host, port: Number(port) };
}

function connectTo(t: TestContext, ...brokers: readonly BrokerAddress[]): Transport {
  const transport = createTransport(
    {
      brokers,
      clientId: "test",
      connectTimeoutMs: 30_000,
      connectionSetupTimeoutMs: 5000,
      requestTimeoutMs: 5000,
      retryBackoffMs: 20,
      retryBackoffMaxMs: 100,
    },
    silentLogger,
  );
  t.after(() => transport.close());
  return transport;
}

/** An interface without frames, whose engine takes every expression as `answer` says. */
class QuietInterface implements LiveSource {
  readonly kind = "live";
  readonly engine = "libpcap";
  readonly description = "";
  readonly name = "quiet0";
  readonly interfaces = [];
  readonly expressions: string[] = [];
  readonly #answer: () => boolean;
  #wake = (): void => {};

  constructor(answer: () => boolean = () => true) {
    this.#answer = answer;
  }

  async exclude(expression: string): Promise<boolean> {
    this.expressions.push(expression);
    this.#wake();
    return this.#answer();
  }

  async until(count: number): Promise<void> {
    while (this.expressions.length < count) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async *chunks(): AsyncGenerator<never> {}

  counters(): ReturnType<LiveSource["counters"]> {
    return { received: 0, droppedByKernel: 0, droppedByInterface: 0, filtered: 0 };
  }

  async stop(): Promise<void> {}
}

function recordLines(): { readonly lines: string[]; readonly logger: typeof silentLogger } {
  const lines: string[] = [];
  return {
    lines,
    logger: {
      ...silentLogger,
      info: (message) => void lines.push(`INFO ${message}`),
      warn: (message) => void lines.push(`WARN ${message}`),
    },
  };
}

test("the broker and the bootstrap server, under whatever name, are left out and said once", async (t) => {
  const { bootstrap } = await sharedBroker();
  const { port } = addressOf(bootstrap);
  const transport = connectTo(t, { host: "0.0.0.0", port });
  await transport.connect();
  assert.deepEqual(
    transport.brokers().map(({ host }) => host),
    ["127.0.0.1", "0.0.0.0"],
  );
  assert.deepEqual(transport.paths(), [
    { localAddress: "127.0.0.1", remoteAddress: "127.0.0.1", remotePort: port },
  ]);
  const source = new QuietInterface();
  const { lines, logger } = recordLines();
  const ownTraffic = new OwnTraffic(source, transport, logger);
  await ownTraffic.start();
  // A new connection to what is left out already changes nothing.
  const connected = transport.changed();
  await transport.connectionTo(1, "fetch");
  await connected;
  assert.equal(transport.paths().length, 2);
  ownTraffic.close();
  const expression = `src host 127.0.0.1 and dst host 127.0.0.1 and tcp port ${port}`;
  assert.deepEqual(source.expressions, [expression]);
  assert.deepEqual(lines, [
    `INFO Leaving out this host's own traffic to Kafka: not (${expression})`,
  ]);
});

test("a broker that metadata names later is left out from then on", LIMIT, async (t) => {
  const first = await startBroker();
  t.after(() => first.remove());
  const topic = randomTopicName();
  await createTopic(first.bootstrap, topic);
  const transport = connectTo(t, addressOf(first.bootstrap));
  await transport.connect();
  const source = new QuietInterface();
  const { lines, logger } = recordLines();
  const ownTraffic = new OwnTraffic(source, transport, logger);
  await ownTraffic.start();

  // The same broker comes back and says that it is to be reached elsewhere.
  await first.stop();
  const movedTo = await freePort();
  const file = path.join(first.directory, "server.properties");
  writeFileSync(
    file,
    readFileSync(file, "utf8").replace(
      /^(advertised\.listeners=).*$/m,
      `$1PLAINTEXT://127.0.0.1:${movedTo}`,
    ),
  );
  await first.start();
  const expected = new RegExp(`tcp port ${movedTo}\\b`);
  while (!expected.test(source.expressions.at(-1)!)) {
    const looked = transport.lookUpTopic(topic).catch(() => undefined);
    await Promise.race([source.until(source.expressions.length + 1), looked]);
  }
  ownTraffic.close();
  assert.match(lines[0]!, /^INFO Leaving out this host's own traffic to Kafka: not \(src host/);
  assert.match(lines.at(-1)!, /^INFO Leaving out this host's own .*, which has changed: not \(/);
  assert.match(lines.at(-1)!, expected);
});

test("a link type without IP is said once, and not tried again", async (t) => {
  const { bootstrap } = await sharedBroker();
  const transport = connectTo(t, addressOf(bootstrap));
  await transport.connect();
  const source = new QuietInterface(() => false);
  const { lines, logger } = recordLines();
  const ownTraffic = new OwnTraffic(source, transport, logger);
  await ownTraffic.start();
  await transport.connectionTo(1, "fetch");
  ownTraffic.close();
  assert.equal(source.expressions.length, 1);
  assert.deepEqual(lines, [
    'INFO Not leaving out this host\'s own traffic to Kafka: frames of interface "quiet0" hold no IP that a filter finds',
  ]);
});

test("an engine that refuses does not end the run: it is warned of", async (t) => {
  const { bootstrap } = await sharedBroker();
  const transport = connectTo(t, addressOf(bootstrap));
  await transport.connect();
  const source = new QuietInterface(() => {
    throw new Error("BPF program is not valid");
  });
  const { lines, logger } = recordLines();
  const ownTraffic = new OwnTraffic(source, transport, logger);
  await ownTraffic.start();
  ownTraffic.close();
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /^WARN Cannot leave out .*: BPF program is not valid; capture on an/);
});
