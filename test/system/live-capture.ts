import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { LiveSource, LiveSourceOptions } from "../../src/capture/live-source.ts";
import { framesOf, type ReadFrame } from "../fixtures/generate.ts";

/** What an interface is opened with unless a test says otherwise. */
export function liveOptions(
  interfaceName: string,
  options: Partial<LiveSourceOptions> = {},
): LiveSourceOptions {
  return {
    interfaceName,
    sensor: "probe",
    snapLengthBytes: 262_144,
    bufferBytes: 64 * 1024 * 1024,
    filter: "",
    promiscuous: true,
    immediate: false,
    nanosecond: false,
    linkType: undefined,
    timeStampType: undefined,
    processUser: undefined,
    ...options,
  };
}

/** A capture that is being read. */
export interface Reading {
  /** What came so far; bytes are copies. */
  readonly frames: readonly ReadFrame[];
  /** Rejects as `chunks()` does; resolves when it ends. */
  readonly ended: Promise<void>;
  /** Waits until that many frames came, then stops the source and reads the rest. */
  stopAfter(wanted: number): Promise<readonly ReadFrame[]>;
}

/** Starts to read a source, and resolves when the kernel captures for it. */
export async function startReading(source: LiveSource): Promise<Reading> {
  const frames: ReadFrame[] = [];
  let wanted = Infinity;
  const reading = (async () => {
    for await (const chunk of source.chunks()) {
      const read = framesOf(chunk);
      assert.equal(read.length, chunk.frameCount);
      frames.push(...read.map((frame) => ({ ...frame, bytes: Buffer.from(frame.bytes) })));
      if (frames.length >= wanted) void source.stop();
    }
  })();
  // Whoever waits for it meets the error.
  reading.catch(() => {});
  if (source.engine === "cap") await hasSocket(source.name);
  return {
    frames,
    ended: reading,
    async stopAfter(count) {
      wanted = count;
      if (frames.length >= wanted) await source.stop();
      await reading;
      return frames;
    },
  };
}

/** Waits until some packet socket is bound to the interface, which says that a process captures from it. */
async function hasSocket(interfaceName: string): Promise<void> {
  const index =
    interfaceName === "any"
      ? "0"
      : (await readFile(`/sys/class/net/${interfaceName}/ifindex`, "ascii")).trim();
  for (;;) {
    const sockets = (await readFile("/proc/net/packet", "ascii")).trim().split("\n").slice(1);
    if (sockets.some((line) => line.trim().split(/\s+/)[4] === index)) return;
    await sleep(5);
  }
}

/** When a frame was captured, in microseconds since the epoch; a double holds it exactly. */
export function captureTimeUs({ seconds, nanoseconds }: ReadFrame): number {
  return seconds * 1_000_000 + nanoseconds / 1000;
}
