import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, test } from "node:test";
import { type ListenSource, openListenSource } from "../../src/capture/listen-source.ts";
import { buildCapture, buildUdpFrame, framesOf } from "../fixtures/generate.ts";
import { PcapngBuilder } from "../fixtures/pcapng.ts";
import { NotingLogger } from "./noting-logger.ts";

const LIMIT = { timeout: 240_000 };
const FRAME_BYTES = 100;

const opened: ListenSource[] = [];
// A test that failed has not come to it, and would keep the process.
after(() => Promise.all(opened.map((source) => source.stop())));

/** A frame that tells its number. */
function numbered(n: number): Buffer {
  const frame = buildUdpFrame(n, FRAME_BYTES);
  frame.writeUInt32BE(n, FRAME_BYTES - 4);
  return frame;
}

/** @param moreBytes what frames are longer by than needed */
function captureOf(from: number, to: number, moreBytes = 0): Buffer {
  const frames = range(from, to).map((n) => ({
    bytes: Buffer.concat([numbered(n), Buffer.alloc(moreBytes)]),
  }));
  return buildCapture({ frames });
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, n) => from + n);
}

/** A source that listens, and what came. */
class Listening {
  readonly logger = new NotingLogger();
  readonly numbers: number[] = [];
  /** Numbers by the name of their interface. */
  readonly byInterface = new Map<string, number[]>();
  readonly source: ListenSource;
  #changed = (): void => {};
  #reading: Promise<void> | undefined;

  private constructor(source: ListenSource, logger: NotingLogger) {
    this.source = source;
    this.logger = logger;
  }

  static async open(maxSenders = 32): Promise<Listening> {
    const logger = new NotingLogger();
    const address = { host: "127.0.0.1", port: 0 };
    const source = await openListenSource({ address, maxSenders, sensor: "probe", logger });
    opened.push(source);
    return new Listening(source, logger);
  }

  read(): this {
    this.#reading = this.#read();
    return this;
  }

  async connect(): Promise<Socket & { readonly name: string }> {
    const socket = connect(this.source.port, "127.0.0.1");
    await once(socket, "connect");
    socket.on("error", () => {});
    return Object.assign(socket, { name: `127.0.0.1:${socket.localPort}` });
  }

  /** Waits until so many frames have come, as long as any come. */
  async has(count: number): Promise<number[]> {
    let endMs = performance.now() + 40_000;
    for (let before = 0; this.numbers.length < count; before = this.numbers.length) {
      if (this.numbers.length > before) endMs = performance.now() + 40_000;
      assert.ok(performance.now() < endMs, `${this.numbers.length} of ${count} came`);
      await Promise.race([
        new Promise<void>((resolve) => {
          this.#changed = resolve;
        }),
        new Promise((resolve) => setTimeout(resolve, 1000).unref()),
      ]);
    }
    return this.numbers;
  }

  async stop(): Promise<void> {
    await this.source.stop();
    await this.#reading;
  }

  async #read(): Promise<void> {
    for await (const chunk of this.source.chunks()) {
      for (const [index, { bytes }] of framesOf(chunk).entries()) {
        const number = bytes.readUInt32BE(FRAME_BYTES - 4);
        const { name = "", sensor } = chunk.interfaces[chunk.interfaceOf?.[index] ?? 0] ?? {};
        assert.equal(sensor, "probe");
        this.numbers.push(number);
        if (!this.byInterface.has(name)) this.byInterface.set(name, []);
        this.byInterface.get(name)?.push(number);
      }
      this.#changed();
    }
  }
}

test("each sender is an interface of its own, whatever it sends", LIMIT, async () => {
  const listening = (await Listening.open()).read();
  const [plain, again, pcapng] = await Promise.all(range(0, 3).map(() => listening.connect()));
  assert.ok(plain && again && pcapng);
  plain.write(captureOf(0, 50));
  const builder = new PcapngBuilder()
    .section()
    .interface({ name: "eth0" })
    .interface({ name: "eth1" });
  pcapng.write(
    builder.enhancedPacket(0, 1n, numbered(200)).enhancedPacket(1, 2n, numbered(300)).file,
  );
  await listening.has(52);
  // Two captures, one behind the other, the sender's end behind them.
  again.end(Buffer.concat([captureOf(100, 110), captureOf(110, 120)]));
  plain.write(captureOf(50, 60).subarray(24));
  await listening.has(82);
  await listening.logger.says(new RegExp(`Sender ${again.name} has ended after 20 frame`));
  assert.equal(listening.source.hasSeveralInterfaces, true);
  assert.deepEqual(
    listening.byInterface,
    new Map<string, number[]>([
      [`TCP@${plain.name}`, range(0, 60)],
      [`TCP@${again.name}`, range(100, 120)],
      [`eth0@${pcapng.name}`, [200]],
      [`eth1@${pcapng.name}`, [300]],
    ]),
  );
  assert.equal(listening.source.counters().received, 82);
  await Promise.all([once(plain, "close"), once(pcapng, "close"), listening.stop()]);
  assert.equal(listening.source.counters().torn, 0);
  assert.deepEqual(listening.logger.warnings, []);
});

