import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import path from "node:path";
import { test } from "node:test";
import Broker from "kafkajs/src/broker/index.js";
import { createLogger, LEVELS } from "kafkajs/src/loggers/index.js";
import ConnectionPool from "kafkajs/src/network/connectionPool.js";
import type { Connection } from "kafkajs/src/network/connectionPool.js";
import createSocketFactory from "kafkajs/src/network/socketFactory.js";
import { projectRoot, sharedBroker } from "../brokers.ts";

/*
 * Pins what src/kafka/kafkajs-modules.ts loads beneath kafkajs's public
 * API, so that another version of kafkajs fails here and not in a capture.
 */

const logger = createLogger({ level: LEVELS.NOTHING, logCreator: () => () => {} });

function createPool(host: string, port: number): ConnectionPool {
  return new ConnectionPool({
    host,
    port,
    clientId: "pin",
    connectionTimeout: 5000,
    requestTimeout: 5000,
    enforceRequestTimeout: true,
    socketFactory: createSocketFactory(),
    logger,
    ssl: null,
    sasl: null,
  });
}

test("package.json pins kafkajs to one version exactly", () => {
  const manifest = JSON.parse(readFileSync(path.join(projectRoot, "package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };
  assert.equal(manifest.dependencies["kafkajs"], "2.2.4");
});

test("a broker learns the versions of each request over the first connection of its pool", async () => {
  const { bootstrap } = await sharedBroker();
  const [host, port] = bootstrap.split(":") as [string, string];
  const pool = createPool(host, Number(port));
  const broker = new Broker({ connectionPool: pool, logger });
  await broker.connect();
  assert.ok(broker.versions![0]!.maxVersion >= 3);
  assert.equal(pool.pool[0]!.isConnected(), true);
  assert.equal(pool.pool[0]!.socket!.writable, true);
  await pool.pool[0]!.disconnect();
});

test("a request pushed to the queue is written when the queue says so, and resolves with the bytes behind the correlation id", async () => {
  const server = createServer((socket) => {
    socket.once("data", (request) => {
      const answer = Buffer.alloc(11);
      answer.writeInt32BE(7, 0);
      request.copy(answer, 4, 0, 4);
      answer.write("abc", 8);
      socket.write(answer);
    });
  });
  const port = await listen(server);
  const connection = await connect(port);
  const correlationId = connection.nextCorrelationId();
  const { payload } = await new Promise<{ payload: Buffer }>((resolve, reject) => {
    connection.requestQueue.push({
      entry: { apiKey: 0, apiName: "Produce", apiVersion: 8, correlationId, resolve, reject },
      expectResponse: true,
      requestTimeout: 5000,
      sendRequest: () => {
        const id = Buffer.alloc(4);
        id.writeInt32BE(correlationId);
        connection.socket!.write(id);
      },
    });
  });
  assert.equal(payload.toString(), "abc");
  await connection.disconnect();
  server.close();
});

test("a whole answer is handed on as a view when nothing is buffered", async () => {
  const connection = createPool("127.0.0.1", 1).pool[0]!;
  const answers: Buffer[] = [];
  Object.assign(connection.requestQueue, {
    fulfillRequest: ({ payload }: { payload: Buffer }) => answers.push(payload),
  });
  for (const text of ["abc", "def"]) {
    const answer = Buffer.alloc(11);
    answer.writeInt32BE(7, 0);
    answer.write(text, 8);
    assert.equal(connection.bytesBuffered, 0);
    connection.chunks = [];
    connection.processData(answer);
    assert.equal(answers.at(-1)!.toString(), text);
    assert.equal(answers.at(-1)!.byteOffset, answer.byteOffset + 8);
    assert.equal(answers.at(-1)!.buffer, answer.buffer);
  }
});

test("a lost connection rejects every request that waits for its answer at once", async () => {
  const accepted: Socket[] = [];
  const server = createServer((socket) => accepted.push(socket));
  const port = await listen(server);
  const connection = await connect(port);
  const failures: string[] = [];
  const waiting = [1, 2, 3].map(
    (id) =>
      new Promise<void>((resolve) => {
        connection.requestQueue.push({
          entry: {
            apiKey: 0,
            apiName: "Produce",
            apiVersion: 8,
            correlationId: id,
            resolve: () => resolve(),
            reject: (error) => {
              failures.push(error.name);
              resolve();
            },
          },
          expectResponse: true,
          requestTimeout: 60_000,
          sendRequest: () => connection.socket!.write("x"),
        });
      }),
  );
  await new Promise((resolve) => setTimeout(resolve, 20));
  accepted[0]!.destroy();
  await Promise.all(waiting);
  assert.deepEqual(failures, [
    "KafkaJSConnectionClosedError",
    "KafkaJSConnectionClosedError",
    "KafkaJSConnectionClosedError",
  ]);
  assert.equal(connection.socket!.writable, false);
  server.close();
});

/** A connection without the questions that a broker is asked first. */
async function connect(port: number): Promise<Connection> {
  const connection = createPool("127.0.0.1", port).pool[0]!;
  await (connection as Connection & { connect(): Promise<void> }).connect();
  return connection;
}

async function listen(server: ReturnType<typeof createServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}
