import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { BrokerState } from "../../src/broker/broker-api.ts";
import { BufferPool } from "../../src/broker/buffer-pool.ts";
import { ClientConnection } from "../../src/broker/client-connection.ts";
import { NO_FAULTS } from "../../src/broker/faults.ts";
import { silentLogger } from "../../src/logger.ts";

test("a whole request in front of garbage gives its memory back with the connection", async () => {
  const memory = new BufferPool(1024 * 1024);
  const state = { logger: silentLogger, faults: NO_FAULTS } as unknown as BrokerState;
  const server = createServer((socket) => new ClientConnection(socket, state, memory));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  client.on("error", () => {});
  const [socket] = (await accepted) as [Socket];
  const closed = once(socket, "close");

  const request = Buffer.alloc(100_000);
  request.writeInt32BE(request.length - 4, 0);
  client.write(request.subarray(0, -10));
  while (memory.lentBytes === 0) await turn();
  // Together: the rest of the request, and a size that no request has.
  client.write(Buffer.concat([request.subarray(-10), Buffer.alloc(6, 0xff)]));
  await closed;
  assert.equal(memory.lentBytes, 0);
  server.close();
});
