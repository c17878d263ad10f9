import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { ByteReader } from "../../src/bytes/byte-reader.ts";
import { API_BY_KEY } from "../../src/broker/api-table.ts";
import { KAFKA_ERROR_CODE } from "../../src/kafka-wire/error-codes.ts";
import { PieceWriter } from "../../src/kafka-wire/piece-writer.ts";
import { runProgram } from "../integration/other-programs.ts";
import { BrokerProcess } from "../embedded-broker.ts";

let broker: BrokerProcess;
before(async () => {
  broker = await BrokerProcess.start();
});
after(() => broker.remove());

async function open(): Promise<Socket> {
  const socket = connect(broker.port, "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** Sends bytes, and resolves with the first answer, or undefined when the connection is closed. */
async function ask(bytes: Buffer, andEnd = false): Promise<Buffer | undefined> {
  const socket = await open();
  const chunks: Buffer[] = [];
  const answered = new Promise<Buffer | undefined>((resolve) => {
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      const all = Buffer.concat(chunks);
      if (all.length >= 4 && all.length >= 4 + all.readInt32BE(0)) resolve(all);
    });
    socket.on("close", () => resolve(undefined));
  });
  socket.write(bytes);
  if (andEnd) socket.end();
  const answer = await answered;
  socket.destroy();
  return answer;
}

function frame(body: Buffer): Buffer {
  const size = Buffer.alloc(4);
  size.writeInt32BE(body.length);
  return Buffer.concat([size, body]);
}

function header(key: number, version: number): Buffer {
  const bytes = Buffer.from("0000000000000007000466757a7a", "hex");
  bytes.writeInt16BE(key, 0);
  bytes.writeInt16BE(version, 2);
  return bytes;
}

/** A request of a kind and version with nothing in it that means anything. */
function emptyRequest(key: number, version: number): Buffer {
  const api = API_BY_KEY.get(key)!;
  const isFlexible = version >= api.flexibleFrom;
  const writer = new PieceWriter();
  writer.fields.writeRaw(header(key, version));
  if (isFlexible) writer.fields.writeUnsignedVarint(0);
  // With acks 0, which an absent field would be, a Produce request has no answer.
  const request = { ...(api.request.form.absent as object), acks: -1 };
  api.request.form.write(writer, request, version, isFlexible);
  return Buffer.concat(writer.finish());
}

function residentMegabytes(): number {
  const status = readFileSync(`/proc/${broker.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

async function assertServes(): Promise<void> {
  const { stdout } = await runProgram(["kcat", "-L", "-b", broker.bootstrap]);
  assert.match(stdout.toString(), /1 brokers/);
}

test("every request in every version has an answer", async () => {
  for (const api of API_BY_KEY.values()) {
    for (let version = api.minVersion; version <= api.maxVersion; version++) {
      const answer = await ask(frame(emptyRequest(api.key, version)));
      assert.equal(answer?.readInt32BE(4), 7, `${api.name} version ${version}`);
    }
  }
});

test("a version or a request that is not known is answered with UNSUPPORTED_VERSION", async () => {
  for (const [key, version] of [
    [3, 99],
    [0, 2],
    [1, 3],
    [24, 0],
    [999, 5],
  ] as const) {
    const answer = await ask(frame(Buffer.concat([header(key, version), Buffer.alloc(20)])));
    assert.ok(answer, `${key} version ${version}: the connection was closed`);
    // Answers of flexible versions have tagged fields, none, behind the correlation id.
    const isFlexible = (API_BY_KEY.get(key)?.flexibleFrom ?? Infinity) <= version;
    const reader = new ByteReader(answer, isFlexible ? 9 : 8);
    assert.equal(reader.readInt32(), 0);
    assert.equal(reader.readInt16(), KAFKA_ERROR_CODE.UNSUPPORTED_VERSION);
  }
  const versions = await ask(frame(Buffer.concat([header(18, 99), Buffer.alloc(20)])));
  assert.equal(versions?.readInt16BE(8), KAFKA_ERROR_CODE.UNSUPPORTED_VERSION);
  assert.ok(versions.readInt32BE(10) > 15);
});

test("answers to requests that were sent together come in their order", async () => {
  const socket = await open();
  const fetch = emptyRequest(1, 11);
  const requests = Array.from({ length: 50 }, (_, index) => {
    const request = index % 3 === 0 ? Buffer.from(fetch) : emptyRequest(18, 3);
    request.writeInt32BE(index, 4);
    return frame(request);
  });
  socket.write(Buffer.concat(requests));
  let all = Buffer.alloc(0);
  const seen: number[] = [];
  for await (const chunk of socket) {
    all = Buffer.concat([all, chunk as Buffer]);
    while (all.length >= 4 && all.length >= 4 + all.readInt32BE(0)) {
      seen.push(all.readInt32BE(4));
      all = all.subarray(4 + all.readInt32BE(0));
    }
    if (seen.length === requests.length) break;
  }
  assert.deepEqual(seen, [...requests.keys()]);
});

test("garbage, half and oversized requests end in an answer or a closed connection, and memory stays", async () => {
  const random = (limit: number): number => Math.floor(Math.random() * limit);
  const apis = [...API_BY_KEY.values()];
  let settledMegabytes = 0;
  for (let round = 0; round < 1500; round++) {
    const api = apis[random(apis.length)]!;
    const version = api.minVersion + random(api.maxVersion - api.minVersion + 1);
    const request = emptyRequest(api.key, version);
    const kind = round % 5;
    if (kind === 0) await ask(randomBytes(1 + random(200)), true);
    else if (kind === 1) await ask(frame(request).subarray(0, random(request.length)), true);
    else if (kind === 2) {
      // Announces gigabytes, or less than a header.
      const head = Buffer.concat([Buffer.alloc(4), request]);
      head.writeInt32BE([0x7fff_ffff, -1, 0, 3, 104_857_601][random(5)]!);
      assert.equal(await ask(head), undefined);
    } else if (kind === 3) {
      await ask(frame(Buffer.concat([request.subarray(0, 14), randomBytes(random(300))])), true);
    } else {
      const damaged = Buffer.from(request);
      damaged[14 + random(Math.max(1, damaged.length - 14))] = random(256);
      await ask(frame(Buffer.concat([damaged, randomBytes(random(20))])), true);
    }
    if (round === 500) settledMegabytes = residentMegabytes();
  }
  await assertServes();
  const grown = residentMegabytes() - settledMegabytes;
  assert.ok(grown < 60, `memory grew by ${grown} MB`);
});

test("hundreds of connections that stop within a large request hold little memory, and others are served", async () => {
  const sockets = await Promise.all(Array.from({ length: 300 }, open));
  const head = Buffer.alloc(4 + 60_000);
  header(0, 3).copy(head, 4);
  head.writeInt32BE(90 * 1024 * 1024);
  for (const socket of sockets) socket.write(head);
  await assertServes();
  assert.ok(residentMegabytes() < 250, `${residentMegabytes()} MB`);
  for (const socket of sockets) socket.destroy();
  await assertServes();
});
