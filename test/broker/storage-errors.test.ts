import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { INIT_PRODUCER_ID } from "../../src/broker/apis/init-producer-id.ts";
import type { RequestContext } from "../../src/broker/broker-api.ts";
import { BrokerError } from "../../src/broker/broker-error.ts";
import { DataDirectory } from "../../src/broker/data-directory.ts";
import { TopicStore } from "../../src/broker/topic-store.ts";
import { KAFKA_ERROR_CODE } from "../../src/kafka-wire/error-codes.ts";
import { silentLogger } from "../../src/logger.ts";
import { newDataDirectory } from "../embedded-broker.ts";

let directory = "";
beforeEach(() => {
  directory = newDataDirectory();
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Files below the directory that this process has open. */
function openFiles(): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.startsWith(directory) ? [target] : [];
    } catch {
      return [];
    }
  });
}

test("a producer that gets no id since it cannot be written is told to try again, and then gets one", async () => {
  const data = await DataDirectory.open(directory);
  const inTheWay = path.join(directory, "broker.json.new");
  mkdirSync(inTheWay);
  const request = {
    transactionalId: null,
    transactionTimeoutMs: 0,
    producerId: -1,
    producerEpoch: -1,
  };
  const context = { broker: { data } } as unknown as RequestContext;
  const ask = async (): Promise<number | undefined> =>
    (await INIT_PRODUCER_ID.answer(request, context))?.producerId;
  const { COORDINATOR_LOAD_IN_PROGRESS } = KAFKA_ERROR_CODE;
  await assert.rejects(
    ask,
    (error) => error instanceof BrokerError && error.errorCode === COORDINATOR_LOAD_IN_PROGRESS,
  );
  rmSync(inTheWay, { recursive: true });
  assert.equal(typeof (await ask()), "number");
  await data.close(true);
});

test("a topic of which one partition cannot be made leaves no file open", async () => {
  const topics = path.join(directory, "topics");
  mkdirSync(path.join(topics, "t"), { recursive: true });
  const environment = { fsync: "never", bootId: "b", logger: silentLogger, now: Date.now } as const;
  const store = await TopicStore.open(directory, environment, {});
  mkdirSync(path.join(topics, "t"));
  writeFileSync(path.join(topics, "t", "7"), "no directory");
  await assert.rejects(
    store.create("t", 20, {}),
    (error) =>
      error instanceof BrokerError && error.errorCode === KAFKA_ERROR_CODE.KAFKA_STORAGE_ERROR,
  );
  while (openFiles().length > 0) await new Promise((resolve) => setImmediate(resolve));
  await store.create("t", 2, {});
  await store.close();
});
