import assert from "node:assert/strict";
import { test } from "node:test";
import type { BatchFault, BrokerFaults, RequestFault } from "../../src/broker/faults.ts";
import { KAFKA_ERROR_CODE } from "../../src/kafka-wire/error-codes.ts";
import { assertSameOrderInFlows, readCapture } from "../capture-frames.ts";
import { type EmbeddedBroker, startEmbeddedBroker } from "../embedded-broker.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { consume, publish } from "../integration/pcapts-process.ts";

/*
 * pcapts against a broker that misbehaves on purpose.
 */

const FRAMES = 6000;
const capture = buildCapture({
  frames: Array.from({ length: FRAMES }, (_, n) => ({
    bytes: buildUdpFrame(n, 100),
    seconds: 1_700_000_000 + n,
  })),
});

/** What goes wrong, until a test has it stop. */
class Trouble implements BrokerFaults {
  request: (api: string, number: number) => RequestFault | undefined = () => undefined;
  batch: () => BatchFault | undefined = () => undefined;
  /** How often anything went wrong. */
  count = 0;

  onRequest({ api, number }: { api: string; number: number }): RequestFault | undefined {
    return this.#counted(this.request(api, number));
  }

  onBatch(): BatchFault | undefined {
    return this.#counted(this.batch());
  }

  stop(): void {
    this.request = () => undefined;
    this.batch = () => undefined;
  }

  #counted<Fault>(fault: Fault | undefined): Fault | undefined {
    if (fault !== undefined) this.count++;
    return fault;
  }
}

async function withTrouble(
  use: (trouble: Trouble, broker: EmbeddedBroker) => Promise<void>,
): Promise<void> {
  const trouble = new Trouble();
  const broker = await startEmbeddedBroker({ faults: trouble });
  try {
    await use(trouble, broker);
    assert.ok(trouble.count > 0, "nothing went wrong");
  } finally {
    await broker.remove();
  }
}

async function assertAllThere({ bootstrap }: EmbeddedBroker): Promise<void> {
  const read = readCapture(await consume(bootstrap, "t")).frames;
  assert.equal(read.length, FRAMES);
  assertSameOrderInFlows(read, readCapture(capture).frames);
}

const SMALL_BATCHES = ["-X", "batch.size=3000", "-X", "linger.ms=1", "-X", "retry.backoff.ms=5"];

for (const [name, isAppended] of [
  ["NOT_LEADER_OR_FOLLOWER", false],
  ["OUT_OF_ORDER_SEQUENCE_NUMBER", false],
  ["UNKNOWN_PRODUCER_ID", false],
  ["NOT_ENOUGH_REPLICAS_AFTER_APPEND", true],
  ["REQUEST_TIMED_OUT", true],
  ["KAFKA_STORAGE_ERROR", false],
] as const) {
  test(`the publisher has every frame in the log once and in order in spite of ${name}`, async () => {
    await withTrouble(async (trouble, broker) => {
      let batches = 0;
      trouble.batch = () =>
        ++batches % 9 === 4 ? { errorCode: KAFKA_ERROR_CODE[name], isAppended } : undefined;
      await publish(broker.bootstrap, "t", capture, ...SMALL_BATCHES);
      trouble.stop();
      await assertAllThere(broker);
    });
  });
}

test("a batch that is MESSAGE_TOO_LARGE is divided, and every frame arrives", async () => {
  await withTrouble(async (trouble, broker) => {
    let batches = 0;
    trouble.batch = () => {
      const errorCode = KAFKA_ERROR_CODE.MESSAGE_TOO_LARGE;
      return ++batches === 3 ? { errorCode, isAppended: false } : undefined;
    };
    await publish(broker.bootstrap, "t", capture, ...SMALL_BATCHES);
    trouble.stop();
    await assertAllThere(broker);
  });
});

for (const drop of ["before", "after", "half-answered"] as const) {
  test(`every frame is there once when connections are lost, ${drop}, and when clients are throttled`, async () => {
    await withTrouble(async (trouble, broker) => {
      trouble.request = (api, number) => {
        if (api === "Produce" && number % 6 === 3) return { drop };
        return api === "Produce" && number % 6 === 5 ? { throttleMs: 20, delayMs: 5 } : undefined;
      };
      await publish(broker.bootstrap, "t", capture, ...SMALL_BATCHES);
      trouble.stop();
      await assertAllThere(broker);
    });
  });

  test(`a reader gets every frame once when connections are lost, ${drop}, and the leader is said to be another`, async () => {
    await withTrouble(async (trouble, broker) => {
      await publish(broker.bootstrap, "t", capture, ...SMALL_BATCHES);
      trouble.request = (api, number) => {
        if (api !== "Fetch") return undefined;
        if (number % 4 === 2) return { drop };
        if (number % 4 !== 0) return undefined;
        return { errorCode: KAFKA_ERROR_CODE.NOT_LEADER_OR_FOLLOWER };
      };
      const args = ["-X", "fetch.message.max.bytes=20000", "-X", "fetch.error.backoff.ms=5"];
      const read = readCapture(await consume(broker.bootstrap, "t", ...args)).frames;
      assert.equal(read.length, FRAMES);
      assertSameOrderInFlows(read, readCapture(capture).frames);
    });
  });
}

test("a member of a group joins and commits in spite of coordinators that change and rebalance", async () => {
  await withTrouble(async (trouble, broker) => {
    await publish(broker.bootstrap, "t", capture);
    trouble.request = (api, number) => {
      if (number > 1) return undefined;
      if (api === "FindCoordinator" || api === "JoinGroup") {
        return { errorCode: KAFKA_ERROR_CODE.COORDINATOR_NOT_AVAILABLE };
      }
      if (api === "SyncGroup") return { errorCode: KAFKA_ERROR_CODE.REBALANCE_IN_PROGRESS };
      if (api === "OffsetFetch") return { errorCode: KAFKA_ERROR_CODE.NOT_COORDINATOR };
      return undefined;
    };
    const args = ["-X", "group.id=g", "-o", "begin"];
    const read = readCapture(await consume(broker.bootstrap, "t", ...args)).frames;
    assert.equal(read.length, FRAMES);
    const again = readCapture(await consume(broker.bootstrap, "t", "-X", "group.id=g"));
    assert.equal(again.frames.length, 0);
  });
});
