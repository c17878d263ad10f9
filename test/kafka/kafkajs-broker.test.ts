import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { test } from "node:test";
import { encodeInitProducerId } from "../../src/kafka-wire/init-producer-id.ts";
import { ConnectionError } from "../../src/kafka/connection-error.ts";
import { BrokerFactory, type KafkajsBroker } from "../../src/kafka/kafkajs-broker.ts";
import { silentLogger } from "../../src/logger.ts";

const API_VERSIONS = 18;
const INIT_PRODUCER_ID = 22;

/** An answer: size, correlation id of the request, body. */
function answer(request: Buffer, body: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeInt32BE(4 + body.length, 0);
  request.copy(head, 4, 8, 12);
  return Buffer.concat([head, body]);
}

function versionsBody(): Buffer {
  const body = Buffer.alloc(2 + 4 + 6 + 4);
  body.writeInt32BE(1, 2);
  body.writeInt16BE(INIT_PRODUCER_ID, 6);
  body.writeInt16BE(1, 10);
  return body;
}

function producerIdBody(): Buffer {
  const body = Buffer.alloc(4 + 2 + 8 + 2);
  body.writeBigInt64BE(77n, 6);
  return body;
}

function createBroker(port: number): KafkajsBroker {
  const address = { host: "127.0.0.1", port };
  const factory = new BrokerFactory(
    {
      brokers: [address],
      clientId: "test",
      connectTimeoutMs: 5000,
      connectionSetupTimeoutMs: 5000,
      requestTimeoutMs: 5000,
      retryBackoffMs: 10,
      retryBackoffMaxMs: 100,
    },
    silentLogger,
  );
  return factory.create(address, 0);
}

// kafkajs's connections keep what they have of an answer when they are opened again, and took the
// next answer for its rest: the process ended with a RangeError when a broker was restarted.
test("after a connection was lost in the middle of an answer the next one is read from its beginning", async (t) => {
  let requests = 0;
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.on("data", (request) => {
      if (request.readInt16BE(4) === API_VERSIONS) {
        socket.write(answer(request, versionsBody()));
        return;
      }
      const whole = answer(request, producerIdBody());
      if (++requests > 1) socket.write(whole);
      else socket.write(whole.subarray(0, 10), () => socket.destroy());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const broker = createBroker((server.address() as AddressInfo).port);
  t.after(() => broker.close());

  const first = await broker.connection("requests");
  await assert.rejects(first.send(encodeInitProducerId(1)), ConnectionError);
  assert.equal(first.isOpen(), false);
  const second = await broker.connection("requests");
  assert.notEqual(second, first);
  const { producerId } = await second.send(encodeInitProducerId(1));
  assert.equal(producerId, 77n);
});

test("two callers that need a connection at the same time share one", async (t) => {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.on("error", () => {});
    socket.on("data", (request) => socket.write(answer(request, versionsBody())));
    t.after(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const broker = createBroker((server.address() as AddressInfo).port);
  t.after(() => broker.close());
  const [one, other] = await Promise.all([
    broker.connection("requests"),
    broker.connection("requests"),
  ]);
  assert.equal(one, other);
  assert.equal(connections, 1);
});

test("an answer to a fetch is read into memory that was given back, and kafkajs does not copy it", async (t) => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.on("data", (request) => {
      const isFirst = request.readInt16BE(4) === API_VERSIONS;
      const body = isFirst ? versionsBody() : Buffer.alloc(200_000, request[11]);
      socket.write(answer(request, body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const broker = createBroker((server.address() as AddressInfo).port);
  t.after(() => broker.close());

  const connection = await broker.connection("fetch");
  const fetchBytes = (): Promise<Buffer> =>
    connection.send({ api: "Fetch", version: 11, body: [], decode: ({ bytes }) => bytes });
  const first = await fetchBytes();
  const second = await fetchBytes();
  assert.notEqual(second.buffer, first.buffer);
  assert.equal(second.length, 200_000);
  assert.ok(second.equals(Buffer.alloc(200_000, first[0]! + 1)));
  connection.giveBack(first);
  const third = await fetchBytes();
  assert.equal(third.buffer, first.buffer);
  assert.ok(third.equals(Buffer.alloc(200_000, second[0]! + 1)));
});
