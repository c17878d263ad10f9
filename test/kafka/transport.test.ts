import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { PcaptsError } from "../../src/errors.ts";
import { createTransport } from "../../src/kafka/transport.ts";
import type { BrokerAddress, KafkaClientOptions } from "../../src/kafka/client-options.ts";
import { silentLogger } from "../../src/logger.ts";
import { randomTopicName, sharedBroker } from "../brokers.ts";

const optionsFor = (
  brokers: readonly BrokerAddress[],
  changes: Partial<KafkaClientOptions> = {},
): KafkaClientOptions => ({
  brokers,
  clientId: "test",
  connectTimeoutMs: 1000,
  connectionSetupTimeoutMs: 30_000,
  requestTimeoutMs: 60_000,
  retryBackoffMs: 20,
  retryBackoffMaxMs: 100,
  ...changes,
});

/** A server on 127.0.0.1 that does what `onConnection` does, until the test ends. */
async function serve(t: TestContext, onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onConnection(socket);
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

/** Answers ApiVersions (version 2) with these ranges, and nothing else. */
function answerVersions(
  socket: Socket,
  ranges: readonly [key: number, min: number, max: number][],
): void {
  socket.on("data", (request) => {
    const body = Buffer.alloc(4 + 2 + 4 + ranges.length * 6 + 4);
    request.copy(body, 0, 8, 12);
    body.writeInt32BE(ranges.length, 6);
    for (const [i, range] of ranges.entries()) {
      for (const [j, value] of range.entries()) body.writeInt16BE(value, 10 + i * 6 + j * 2);
    }
    const size = Buffer.alloc(4);
    size.writeInt32BE(body.length);
    socket.write(Buffer.concat([size, body]));
  });
}

async function failureOf(promise: Promise<unknown>): Promise<PcaptsError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof PcaptsError, String(error));
    return error;
  }
  assert.fail("it succeeded");
}

test("a broker older than Kafka 0.11 is named with the versions it offers", async (t) => {
  const port = await serve(t, (socket) =>
    answerVersions(socket, [
      [0, 0, 2],
      [1, 0, 3],
      [3, 0, 2],
      [18, 0, 0],
    ]),
  );
  const transport = createTransport(optionsFor([{ host: "127.0.0.1", port }]), silentLogger);
  const { code, message } = await failureOf(transport.connect());
  await transport.close();
  assert.equal(code, "BROKER_TOO_OLD");
  assert.match(message, new RegExp(`"127\\.0\\.0\\.1:${port}": it offers Produce versions 0 to 2`));
});

test("a server that never answers is warned of within a second and given up at the time-out", async (t) => {
  const port = await serve(t, () => {});
  const warnings: { message: string; afterMs: number }[] = [];
  const started = performance.now();
  const logger = {
    ...silentLogger,
    warn: (message: string) =>
      void warnings.push({ message, afterMs: performance.now() - started }),
  };
  const options = optionsFor([{ host: "127.0.0.1", port }], { connectTimeoutMs: 1500 });
  const transport = createTransport(options, logger);
  const { code, message } = await failureOf(transport.connect());
  await transport.close();
  assert.equal(code, "BROKER_UNREACHABLE");
  assert.match(message, /no answer; gave up after 1\.5 s \(--connect-timeout\)/);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!.message, new RegExp(`Kafka at 127\\.0\\.0\\.1:${port}: no answer yet`));
});

test("a port where something else listens is given up like one where nothing does", async (t) => {
  const port = await serve(t, (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  const transport = createTransport(optionsFor([{ host: "127.0.0.1", port }]), silentLogger);
  assert.equal((await failureOf(transport.connect())).code, "BROKER_UNREACHABLE");
  await transport.close();
});

test("the second bootstrap server is tried at once when the first refuses", async () => {
  const closed = await new Promise<number>((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port: free } = server.address() as AddressInfo;
      server.close(() => resolve(free));
    });
  });
  const { bootstrap } = await sharedBroker();
  const [host, kafkaPort] = bootstrap.split(":") as [string, string];
  const transport = createTransport(
    optionsFor([
      { host: "127.0.0.1", port: closed },
      { host, port: Number(kafkaPort) },
    ]),
    silentLogger,
  );
  await transport.connect();
  const found = await transport.lookUpTopic(randomTopicName());
  assert.deepEqual(found, { errorCode: 3 });
  await transport.close();
});

test("an aborted connect ends at once, with the reason of its signal", async (t) => {
  const port = await serve(t, () => {});
  const options = optionsFor([{ host: "127.0.0.1", port }], { connectTimeoutMs: 60_000 });
  const transport = createTransport(options, silentLogger);
  const stopping = new AbortController();
  const connecting = transport.connect(stopping.signal);
  stopping.abort();
  await assert.rejects(connecting, { name: "AbortError" });
  await transport.close();
});
