import assert from "node:assert/strict";
import { test } from "node:test";
import type { FrameSource } from "../../src/capture/frame-source.ts";
import { paceSource, type ReplayClock } from "../../src/capture/paced-source.ts";
import { ReplayTimeline, type ReplayPace } from "../../src/capture/replay-timeline.ts";
import { type Logger, silentLogger } from "../../src/logger.ts";
import type { FrameChunk } from "../../src/packet/frame-chunk.ts";
import { buildChunk, framesOf } from "../fixtures/generate.ts";

/** A clock that stands still but for sleep, which is a little late. */
class TestClock implements ReplayClock {
  now = 1000;
  nowMs(): number {
    return this.now;
  }
  async sleep(ms: number): Promise<void> {
    this.now += ms + 0.25;
  }
}

/** A logger that keeps what it is told. */
function keepLines(): { readonly lines: string[]; readonly logger: Logger } {
  const lines: string[] = [];
  const logger: Logger = {
    ...silentLogger,
    info: (line) => void lines.push(`INFO ${line}`),
    warn: (line) => void lines.push(`WARN ${line}`),
  };
  return { lines, logger };
}

function sourceOf(...chunks: readonly FrameChunk[]): FrameSource & { isStopped: boolean } {
  return {
    kind: "file",
    name: "test.pcap",
    interfaces: chunks[0]?.interfaces ?? [],
    isStopped: false,
    async *chunks() {
      for (const chunk of chunks) {
        if (this.isStopped) return;
        yield chunk;
      }
    },
    counters: () => ({
      received: undefined,
      droppedByKernel: undefined,
      droppedByInterface: undefined,
      filtered: 3,
    }),
    async stop() {
      this.isStopped = true;
    },
  };
}

/** Frames of different lengths, so many ms apart. */
function frames(count: number, apartMs: number, bigEndian = false): FrameChunk {
  return buildChunk({
    bigEndian,
    nanosecond: bigEndian,
    frames: Array.from({ length: count }, (_, n) => ({
      bytes: Buffer.alloc(n % 50, n),
      seconds: 1_700_000_000 + Math.floor((n * apartMs) / 1000),
      nanoseconds: ((n * apartMs) % 1000) * 1e6,
    })),
  });
}

function pace(source: FrameSource, wanted: ReplayPace, clock: ReplayClock, logger = silentLogger) {
  return paceSource(source, new ReplayTimeline(wanted), logger, clock);
}

test("frames come as they are, in views of the chunks they were in, when they are due", async () => {
  const clock = new TestClock();
  const chunks = [frames(700, 20), frames(0, 1), frames(300, 20, true)];
  const paced = pace(sourceOf(...chunks), { unit: "pps", value: 1000 }, clock);
  assert.equal(paced.kind, "file");
  assert.equal(paced.name, "test.pcap");
  assert.deepEqual(paced.interfaces, chunks[0]!.interfaces);
  assert.equal(paced.counters().filtered, 3);
  const seen: ReturnType<typeof framesOf> = [];
  for await (const chunk of paced.chunks()) {
    assert.ok(chunks.some(({ bytes }) => bytes.buffer === chunk.bytes.buffer));
    for (const frame of framesOf(chunk)) {
      const lateMs = clock.now - 1000 - seen.length;
      assert.ok(lateMs >= 0 && lateMs < 2, `frame ${seen.length} is ${lateMs} ms late`);
      seen.push(frame);
    }
  }
  assert.deepEqual(seen, chunks.flatMap(framesOf));
});

test("each frame keeps its interface", async () => {
  const [ethernet] = frames(1, 0).interfaces;
  const chunk: FrameChunk = {
    ...frames(100, 1),
    interfaces: [ethernet!, { ...ethernet!, name: "other" }],
    interfaceOf: Uint16Array.from({ length: 100 }, (_, n) => n % 2),
  };
  const seen: number[] = [];
  const paced = pace(sourceOf(chunk), { unit: "multiplier", value: 1 }, new TestClock());
  for await (const { interfaceOf, frameCount } of paced.chunks()) {
    assert.equal(interfaceOf?.length, frameCount);
    seen.push(...interfaceOf);
  }
  assert.deepEqual(seen, [...chunk.interfaceOf!]);
});

test("frames are waited for as they were recorded", async () => {
  const clock = new TestClock();
  const paced = pace(sourceOf(frames(10, 5000)), { unit: "multiplier", value: 5 }, clock);
  const times: number[] = [];
  for await (const { frameCount } of paced.chunks()) {
    assert.equal(frameCount, 1);
    times.push(Math.floor(clock.now - 1000));
  }
  assert.deepEqual(
    times.map((ms) => ms - (ms % 10)),
    [0, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000],
  );
});

test("stop() ends a wait at once, and what was not due is not handed over", async () => {
  const { lines, logger } = keepLines();
  const clock: ReplayClock = {
    nowMs: () => 5,
    sleep: (_ms, signal) =>
      new Promise((resolve) => {
        signal.addEventListener("abort", () => resolve());
      }),
  };
  const source = sourceOf(frames(10, 1));
  const paced = pace(source, { unit: "pps", value: 0.000_001 }, clock, logger);
  let count = 0;
  for await (const { frameCount } of paced.chunks()) {
    count += frameCount;
    setImmediate(() => void paced.stop());
  }
  assert.equal(count, 1);
  assert.ok(source.isStopped);
  assert.deepEqual(lines, ["INFO Replay took 0.000 s"]);
});

test("the end says how fast it was, and warns when it was slower than asked for", async () => {
  const { lines, logger } = keepLines();
  const clock = new TestClock();
  const read = async (stallMs: number, wanted: ReplayPace): Promise<void> => {
    for await (const _ of pace(sourceOf(frames(1001, 10)), wanted, clock, logger).chunks()) {
      if (stallMs > 0) clock.now += stallMs;
      stallMs = 0;
    }
  };
  await read(0, { unit: "pps", value: 1000 });
  await read(0, { unit: "multiplier", value: 10 });
  await read(60_000, { unit: "mbps", value: 0.2 });
  const [pps = "", multiplier = "", mbps = ""] = lines;
  assert.match(
    pps,
    /^INFO Replay took 1\.00\d s: \d+(\.\d+)? frames\/s of 1000 asked for, at most [01] ms late$/,
  );
  assert.match(
    multiplier,
    /^INFO Replay took 1\.0\d\d s: [\d.]+ times the recorded speed of 10 asked for/,
  );
  assert.match(
    mbps,
    /^WARN Replay took 6\d\.\d+ s: 0\.0\d+ Mbit\/s of 0\.2 asked for, at most 6000\d ms late; .* did not keep up$/,
  );
});
