import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ByteSource } from "../../src/capture-file/byte-source.ts";
import { CaptureBytes } from "../../src/capture-file/capture-bytes.ts";
import { ReadAhead } from "../../src/capture-file/read-ahead.ts";

const MEGABYTE = 1024 * 1024;

/** A file whose bytes tell where they stand. */
function patternedFile(length: number): Buffer {
  const file = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) file.writeUInt32LE(at, at);
  return file;
}

/** Gives at most so many bytes at a time, a while later, as a file does. */
function sourceOf(file: Buffer, pieceBytes: number, failAt = Infinity): ByteSource {
  let at = 0;
  return {
    async readInto(target) {
      await new Promise((resolve) => setImmediate(resolve));
      if (at >= failAt) throw new Error("input/output error");
      const length = Math.min(target.length, pieceBytes, file.length - at);
      file.copy(target, 0, at, at + length);
      at += length;
      return length;
    },
    close: () => Promise.resolve(),
  };
}

test("every byte comes once and in place, however much of the memory is kept", async () => {
  const file = patternedFile(9 * MEGABYTE + 3);
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(100_000, 700_000, MEGABYTE),
      fc.array(fc.record({ share: fc.constantFrom(0, 0.3, 0.9, 1), reads: fc.boolean() }), {
        minLength: 5,
        maxLength: 20,
      }),
      async (pieceBytes, steps) => {
        const ahead = new ReadAhead(new CaptureBytes(sourceOf(file, pieceBytes), "x"), 0);
        let step = 0;
        while (await ahead.next()) {
          const { share, reads } = steps[step++ % steps.length]!;
          if (reads) ahead.begin();
          const { memory, view, start, end, position, endPosition } = ahead;
          assert.ok(memory.subarray(start, end).equals(file.subarray(position, endPosition)));
          assert.equal(view.getUint8(start), file[position]);
          // What is done with may be changed while the next read is under way.
          const done = start + Math.floor((end - start) * share);
          memory.fill(0xee, start, done);
          ahead.drop(done);
        }
        assert.equal(ahead.endPosition, file.length);
        assert.ok(
          file.subarray(ahead.position).equals(ahead.memory.subarray(ahead.start, ahead.end)),
        );
      },
    ),
    { numRuns: 25 },
  );
});

test("a read that fails is told when the bytes before it are done with, or not at all", async () => {
  const file = patternedFile(3 * MEGABYTE);
  const ahead = new ReadAhead(new CaptureBytes(sourceOf(file, MEGABYTE, 2 * MEGABYTE), "x"), 0);
  for (const expected of [MEGABYTE, 2 * MEGABYTE]) {
    assert.ok(await ahead.next());
    ahead.begin();
    assert.equal(ahead.endPosition, expected);
    ahead.drop(ahead.end);
  }
  // Long enough for a failure that nobody waits for to end the process.
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  await assert.rejects(ahead.next(), /Cannot read "x": input\/output error/);
});
