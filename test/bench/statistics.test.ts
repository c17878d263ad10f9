import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { inTurn, spreadOf } from "../../bench/statistics.ts";

test("spreadOf() takes the middle, or the mean of the two middle ones", () => {
  assert.deepEqual(spreadOf([3, 1, 2]), { median: 2, least: 1, most: 3 });
  assert.deepEqual(spreadOf([4, 1, 2, 10]), { median: 3, least: 1, most: 10 });
  assert.deepEqual(spreadOf([7]), { median: 7, least: 7, most: 7 });
  assert.throws(() => spreadOf([]), RangeError);
});

test("inTurn() runs each once a round, lets each begin, and turns the order every other round", () => {
  assert.deepEqual(inTurn(["a", "b", "c"], 1), ["a", "b", "c"]);
  assert.deepEqual(inTurn(["a", "b", "c"], 2), ["a", "c", "b"]);
  assert.deepEqual(inTurn(["a", "b", "c"], 3), ["c", "a", "b"]);
  assert.deepEqual(inTurn([], 4), []);
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer()), fc.integer({ min: 1, max: 50 }), (items, round) => {
      const turned = inTurn(items, round);
      assert.equal(turned.length, items.length);
      assert.deepEqual(new Set(turned), new Set(items));
    }),
  );
});
