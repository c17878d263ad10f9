import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, type TestContext, test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { setTimeout as sleep } from "node:timers/promises";
import {
  AnswerMemory,
  type AnswerSocketFactory,
  createAnswerSocketFactory,
} from "../../src/kafka/answer-reader.ts";
import { createTlsSettings } from "../../src/kafka/tls-settings.ts";
import type { TlsSettings } from "../../src/kafka/tls-settings.ts";
import { Certificates } from "../certificates.ts";

const directory = mkdtempSync(path.join(tmpdir(), "pcapts-answers-"));
after(() => rmSync(directory, { recursive: true, force: true }));
const certificates = new Certificates(directory);
certificates.createAuthorities();
const certificate = certificates.createServer("localhost");

/** What the client takes; the server has the certificate. */
const TLS = createTlsSettings({
  context: { ca: readFileSync(certificates.authority) },
  verifyCertificate: true,
  verifyHost: true,
  subject: undefined,
});

const PROTOCOLS = [
  ["plain", null],
  ["with TLS", TLS],
] as const;

/** A socket of the factory and the other end of it. */
async function connectPair(
  t: TestContext,
  factory: AnswerSocketFactory,
  ssl: TlsSettings | null,
): Promise<{ socket: Socket; peer: Socket }> {
  const server =
    ssl === null
      ? createServer()
      : createTlsServer({
          cert: readFileSync(certificate.certificate),
          key: readFileSync(certificate.key),
        });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const event = ssl === null ? "connection" : "secureConnection";
  const accepted = once(server, event) as Promise<[Socket]>;
  const socket = factory({ host: "127.0.0.1", port, ssl, onConnect: () => {} });
  const [peer] = await accepted;
  peer.setNoDelay(true);
  t.after(() => {
    socket.destroy();
    peer.destroy();
    server.close();
  });
  return { socket, peer };
}

function answerOf(size: number, fill: number): Buffer {
  const answer = Buffer.alloc(4 + size, fill);
  answer.writeInt32BE(size);
  return answer;
}

for (const [protocol, ssl] of PROTOCOLS) {
  test(`answers come whole, one event each, however the bytes arrive, ${protocol}`, async (t) => {
    const { socket, peer } = await connectPair(
      t,
      createAnswerSocketFactory(new AnswerMemory()),
      ssl,
    );
    const answers = [answerOf(5, 1), answerOf(0, 0), answerOf(3_000_000, 2), answerOf(1, 3)];
    const received: Buffer[] = [];
    const done = new Promise<void>((resolve) => {
      socket.on("data", (answer: Buffer) => {
        received.push(Buffer.from(answer));
        if (received.length === 2 * answers.length) resolve();
      });
    });
    const bytes = Buffer.concat(answers);
    peer.write(bytes);
    let start = 0;
    for (const end of [2, 4, 7, 13, 20, 1_000_003, bytes.length]) {
      peer.write(bytes.subarray(start, end));
      start = end;
      await sleep(5);
    }
    await done;
    for (const [index, answer] of received.entries()) {
      assert.ok(answer.equals(answers[index % answers.length]!), `answer ${index}`);
    }
  });
}

for (const [protocol, ssl] of PROTOCOLS) {
  test(`a size below zero ends the connection, ${protocol}`, async (t) => {
    const { socket, peer } = await connectPair(
      t,
      createAnswerSocketFactory(new AnswerMemory()),
      ssl,
    );
    socket.on("data", () => assert.fail("there is no answer"));
    const failed = once(socket, "error") as Promise<[Error]>;
    peer.write(Buffer.from("ffffffff00000000", "hex"));
    const [error] = await failed;
    assert.match(error.message, /-1/);
  });
}

for (const [protocol, ssl] of PROTOCOLS) {
  test(`the end of the stream is told to those that listen, ${protocol}`, async (t) => {
    const { socket, peer } = await connectPair(
      t,
      createAnswerSocketFactory(new AnswerMemory()),
      ssl,
    );
    socket.on("data", () => assert.fail("there is no answer"));
    const ended = once(socket, "end");
    peer.end(answerOf(100, 1).subarray(0, 50));
    await ended;
  });
}

test("memory is lent again only when it was given back, and once", () => {
  const memory = new AnswerMemory();
  const first = memory.take(1_000_000);
  const second = memory.take(1_000_000);
  assert.notEqual(first.buffer, second.buffer);
  memory.giveBack(first.subarray(8));
  memory.giveBack(first);
  const third = memory.take(900_000);
  assert.equal(third.buffer, first.buffer);
  assert.equal(third.length, 900_000);
  assert.notEqual(memory.take(1_000_000).buffer, first.buffer);
});

test("memory that is not its own is left alone", () => {
  const memory = new AnswerMemory();
  const foreign = Buffer.alloc(1_000_000);
  memory.giveBack(foreign);
  assert.notEqual(memory.take(1_000_000).buffer, foreign.buffer);
});

test("memory that has become too small makes room for larger", () => {
  const memory = new AnswerMemory();
  const small = [1, 2, 3].map(() => memory.take(100_000));
  const large = [1, 2, 3].map(() => memory.take(4_000_000));
  for (const bytes of [...small, ...large]) memory.giveBack(bytes);
  const kept = new Set(large.map(({ buffer }) => buffer));
  for (let left = 3; left > 0; left--) assert.ok(kept.has(memory.take(4_000_000).buffer));
});

test("a reader that has caught up keeps no memory", () => {
  const memory = new AnswerMemory();
  const large = memory.take(1_000_000);
  memory.giveBack(large);
  memory.take(100);
  assert.notEqual(memory.take(1_000_000).buffer, large.buffer);
});
