import assert from "node:assert/strict";
import { test } from "node:test";
import { furthest, ReadProgress } from "../../src/pipeline/read-progress.ts";
import type { ReadChunk } from "../../src/pipeline/read-chunk.ts";
import { buildChunk } from "../fixtures/generate.ts";

function chunkOf(frameCount: number, positions: Readonly<Record<number, bigint>>): ReadChunk {
  const frames = Array.from({ length: frameCount }, () => ({ bytes: Buffer.alloc(100) }));
  const entries = Object.entries(positions).map(([partition, next]) => [+partition, next] as const);
  return { ...buildChunk({ frames }), partition: 0, positions: new Map(entries) };
}

test("ReadProgress tells how much of all partitions together was read", () => {
  const progress = new ReadProgress(
    new Map([
      [0, 100n],
      [1, 0n],
    ]),
  );
  const ends = [200n, 300n];
  const share = (): number | undefined =>
    progress.share((partition, position) => ({
      isFinished: position >= ends[partition]!,
      end: ends[partition],
    }));
  assert.equal(share(), 0);
  progress.note(chunkOf(40, { 0: 140n }));
  assert.equal(share(), 0.1);
  progress.note(chunkOf(260, { 0: 200n, 1: 200n }));
  assert.equal(share(), 0.75);
  progress.note(chunkOf(0, { 1: 300n }));
  assert.equal(share(), 1);
  assert.equal(progress.bytes, 300 * 100);
});

test("ReadProgress counts what comes to its end early as done, and knows no share without an end", () => {
  const progress = new ReadProgress(
    new Map([
      [0, 0n],
      [1, 0n],
    ]),
  );
  progress.note(chunkOf(10, { 0: 10n, 1: 10n }));
  const isFinished = (partition: number): boolean => partition === 0;
  assert.equal(
    progress.share((partition) => ({ isFinished: isFinished(partition), end: 40n })),
    0.4,
  );
  assert.equal(
    progress.share((partition) => ({ isFinished: isFinished(partition), end: undefined })),
    undefined,
  );
  assert.equal(
    new ReadProgress(new Map()).share(() => ({ isFinished: true, end: 0n })),
    1,
  );
});

test("furthest() takes what ends first", () => {
  assert.equal(furthest(undefined, 0.5, 0.7, undefined), 0.7);
  assert.equal(furthest(undefined), undefined);
  assert.equal(furthest(1.5), 1);
});
