import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import path from "node:path";
import { test } from "node:test";
import { PieceWriter } from "../../src/kafka-wire/piece-writer.ts";
import { FETCH } from "../../src/broker/apis/fetch.ts";
import { TopicStore } from "../../src/broker/topic-store.ts";
import { silentLogger } from "../../src/logger.ts";
import { newDataDirectory, startEmbeddedBroker } from "../embedded-broker.ts";
import { append } from "./batches.ts";

const MEBIBYTE = 1024 * 1024;

/** Asks for as much as one answer holds. */
function fetchRequest(): Buffer {
  const writer = new PieceWriter();
  writer.fields.writeInt16(FETCH.key);
  writer.fields.writeInt16(4);
  writer.fields.writeInt32(1);
  writer.fields.writeNullableString("reader");
  const partition = {
    partition: 0,
    currentLeaderEpoch: -1,
    fetchOffset: 0,
    lastFetchedEpoch: -1,
    logStartOffset: -1,
    partitionMaxBytes: 8 * MEBIBYTE,
  };
  const request = {
    replicaId: -1,
    maxWaitMs: 0,
    minBytes: 1,
    maxBytes: 8 * MEBIBYTE,
    isolationLevel: 0,
    sessionId: 0,
    sessionEpoch: -1,
    topics: [{ topic: "t", partitions: [partition] }],
    forgottenTopics: [],
    rackId: "",
  };
  FETCH.request.form.write(writer, request, 4, false);
  const size = Buffer.alloc(4);
  size.writeInt32BE(writer.length);
  return Buffer.concat([size, ...writer.finish()]);
}

test("readers that do not take their answers keep no others from theirs", async () => {
  const dataDirectory = newDataDirectory();
  const empty = await startEmbeddedBroker({ dataDirectory });
  await empty.broker.close();
  const environment = { fsync: "never", bootId: "b", logger: silentLogger, now: Date.now } as const;
  const topics = await TopicStore.open(path.join(dataDirectory), environment, {});
  await topics.create("t", 1, {});
  for (let n = 0; n < 10; n++) await append(topics.log("t", 0), { valueBytes: MEBIBYTE - 1000 });
  await topics.close();

  const embedded = await startEmbeddedBroker({ dataDirectory, stalledMs: 300 });
  const { broker } = embedded;
  const ask = async (): Promise<Socket> => {
    const socket = connect(broker.port, "127.0.0.1");
    await once(socket, "connect");
    socket.on("error", () => {});
    socket.write(fetchRequest());
    return socket;
  };
  const stopped: Socket[] = [];
  // Together they are lent all the memory there is for answers.
  for (let n = 0; n < 4; n++) stopped.push((await ask()).pause());
  const reader = await ask();
  let received = 0;
  for await (const chunk of reader) {
    received += (chunk as Buffer).length;
    if (received > 7 * MEBIBYTE) break;
  }
  assert.ok(received > 7 * MEBIBYTE, `${received} bytes`);
  for (const socket of stopped) socket.destroy();
  await embedded.remove();
});