test("what is no capture costs its sender the connection, and nobody else", LIMIT, async () => {
  const listening = (await Listening.open()).read();
  const good = await listening.connect();
  good.write(captureOf(0, 5));
  await listening.has(5);
  const garbage = await listening.connect();
  garbage.write("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  await once(garbage, "close");
  const damaged = await listening.connect();
  const capture = captureOf(5, 8);
  capture.writeUInt32LE(0xffff_ffff, 24 + 116 + 8);
  damaged.write(capture);
  await once(damaged, "close");
  good.write(captureOf(10, 15).subarray(24));
  assert.deepEqual(await listening.has(11), [...range(0, 6), ...range(10, 15)]);
  assert.equal(listening.logger.warnings.length, 2);
  const [first = "", second = ""] = listening.logger.warnings;
  assert.match(
    first,
    new RegExp(`^Sender ${garbage.name} is given up after 0 frame.*not a capture`),
  );
  assert.match(
    second,
    new RegExp(`^Sender ${damaged.name} is given up after 1 frame.* damaged at by`),
  );
  await listening.stop();
});

test("a sender that ends in the middle of a frame has torn it", LIMIT, async () => {
  const listening = (await Listening.open()).read();
  const cut = await listening.connect();
  cut.end(captureOf(0, 3).subarray(0, -10));
  await listening.logger.says(/is given up after 2 frame\(s\): .* in the middle of frame 3/);
  assert.equal(listening.source.counters().torn, 1);
  const reset = await listening.connect();
  reset.write(captureOf(10, 13).subarray(0, -10));
  await listening.has(4);
  reset.resetAndDestroy();
  await listening.logger.says(
    new RegExp(`Sender ${reset.name} is given up after 2 frame.*: connection reset`),
  );
  assert.deepEqual(listening.numbers, [0, 1, 10, 11]);
  await listening.stop();
});

test("more senders than may be are turned away, which is said once", LIMIT, async () => {
  const listening = (await Listening.open(2)).read();
  const [first, second] = [await listening.connect(), await listening.connect()];
  await listening.logger.says(/is connected, 2 of at most 2/);
  const turnedAway = [await listening.connect(), await listening.connect()];
  for (const socket of turnedAway) if (!socket.closed) await once(socket, "close");
  await listening.logger.says(/A sender is turned away: 2 are connected \(--max-senders\)/);
  assert.equal(listening.logger.warnings.length, 1);
  first.end(captureOf(0, 2));
  await listening.logger.says(/has ended after 2 frame/);
  // Its place is free when its connection is closed, which takes a moment.
  let third: Socket;
  do {
    third = await listening.connect();
    await Promise.race([once(third, "close"), listening.logger.says(/is connected/, 3)]);
  } while (third.closed);
  third.write(captureOf(2, 4));
  second.write(captureOf(4, 6));
  await listening.has(6);
  await listening.stop();
});

test("frames that nobody takes stay with their senders", LIMIT, async () => {
  const listening = await Listening.open();
  const FRAMES = 3000;
  const capture = captureOf(0, FRAMES, 20_000);
  const senders = await Promise.all(range(0, 2).map(() => listening.connect()));
  const sent = senders.map(
    (socket) => new Promise<void>((resolve) => socket.write(capture, () => resolve())),
  );
  await listening.logger.says(/is connected, 2 of at most 32/);
  let untaken = -1;
  // Until the system has taken all that it takes.
  for (let taken = 0; taken !== untaken;) {
    untaken = taken;
    await new Promise((resolve) => setTimeout(resolve, 500));
    taken = senders.reduce(
      (sum, { bytesWritten, writableLength }) => sum + bytesWritten - writableLength,
      0,
    );
  }
  assert.ok(
    senders.every(({ writableLength }) => writableLength > 0),
    "everything was taken",
  );
  listening.read();
  await Promise.all(sent);
  await listening.has(2 * FRAMES);
  assert.equal(listening.source.counters().received, 2 * FRAMES);
  await listening.stop();
});

test("stop() ends what waits, and a port that is taken is an error", LIMIT, async () => {
  const listening = (await Listening.open()).read();
  const silent = await listening.connect();
  await listening.logger.says(/is connected/);
  const { port } = listening.source;
  const logger = new NotingLogger();
  await assert.rejects(
    openListenSource({ address: { host: "127.0.0.1", port }, maxSenders: 1, sensor: "", logger }),
    { code: "LISTEN_FAILED", message: /another program listens there; .* --read-listen HOST:PORT/ },
  );
  const closed = once(silent, "close");
  await listening.stop();
  await listening.source.stop();
  await closed;
  assert.deepEqual(listening.logger.warnings, []);
});
