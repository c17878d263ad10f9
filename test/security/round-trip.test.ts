import assert from "node:assert/strict";
import { test } from "node:test";
import { createTopic, randomTopicName } from "../brokers.ts";
import { sharedSecureCluster } from "../secure-cluster.ts";
import { confluentKafka, kcat } from "./other-clients.ts";
import { waysIn } from "./properties.ts";
import { numberedCapture, publishWith, readWith } from "./secure-runs.ts";

/*
 * One property set for pcapts and for a program on librdkafka: the names mean the same.
 */

const FRAMES = 300;

const cluster = await sharedSecureCluster();
const clients = [kcat(cluster), confluentKafka()];
const capture = numberedCapture(FRAMES);

for (const { name, properties, otherClient } of waysIn(cluster)) {
  test(`a capture comes back byte for byte through ${name}, and ${otherClient} reads it with the same properties`, async () => {
    const topic = randomTopicName("pcap");
    await createTopic(cluster.bootstrap.PLAINTEXT, topic);
    const env = cluster.realm.environment();
    await publishWith(properties, topic, capture, env);
    assert.deepEqual(await readWith(properties, topic, env), capture);

    const client = clients.find((one) => one.name === otherClient);
    assert.ok(client !== undefined);
    const lengths = await client.valueLengths(properties, topic);
    assert.deepEqual(
      lengths,
      Array.from({ length: FRAMES }, () => 90),
    );
  });
}
