import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { LIST_OFFSETS } from "../../src/broker/apis/list-offsets.ts";
import type { BrokerState, RequestContext } from "../../src/broker/broker-api.ts";
import { FetchRead } from "../../src/broker/fetch-read.ts";

/*
 * One request may ask for thousands of partitions, or for one of them thousands
 * of times; what a search in a log takes is taken once.
 */

/** A log that counts how many search in it at a time. */
class BusyLog {
  most = 0;
  #searching = 0;

  async locate(): Promise<undefined> {
    this.most = Math.max(this.most, ++this.#searching);
    await turn();
    this.#searching--;
  }

  findTime(): Promise<undefined> {
    return this.locate();
  }
}

test("a fetch of many partitions searches one log at a time", async () => {
  const log = new BusyLog();
  const broker = { topics: { find: () => undefined, log: () => log } } as unknown as BrokerState;
  const wanted = Array.from({ length: 100 }, (_, partition) => ({
    topic: "t",
    partition,
    offset: 0,
    maxBytes: 1,
  }));
  await new FetchRead(broker, wanted, 1).locate();
  assert.equal(log.most, 1);
});

test("a search for a time in many partitions searches one log at a time", async () => {
  const log = new BusyLog();
  const context = { broker: { topics: { log: () => log } } } as unknown as RequestContext;
  const partitions = Array.from({ length: 100 }, (_, partitionIndex) => ({
    partitionIndex,
    currentLeaderEpoch: -1,
    timestamp: 1000,
  }));
  const request = { replicaId: -1, isolationLevel: 0, topics: [{ name: "t", partitions }] };
  const answer = await LIST_OFFSETS.answer(request, context);
  assert.equal(answer?.topics[0]?.partitions.length, 100);
  assert.equal(log.most, 1);
});
