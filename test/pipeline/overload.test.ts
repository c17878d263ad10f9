import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import type { FrameSource } from "../../src/capture/frame-source.ts";
import { KAFKA_ERROR_CODE } from "../../src/kafka-wire/error-codes.ts";
import type { FrameChunk } from "../../src/packet/frame-chunk.ts";
import type { OverloadPolicy } from "../../src/packet/overload-policy.ts";
import type { ProduceSummary } from "../../src/pipeline/pipeline-options.ts";
import { producePackets } from "../../src/pipeline/produce-packets.ts";
import { type EmbeddedBroker, startEmbeddedBroker } from "../embedded-broker.ts";
import { eventually } from "../integration/pcapts-process.ts";
import { assertInOrder } from "../kafka/delivered-frames.ts";
import { connectTo, IMPATIENT, readTopic } from "../kafka/faulty-broker.ts";
import { numberedFrames, numberOf } from "../kafka/numbered-frames.ts";
import { HeardLogger, SMALL_BATCHES } from "../kafka/publisher-setup.ts";

const directory = mkdtempSync(path.join(tmpdir(), "pcapts-overload-"));
let isAway = false;
let broker: EmbeddedBroker;
before(async () => {
  broker = await startEmbeddedBroker({
    faults: {
      onBatch: () =>
        isAway
          ? { errorCode: KAFKA_ERROR_CODE.NOT_LEADER_OR_FOLLOWER, isAppended: false }
          : undefined,
    },
  });
});
after(async () => {
  await broker.remove();
  rmSync(directory, { recursive: true, force: true });
});

/** Gives frames as fast as they are taken, as an interface under load does. */
class BusySource implements FrameSource {
  readonly kind = "live";
  readonly name = "busy";
  readonly interfaces = numberedFrames(0, 1).interfaces;
  given = 0;
  #isStopped = false;

  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    while (!this.#isStopped) {
      const chunk = numberedFrames(this.given, 100, 1000);
      this.given += 100;
      yield chunk;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  counters() {
    return {
      received: this.given,
      droppedByKernel: 0,
      droppedByInterface: 0,
      filtered: 0,
    };
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
  }
}

interface Outcome {
  readonly summary: ProduceSummary;
  readonly lines: readonly string[];
  readonly values: readonly Buffer[];
}

/** A run whose Kafka is away until the policy had something to do, and is back for the rest. */
async function runThroughOverload(
  overload: OverloadPolicy,
  hasBegun: (summary: ProduceSummary) => boolean,
  withSpool: boolean,
): Promise<Outcome> {
  const topic = `overload-${overload.kind}-${withSpool}`;
  const source = new BusySource();
  const logger = new HeardLogger();
  isAway = false;
  const run = producePackets(
    source,
    {
      kafka: {
        brokers: [{ host: "127.0.0.1", port: broker.broker.port }],
        clientId: "test",
        connectionSetupTimeoutMs: 30_000,
        requestTimeoutMs: 60_000,
        ...IMPATIENT,
      },
      publisher: { ...SMALL_BATCHES, batchBytes: 2000, queueBytes: 100_000 },
      topic,
      newTopicPartitions: 2,
      partitioner: "flow",
      headers: "auto",
      recordTimestamp: "capture",
      maxPackets: 0,
      captureSelf: true,
      snapLengthBytes: undefined,
      flushTimeoutMs: 60_000,
      prettyPrint: undefined,
      overload,
      ...(withSpool && {
        spool: { directory: path.join(directory, topic), sizeBytes: 200_000 },
      }),
    },
    logger,
  );
  await eventually("first frames", () => run.summary().acknowledged > 0);
  isAway = true;
  await eventually("an overload", () => hasBegun(run.summary()), 60_000);
  isAway = false;
  await eventually("its end", () => logger.matching(/Overload is over/).length > 0, 60_000);
  run.stop();
  const summary = await run.done;
  const way = await connectTo(broker.broker.port);
  const found = await way.lookUpTopic(topic);
  assert.ok("leaders" in found);
  const content = await readTopic(way, {
    name: topic,
    leaders: found.leaders,
    maxMessageBytes: undefined,
    retentionMs: undefined,
  });
  await way.close();
  if (overload.kind !== "truncate") assertInOrder(content);
  const lost = summary.droppedHere + (summary.sampledOut ?? 0);
  assert.equal(summary.captured, summary.acknowledged + lost, JSON.stringify(summary));
  assert.equal(summary.received, summary.captured);
  const values = content.flatMap((partition) => partition.values);
  assert.equal(values.length, summary.acknowledged);
  assert.ok(logger.matching(/WARN: Overload begins/).length >= 1);
  return { summary, lines: logger.lines, values };
}

for (const withSpool of [false, true]) {
  const where = withSpool ? "memory and spool are" : "memory is";
  test(`drop-new drops and counts frames while the ${where} full, and says when it begins and ends`, async () => {
    const { summary, lines } = await runThroughOverload(
      { kind: "drop-new" },
      ({ droppedHere }) => droppedHere > 500,
      withSpool,
    );
    assert.ok(summary.droppedHere > 500);
    assert.equal(summary.sampledOut, 0);
    const told = lines.filter((line) => /Overload/.test(line)).length;
    assert.ok(told >= 2 && told < 40, lines.join("\n"));
  });
}

test("truncate cuts frames while there is no room, and they say how long they were", async () => {
  const { summary, values } = await runThroughOverload(
    { kind: "truncate", bytes: 20 },
    ({ truncated = 0 }) => truncated > 500,
    false,
  );
  const cut = values.filter((value) => value.length === 20).length;
  assert.ok(cut > 0);
  assert.ok(values.every((value) => value.length === 20 || value.length === 46));
  assert.ok((summary.truncated ?? 0) >= cut);
});

test("sample keeps whole conversations while there is no room, and counts the others", async () => {
  const { summary, values } = await runThroughOverload(
    { kind: "sample", oneOf: 4 },
    ({ sampledOut = 0 }) => sampledOut > 2000,
    true,
  );
  assert.ok((summary.sampledOut ?? 0) > 2000);
  assert.equal(new Set(values.map(numberOf)).size, values.length);
});
