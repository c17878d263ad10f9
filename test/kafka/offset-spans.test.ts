import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  isInSpans,
  joinSpans,
  type OffsetSpan,
  spansBetween,
  subtractSpans,
} from "../../src/kafka/offset-spans.ts";

const arbitrarySpans = fc.array(
  fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 9 })).map(([from, length]) => ({
    from: BigInt(from),
    to: BigInt(from + length),
  })),
  { maxLength: 8 },
);

const offsetsOf = (spans: readonly OffsetSpan[]): number[] =>
  spans.flatMap(({ from, to }) =>
    Array.from({ length: Number(to - from) }, (_, n) => Number(from) + n),
  );

const sorted = (numbers: Iterable<number>): number[] => [...numbers].toSorted((a, b) => a - b);

test("joined spans hold each offset once, in order, with gaps between them", () => {
  fc.assert(
    fc.property(arbitrarySpans, fc.nat(70), (spans, behind) => {
      const joined = joinSpans(spans, BigInt(behind));
      assert.deepEqual(
        offsetsOf(joined),
        sorted(new Set(offsetsOf(spans))).filter((offset) => offset >= behind),
      );
      for (const [n, { from }] of joined.entries()) if (n > 0) assert.ok(from > joined[n - 1]!.to);
    }),
  );
});

test("subtracted spans leave the offsets that are in no hole", () => {
  fc.assert(
    fc.property(arbitrarySpans, arbitrarySpans, (spans, holes) => {
      const whole = joinSpans(spans, 0n);
      const out = new Set(offsetsOf(holes));
      assert.deepEqual(
        offsetsOf(subtractSpans(whole, joinSpans(holes, 0n))),
        offsetsOf(whole).filter((offset) => !out.has(offset)),
      );
    }),
  );
});

test("an offset is in spans when one of them has it, and spans between two offsets are those that have any of them", () => {
  fc.assert(
    fc.property(arbitrarySpans, fc.nat(70), fc.nat(10), (spans, first, more) => {
      const between = spansBetween(spans, BigInt(first), BigInt(first + more));
      for (let offset = first; offset <= first + more; offset++) {
        const isIn = offsetsOf(spans).includes(offset);
        assert.equal(isInSpans(spans, BigInt(offset)), isIn);
        assert.equal(isInSpans(between ?? [], BigInt(offset)), isIn);
      }
    }),
  );
});
