import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import type { FrameSource } from "../../src/capture/frame-source.ts";
import { openTcpSource } from "../../src/capture/tcp-source.ts";
import { buildCapture, buildUdpFrame, framesOf } from "../fixtures/generate.ts";
import { PcapngBuilder } from "../fixtures/pcapng.ts";
import { NotingLogger } from "./noting-logger.ts";

const LIMIT = { timeout: 240_000 };

/** A frame that tells its number. */
function numbered(n: number): Buffer {
  const frame = buildUdpFrame(n, 100);
  frame.writeUInt32BE(n, 96);
  return frame;
}

function captureOf(from: number, to: number): Buffer {
  const frames = Array.from({ length: to - from }, (_, n) => ({ bytes: numbered(from + n) }));
  return buildCapture({ frames });
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, n) => from + n);
}

/** A server that treats its connections one after the other as it is told; the last treatment stays. */
async function serve(
  ...treatments: ((socket: Socket) => void)[]
): Promise<Server & { at: number }> {
  let connections = 0;
  const server = createServer((socket) => {
    socket.on("error", () => {});
    const treat = treatments[Math.min(connections++, treatments.length - 1)]!;
    treat(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return Object.assign(server, { at: address.port });
}

function open(
  port: number,
  logger: NotingLogger,
  options: object = {},
): ReturnType<typeof openTcpSource> {
  return openTcpSource({
    name: `TCP@127.0.0.1:${port}`,
    host: "127.0.0.1",
    port,
    sensor: "probe",
    isOneOfSeveral: false,
    connectTimeoutMs: 30_000,
    logger,
    ...options,
  });
}

/** Reads numbers of frames until the last one has come, then stops the source. */
async function readNumbers(source: FrameSource, last: number): Promise<number[]> {
  const numbers: number[] = [];
  for await (const chunk of source.chunks()) {
    numbers.push(...framesOf(chunk).map(({ bytes }) => bytes.readUInt32BE(96)));
    if (numbers.at(-1) === last) void source.stop();
  }
  return numbers;
}

test("a stream is read, and read on when its server closes the connection", LIMIT, async () => {
  const server = await serve(
    (socket) => socket.end(captureOf(0, 50)),
    (socket) => socket.write(captureOf(50, 100)),
  );
  const logger = new NotingLogger();
  const source = await open(server.at, logger);
  assert.equal(source.kind, "live");
  const reading = readNumbers(source, 99);
  assert.deepEqual(await reading, range(0, 100));
  assert.equal(source.counters().received, 100);
  assert.equal(source.counters().torn, 0);
  assert.deepEqual(logger.warnings, [
    `"TCP@127.0.0.1:${server.at}" has closed the connection after 50 frames; connecting again`,
  ]);
  assert.equal(logger.count(/Reading .* again, after \d+ s/), 1);
  server.close();
});

test("a frame that is half there when the connection ends or is reset is torn", LIMIT, async () => {
  // 24 bytes of header, 2 frames of 116 bytes and 50 bytes of the third.
  const torn = captureOf(0, 5).subarray(0, 306);
  const resets: Socket[] = [];
  const server = await serve(
    (socket) => socket.end(torn),
    (socket) => {
      socket.write(torn);
      resets.push(socket);
    },
    (socket) => socket.write(captureOf(10, 20)),
  );
  const logger = new NotingLogger();
  const source = await open(server.at, logger);
  const numbers: number[] = [];
  for await (const chunk of source.chunks()) {
    numbers.push(...framesOf(chunk).map(({ bytes }) => bytes.readUInt32BE(96)));
    // Only what was read can be torn: a reset may take with it what was not.
    if (numbers.length >= 4) for (const socket of resets.splice(0)) socket.resetAndDestroy();
    if (numbers.at(-1) === 19) void source.stop();
  }
  assert.deepEqual(numbers, [0, 1, 0, 1, ...range(10, 20)]);
  assert.equal(source.counters().received, 14);
  assert.match(
    logger.warnings[0] ?? "",
    /cut at byte 306, in the middle of frame 3;.*connecting again/,
  );
  assert.match(
    logger.warnings[1] ?? "",
    /The connection to .* is lost after 2 frames: connection reset by the other side; connecting again/,
  );
  server.close();
});

test("a server that is not there yet is waited for, which is said once", LIMIT, async () => {
  const server = await serve((socket) => socket.write(captureOf(0, 3)));
  const port = server.at;
  server.close();
  await once(server, "close");
  const logger = new NotingLogger();
  const opening = open(port, logger);
  await logger.says(/connection refused; trying again/);
  const late = createServer((socket) => {
    socket.on("error", () => {});
    socket.write(captureOf(0, 3));
  });
  late.listen(port, "127.0.0.1");
  assert.deepEqual(await readNumbers(await opening, 2), range(0, 3));
  assert.equal(logger.warnings.length, 1);
  late.close();
});

test("a server that never comes is an error after the time that was given", LIMIT, async () => {
  const server = await serve(() => {});
  const port = server.at;
  server.close();
  await once(server, "close");
  const logger = new NotingLogger();
  await assert.rejects(open(port, logger, { connectTimeoutMs: 600 }), {
    code: "FEED_UNREACHABLE",
    message: new RegExp(
      `Cannot connect to "TCP@127.0.0.1:${port}" within 0.6 s: connection refused`,
    ),
  });
  assert.equal(logger.warnings.length, 1);
});

test("what is no capture is refused at first, later it is a lost connection", LIMIT, async () => {
  const words = Buffer.from("SSH-2.0-OpenSSH_9.2p1 and more words");
  const stranger = await serve((socket) => socket.end(words));
  const logger = new NotingLogger();
  await assert.rejects(open(stranger.at, logger), { code: "FILE_NOT_A_CAPTURE" });
  stranger.close();

  const server = await serve(
    (socket) => socket.end(captureOf(0, 2)),
    (socket) => socket.end(words),
    (socket) => socket.write(captureOf(2, 4)),
  );
  assert.deepEqual(await readNumbers(await open(server.at, logger), 3), range(0, 4));
  server.close();
});

test(
  "a silent server keeps nobody waiting, and pcapng interfaces keep their names",
  LIMIT,
  async () => {
    const silent: Socket[] = [];
    const server = await serve((socket) => void silent.push(socket));
    const logger = new NotingLogger();
    const source = await open(server.at, logger, { isOneOfSeveral: true });
    assert.deepEqual(source.interfaces, []);
    const pcapng = new PcapngBuilder().section().interface({ name: "eth0" });
    silent[0]?.write(pcapng.enhancedPacket(0, 1n, numbered(7)).file);
    for await (const chunk of source.chunks()) {
      assert.deepEqual(
        chunk.interfaces.map(({ name, sensor }) => ({ name, sensor })),
        [{ name: `eth0@127.0.0.1:${server.at}`, sensor: "probe" }],
      );
      await source.stop();
    }
    server.close();
  },
);

test("stop() ends a wait for frames, and one for a server", LIMIT, async () => {
  const server = await serve((socket) => socket.write(captureOf(0, 3)));
  const logger = new NotingLogger();
  const source = await open(server.at, logger);
  const reading = readNumbers(source, -1);
  await source.stop();
  await source.stop();
  assert.ok((await reading).length <= 3);

  const closing = await serve((socket) => socket.end(captureOf(0, 3)));
  const second = await open(closing.at, logger);
  closing.close();
  const waiting = readNumbers(second, -1);
  await logger.says(/connecting to /);
  await second.stop();
  await waiting;
  server.close();
});
