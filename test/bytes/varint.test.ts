import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteRangeError, ByteReader } from "../../src/bytes/byte-reader.ts";
import { sizeOfVarint, writeVarint } from "../../src/bytes/varint.ts";

const values = fc.oneof(
  fc.integer(),
  fc.integer({ min: -(2 ** 51), max: 2 ** 51 }),
  fc.constantFrom(0, -1, 63, 64, -64, -65, 8191, 8192, 1_048_575, 1_048_576, 2 ** 31, -(2 ** 31)),
);

/** Zigzag and seven bits a byte, in BigInt arithmetic: slow and plain. */
function referenceVarint(value: number): number[] {
  let rest = value < 0 ? -2n * BigInt(value) - 1n : 2n * BigInt(value);
  const bytes: number[] = [];
  for (; rest >= 128n; rest /= 128n) bytes.push(Number(rest % 128n) | 0x80);
  return [...bytes, Number(rest)];
}

test("writeVarint() writes what BigInt arithmetic gives, and sizeOfVarint() knows its length", () => {
  fc.assert(
    fc.property(values, (value) => {
      const target = new Uint8Array(10);
      const end = writeVarint(target, 0, value);
      assert.deepEqual([...target.subarray(0, end)], referenceVarint(value));
      assert.equal(sizeOfVarint(value), end);
    }),
  );
});

test("readVarint() gives back what was written, whether or not something follows", () => {
  fc.assert(
    fc.property(values, fc.integer({ min: 0, max: 3 }), fc.nat(0xff), (value, more, next) => {
      const target = Buffer.alloc(13, next);
      const end = writeVarint(target, 0, value);
      const reader = new ByteReader(target, 0, end + more);
      assert.equal(reader.readVarint(), value);
      assert.equal(reader.offset, end);
    }),
  );
});

test("readVarint() throws when the bytes end before the number, or the number does not end", () => {
  assert.throws(() => new ByteReader(Buffer.from([0x80])).readVarint(), ByteRangeError);
  assert.throws(() => new ByteReader(Buffer.alloc(11, 0xff)).readVarint(), ByteRangeError);
});

test("skip() refuses a negative count and one that leads behind the end", () => {
  const reader = new ByteReader(Buffer.alloc(4));
  assert.throws(() => reader.skip(-1), ByteRangeError);
  assert.throws(() => reader.skip(5), ByteRangeError);
  assert.equal(reader.skip(4), 0);
});
