import assert from "node:assert/strict";
import { test } from "node:test";
import type { LiveSource } from "../../src/capture/live-source.ts";
import { WatchedSource } from "../../src/capture/watched-source.ts";
import type { FrameChunk } from "../../src/packet/frame-chunk.ts";

/* When an interface counts as stalled; test/system/stalled-engine.test.ts stalls real engines. */

/** An interface whose counters and chunks a test decides on. */
class SteeredSource implements LiveSource {
  readonly kind = "live";
  readonly engine = "libpcap";
  readonly name = "eth0";
  readonly description = "";
  readonly interfaces = [];
  received: number | undefined = 0;
  filtered = 0;
  silent: number | undefined;
  give = (): void => {};

  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    for (;;) {
      await new Promise<void>((resolve) => {
        this.give = resolve;
      });
      const bytes = Buffer.alloc(0);
      yield { bytes, frameCount: 0, bigEndian: false, nanosecond: false, interfaces: [] };
    }
  }

  counters(): ReturnType<LiveSource["counters"]> {
    const { received, filtered } = this;
    return { received, filtered, droppedByKernel: undefined, droppedByInterface: undefined };
  }

  silentMs(): number {
    return this.silent ?? 0;
  }

  exclude(): Promise<boolean> {
    return Promise.resolve(true);
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }
}

function watch(): {
  source: SteeredSource;
  chunks: AsyncIterator<FrameChunk>;
  stallAt: (ms: number) => string | undefined;
} {
  const source = new SteeredSource();
  let nowMs = 0;
  const watched = new WatchedSource(source, () => nowMs);
  return {
    source,
    chunks: watched.chunks()[Symbol.asyncIterator](),
    stallAt: (ms) => {
      nowMs = ms;
      return watched.stallOf(1000);
    },
  };
}

test("frames that come in for longer than the limit, and none out, are a stall", () => {
  const { source, chunks, stallAt } = watch();
  void chunks.next();
  assert.equal(stallAt(0), undefined);
  source.received = 5;
  assert.equal(stallAt(500), undefined);
  source.received = 8;
  assert.equal(stallAt(1500), undefined);
  assert.equal(
    stallAt(1501),
    'interface "eth0": the kernel received 8 frame(s) in the last 1 s, and the capture engine handed none over',
  );
});

test("silence on the wire is no stall, however long", () => {
  const { chunks, stallAt } = watch();
  void chunks.next();
  for (let ms = 0; ms < 1e7; ms += 1e6) assert.equal(stallAt(ms), undefined);
});

test("what the engine itself leaves out is a sign of life", () => {
  const { source, chunks, stallAt } = watch();
  void chunks.next();
  for (let ms = 0; ms < 10_000; ms += 500) {
    source.received = ms;
    source.filtered = ms;
    assert.equal(stallAt(ms), undefined);
  }
});

test("a source that nobody asks for frames, because Kafka is away, does not stall", async () => {
  const { source, chunks, stallAt } = watch();
  const asked = chunks.next();
  await Promise.resolve();
  source.give();
  await asked;
  source.received = 1_000_000;
  source.silent = 60_000;
  assert.equal(stallAt(0), undefined);
  assert.equal(stallAt(60_000), undefined);
  // It is asked again: what happened meanwhile is not held against it.
  void chunks.next();
  assert.equal(stallAt(60_001), undefined);
});

test("a capture process that is silent while it is asked is a stall, without any counter", () => {
  const { source, chunks, stallAt } = watch();
  source.received = undefined;
  void chunks.next();
  source.silent = 900;
  assert.equal(stallAt(900), undefined);
  source.silent = 1200;
  assert.equal(stallAt(1200), 'interface "eth0": its capture process has been silent for 1 s');
});
