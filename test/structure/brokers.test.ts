import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { test } from "node:test";
import { Kafka, logLevel } from "kafkajs";
import { createTopic, randomTopicName, sharedBroker, startBroker } from "../brokers.ts";

function listens(bootstrap: string): Promise<boolean> {
  const [host, port] = bootstrap.split(":");
  return new Promise((resolve) => {
    const socket = connect(Number(port), host);
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("close", () => socket.destroy());
    socket.once("connect", () => socket.destroy());
  });
}

test("sharedBroker() serves topics of the wanted shape", async () => {
  const { bootstrap } = await sharedBroker();
  const topic = randomTopicName();
  await createTopic(bootstrap, topic, { partitions: 3, config: { "max.message.bytes": 20_000 } });
  const admin = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  await admin.disconnect();
  assert.equal(topics[0]?.partitions.length, 3);
});

test("startBroker() keeps topics and port through a kill and a start, and leaves nothing behind", async () => {
  const broker = await startBroker({ properties: { "message.max.bytes": 12_345 } });
  try {
    assert.match(broker.log(), /message\.max\.bytes = 12345/);
    await createTopic(broker.bootstrap, "kept");
    await broker.kill();
    assert.equal(broker.pid, undefined);
    assert.equal(await listens(broker.bootstrap), false);
    await broker.start();
    const admin = new Kafka({ brokers: [broker.bootstrap], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    assert.deepEqual(await admin.listTopics(), ["kept"]);
    await admin.disconnect();
    await broker.stop();
    assert.equal(await listens(broker.bootstrap), false);
  } finally {
    await broker.remove();
  }
  assert.equal(existsSync(broker.directory), false);
});

test("startBroker() fails with the end of Kafka's log when Kafka does not start", async () => {
  await assert.rejects(
    startBroker({ properties: { "process.roles": "nonsense" } }),
    /Kafka 4\.3\.0 at 127\.0\.0\.1:\d+ ended with 1; the end of its log:\n[^]*nonsense/,
  );
});
