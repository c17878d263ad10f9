import assert from "node:assert/strict";
import { test } from "node:test";
import { BatchMemory } from "../../src/kafka/batch-memory.ts";

const MIB = 1024 * 1024;

test("buffers are lent up to the bound, the last that came back first, and never overlap", () => {
  const memory = new BatchMemory(100, 1000, 1000);
  const lent = Array.from({ length: 10 }, () => memory.lend(1)!);
  assert.equal(memory.lend(1), undefined);
  assert.equal(memory.lentBytes, 1000);
  for (const [index, buffer] of lent.entries()) buffer.fill(index);
  for (const [index, buffer] of lent.entries()) assert.ok(buffer.every((byte) => byte === index));
  memory.giveBack(lent[3]!);
  memory.giveBack(lent[7]!);
  assert.equal(memory.lend(1), lent[7]);
  assert.equal(memory.lend(1), lent[3]);
});

test("a record larger than a buffer has one of its own, if nothing else is lent whatever the bound", () => {
  const memory = new BatchMemory(100, 1000, 1000);
  const large = memory.lend(5000)!;
  assert.equal(large.length, 5000);
  assert.equal(memory.lend(1), undefined);
  memory.giveBack(large);
  assert.equal(memory.lentBytes, 0);
});

test("what is staged stays clear of every buffer", () => {
  const memory = new BatchMemory(100, 1000, 1000);
  const buffer = memory.lend(1)!.fill(7);
  const chunk = Buffer.alloc(2 * MIB, 1);
  assert.ok(memory.stage(chunk));
  assert.ok(memory.arena.subarray(0, chunk.length).equals(chunk));
  assert.ok(buffer.every((byte) => byte === 7));
  assert.equal(memory.stage(Buffer.alloc(2 * MIB + 1)), false);
  assert.equal(new BatchMemory(100, 1000, 0).stage(Buffer.alloc(1)), false);
});

test("buffers behind the end of the arena have memory of their own", () => {
  const memory = new BatchMemory(64 * MIB, 192 * MIB, 192 * MIB);
  const lent = [memory.lend(1)!, memory.lend(1)!, memory.lend(1)!];
  assert.deepEqual(
    lent.map((buffer) => buffer.buffer === memory.arena.buffer),
    [true, true, false],
  );
  for (const buffer of lent) memory.giveBack(buffer);
  assert.equal(memory.lentBytes, 0);
});
