import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { encodeInitProducerId } from "../../src/kafka-wire/init-producer-id.ts";
import { ConnectionError } from "../../src/kafka/connection-error.ts";
import { BrokerFactory } from "../../src/kafka/kafkajs-broker.ts";
import { silentLogger } from "../../src/logger.ts";
import { Certificates } from "../certificates.ts";

/** A TLS record of application data whose 32 bytes nobody encrypted. */
const FOREIGN_RECORD = Buffer.from(`1703030020${"5a".repeat(32)}`, "hex");

async function listen(t: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** The answer to ApiVersions: none. */
function noVersions(request: Buffer): Buffer {
  const answer = Buffer.alloc(14);
  answer.writeInt32BE(10, 0);
  request.copy(answer, 4, 8, 12);
  return answer;
}

// A record that a broker or something between had damaged ended the run with TLS_FAILED, as if a
// certificate had been refused.
test("TLS that fails on an open connection is a lost connection, which is tried again", async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), "pcapts-tls-connection-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const certificates = new Certificates(directory);
  certificates.createAuthorities();
  const files = certificates.createServer("broker");

  const broker = createTlsServer({
    cert: readFileSync(files.certificate),
    key: readFileSync(files.key),
  });
  broker.on("secureConnection", (socket) => {
    socket.on("error", () => {});
    socket.on("data", (request) => socket.write(noVersions(request)));
  });
  const brokerPort = await listen(t, broker);
  let client: Socket | undefined;
  const between = createServer((socket) => {
    client = socket;
    const onward = connect(brokerPort, "127.0.0.1");
    for (const end of [socket, onward]) {
      end.on("error", () => {});
      t.after(() => end.destroy());
    }
    socket.pipe(onward).pipe(socket);
  });
  const address = { host: "127.0.0.1", port: await listen(t, between) };
  const reached = new BrokerFactory(
    {
      brokers: [address],
      clientId: "test",
      connectTimeoutMs: 5000,
      connectionSetupTimeoutMs: 5000,
      requestTimeoutMs: 5000,
      retryBackoffMs: 10,
      retryBackoffMaxMs: 100,
      security: {
        protocol: "ssl",
        sasl: undefined,
        tls: { context: {}, verifyCertificate: false, verifyHost: false, subject: undefined },
      },
    },
    silentLogger,
  ).create(address, 0);
  t.after(() => reached.close());

  const connection = await reached.connection("requests");
  const answered = connection.send(encodeInitProducerId(1));
  client!.write(FOREIGN_RECORD);
  await assert.rejects(answered, (error) => {
    assert.ok(error instanceof ConnectionError, String(error));
    assert.match(error.message, /bad record mac/i);
    return true;
  });
});
