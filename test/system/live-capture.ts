import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { LiveSource, LiveSourceOptions } from "../../src/capture/live-source.ts";
import type { Logger } from "../../src/logger.ts";
import type { FrameChunk } from "../../src/packet/frame-chunk.ts";
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

const opened: LiveSource[] = [];

/** Has a source stopped by {@link stopOpened}, should its test fail: nobody reads it then. */
export async function stoppedAtLast(opening: Promise<LiveSource>): Promise<LiveSource> {
  const source = await opening;
  opened.push(source);
  return source;
}

/** Stops what {@link stoppedAtLast} was given. */
export async function stopOpened(): Promise<void> {
  await Promise.all(opened.map((source) => source.stop()));
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

/**
 * Starts to read a source, and resolves when the kernel captures for it.
 *
 * @param log what an engine `cap` was opened with
 */
export async function startReading(source: LiveSource, log = keepLog()): Promise<Reading> {
  const frames: ReadFrame[] = [];
  let wanted = Infinity;
  const reading = (async () => {
    for await (const chunk of source.chunks()) {
      frames.push(...copyFrames(chunk));
      if (frames.length >= wanted) void source.stop();
    }
  })();
  // Whoever waits for it meets the error.
  reading.catch(() => {});
  if (source.engine === "cap") await capCaptures(log);
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

/** The frames of a chunk; it may be used again afterwards. */
export function copyFrames(chunk: FrameChunk): ReadFrame[] {
  const read = framesOf(chunk);
  assert.equal(read.length, chunk.frameCount);
  return read.map((frame) => ({ ...frame, bytes: Buffer.from(frame.bytes) }));
}

/** A logger that keeps its lines, by level. */
export interface KeptLog extends Logger {
  readonly lines: Record<"debug" | "info" | "warn" | "error", string[]>;
}

/** Makes a logger that keeps what it is told. */
export function keepLog(): KeptLog {
  const lines: KeptLog["lines"] = { debug: [], info: [], warn: [], error: [] };
  return {
    lines,
    debug: (line) => void lines.debug.push(line),
    info: (line) => void lines.info.push(line),
    warn: (line) => void lines.warn.push(line),
    error: (line) => void lines.error.push(line),
    isDebugEnabled: () => true,
  };
}

/** Waits until engine cap has said so often that it captures: once, and once for each change of its filter. */
export async function capCaptures(log: KeptLog, times = 1): Promise<void> {
  await waitUntil(
    () => log.lines.debug.filter((line) => line.startsWith("Engine cap captures")).length >= times,
  );
}

/** A destination that frames of this process alone have, for captures that see those of other tests, too. */
export const OWN_ADDRESS = `198.18.${(process.pid >> 8) & 255}.${process.pid & 255}`;

/** Gives an Ethernet frame with IPv4 {@link OWN_ADDRESS} as its destination. */
export function toOwnAddress({ bytes }: { bytes: Buffer }): { bytes: Buffer } {
  const copy = Buffer.from(bytes);
  for (const [n, part] of OWN_ADDRESS.split(".").entries()) copy[30 + n] = Number(part);
  return { bytes: copy };
}

/** Waits for what a test expects; the test's time limit ends it otherwise. */
export async function waitUntil(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(5);
}

/** When a frame was captured, in microseconds since the epoch; a double holds it exactly. */
export function captureTimeUs({ seconds, nanoseconds }: ReadFrame): number {
  return seconds * 1_000_000 + nanoseconds / 1000;
}
