import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import Long from "long";
import {
  decodeKey,
  encodeKey,
  readCaptureKey,
  writeCaptureKey,
} from "../../src/packet/capture-time.ts";

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const anyKey = fc.uint8Array({ minLength: 8, maxLength: 8 });

test("encodeKey() gives the bytes that Pycapa gives", () => {
  const key = encodeKey(Long.fromString("1700000000123459", true));
  assert.equal(key.toString("hex"), "00060a2418202243");
});

test("encodeKey() and decodeKey() are inverse over all 64 bits", () => {
  fc.assert(
    fc.property(anyKey, (bytes) => {
      const time = decodeKey(bytes);
      assert.equal(time.unsigned, true);
      assert.deepEqual(encodeKey(time), Buffer.from(bytes));
    }),
  );
});

test("encodeKey() refuses a time before the epoch", () => {
  assert.throws(() => encodeKey(Long.fromNumber(-1)), /-1 us: it is before 1970/);
});

test("decodeKey() refuses keys of any other length", () => {
  for (const length of [0, 3, 7, 9, 10]) {
    assert.throws(() => decodeKey(Buffer.alloc(length)), {
      name: "RangeError",
      message: `Cannot read a capture time from a key of ${length} bytes: expected 8`,
    });
  }
});

test("writeCaptureKey() equals encodeKey() for every time a frame header holds", () => {
  fc.assert(
    fc.property(u32, u32, fc.nat(5), (seconds, microseconds, offset) => {
      const target = Buffer.alloc(8 + 5, 0xee);
      writeCaptureKey(target, offset, seconds, microseconds);
      const expected = Long.fromNumber(seconds, true).mul(1_000_000).add(microseconds);
      assert.deepEqual(target.subarray(offset, offset + 8), encodeKey(expected));
      assert.ok(target.subarray(0, offset).every((byte) => byte === 0xee));
      assert.ok(target.subarray(offset + 8).every((byte) => byte === 0xee));
    }),
    { examples: [[0xffff_ffff, 0xffff_ffff, 0]] },
  );
});

test("readCaptureKey() is exact up to 2^53 - 1 and says -1 beyond", () => {
  const edges = ["1fffffffffffff", "20000000000000", "0", "ffffffffffffffff", "100000000"].map(
    (digits): [Uint8Array] => [Buffer.from(digits.padStart(16, "0"), "hex")],
  );
  fc.assert(
    fc.property(fc.oneof(anyKey, anyKey.map(below2Pow54)), (key) => {
      const exact = BigInt(decodeKey(key).toString());
      const expected = exact <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(exact) : -1;
      assert.equal(readCaptureKey(key, 0), expected);
    }),
    { examples: edges },
  );
});

function below2Pow54(key: Uint8Array): Uint8Array {
  key[0] = 0;
  key[1]! &= 0x3f;
  return key;
}
