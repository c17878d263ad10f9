import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { LiveSource } from "../../src/capture/live-source.ts";
import { mergeLiveSources } from "../../src/capture/several-sources.ts";
import type { FrameChunk } from "../../src/packet/frame-chunk.ts";

/** Several interfaces at work are in test/system; here is what takes them hours to show. */

/** An interface with so many chunks, after which it is silent until it is stopped. */
function makeSource(name: string, chunkCount: number): LiveSource & { isStopped: boolean } {
  let end = (): void => {};
  const interfaces = [{ sensor: "probe", name, linkType: 1, snapLengthBytes: 64 }];
  const bytes = Buffer.alloc(16);
  return {
    kind: "live",
    engine: "libpcap",
    name,
    description: "",
    interfaces,
    isStopped: false,
    async *chunks(): AsyncGenerator<FrameChunk, void, void> {
      for (let n = 0; n < chunkCount && !this.isStopped; n++) {
        yield { bytes, frameCount: 1, bigEndian: false, nanosecond: false, interfaces };
      }
      if (this.isStopped) return;
      await new Promise<void>((resolve) => {
        end = resolve;
      });
    },
    counters: () => ({ received: 0, droppedByKernel: 0, droppedByInterface: 0, filtered: 0 }),
    exclude: async () => true,
    async stop() {
      this.isStopped = true;
      end();
    },
  };
}

// Promise.race() over the next chunk of each left something on the silent one's promise every time.
test("a silent interface beside a busy one costs no memory for each chunk", async () => {
  const CHUNKS = 100_000;
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  const merged = mergeLiveSources([makeSource("silent", 0), makeSource("busy", CHUNKS)]);
  gc();
  const before = process.memoryUsage().heapUsed;
  let taken = 0;
  for await (const { frameCount } of merged.chunks()) {
    taken += frameCount;
    if (taken < CHUNKS) continue;
    gc();
    const grown = process.memoryUsage().heapUsed - before;
    assert.ok(grown < 20 * CHUNKS, `${grown} bytes for ${CHUNKS} chunks`);
    await merged.stop();
  }
  assert.equal(taken, CHUNKS);
});

test("interfaces that are all busy take turns", async () => {
  const merged = mergeLiveSources([1, 2, 3].map((n) => makeSource(`eth${n}`, 100)));
  const counts = new Map<string, number>();
  for await (const chunk of merged.chunks()) {
    const { name } = chunk.interfaces[0]!;
    counts.set(name, (counts.get(name) ?? 0) + 1);
    const all = [...counts.values()];
    if (all.length === 3) assert.ok(Math.max(...all) - Math.min(...all) <= 1, String(all));
    if (all.reduce((sum, count) => sum + count, 0) === 300) await merged.stop();
  }
  assert.deepEqual([...counts.values()], [100, 100, 100]);
});
