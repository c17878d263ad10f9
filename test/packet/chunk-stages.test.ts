import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  cutFrames,
  keepFrames,
  keepLinkType,
  takeFrames,
  toLittleEndian,
} from "../../src/packet/chunk-stages.ts";
import { FRAME_HEADER_BYTES, type FrameChunk } from "../../src/packet/frame-chunk.ts";
import { arbitraryFrames, buildChunk, framesOf, type TestFrame } from "../fixtures/generate.ts";

const anyChunk = fc
  .tuple(arbitraryFrames(), fc.boolean(), fc.boolean())
  .map(([frames, bigEndian, nanosecond]) => ({
    frames,
    chunk: buildChunk({ frames, bigEndian, nanosecond }),
  }));

test("takeFrames() keeps the first frames as a view", () => {
  fc.assert(
    fc.property(anyChunk, fc.nat(12), ({ frames, chunk }, count) => {
      const taken = takeFrames(chunk, count);
      assert.deepEqual(framesOf(taken), framesOf(chunk).slice(0, count));
      assert.equal(taken.bytes.buffer, chunk.bytes.buffer);
      if (count >= frames.length) assert.equal(taken, chunk);
    }),
  );
});

test("takeFrames() takes the interface column along", () => {
  const chunk = twoInterfaces();
  assert.deepEqual([...takeFrames(chunk, 2).interfaceOf!], [0, 1]);
});

test("cutFrames() cuts captured bytes and keeps times and wire lengths", () => {
  fc.assert(
    fc.property(anyChunk, fc.integer({ min: 1, max: 80 }), ({ chunk }, snapLengthBytes) => {
      const before = Buffer.from(chunk.bytes);
      const cut = cutFrames(chunk, snapLengthBytes);
      const expected = framesOf(chunk).map((frame) => ({
        ...frame,
        bytes: frame.bytes.subarray(0, snapLengthBytes),
      }));
      assert.deepEqual(framesOf(cut), expected);
      assert.equal(cut.interfaces[0]!.snapLengthBytes, snapLengthBytes);
      assert.deepEqual(chunk.bytes, before, "the chunk it was given is as it was");
    }),
  );
});

test("cutFrames() hands back the chunk when nothing is longer", () => {
  const chunk = buildChunk({ frames: [{ bytes: Buffer.alloc(60) }] });
  assert.equal(cutFrames(chunk, 262_144), chunk);
  assert.equal(cutFrames(chunk, 60).bytes, chunk.bytes);
});

test("keepLinkType() leaves frames of other link types out", () => {
  const chunk = twoInterfaces();
  const kept = keepLinkType(chunk, 113);
  assert.deepEqual(
    framesOf(kept).map((frame) => frame.bytes.toString()),
    ["two", "four"],
  );
  assert.deepEqual([...kept.interfaceOf!], [1, 1]);
  assert.equal(keepLinkType(chunk, 105).frameCount, 0);
  const ethernet = buildChunk({ frames: [{ bytes: Buffer.from("one") }] });
  assert.equal(keepLinkType(ethernet, 1), ethernet);
  assert.equal(keepLinkType(ethernet, 113).bytes.length, 0);
});

test("keepFrames() keeps the frames whose verdict is 1, with their interfaces", () => {
  fc.assert(
    fc.property(anyChunk, fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }), (any, kept) => {
      const verdicts = Uint8Array.from(kept, Number);
      const chunk = { ...any.chunk, interfaceOf: Uint16Array.from(any.frames, (_, n) => n) };
      const result = keepFrames(chunk, verdicts);
      const wanted = [...any.frames.keys()].filter((n) => kept[n]);
      assert.deepEqual(
        framesOf(result),
        wanted.map((n) => framesOf(chunk)[n]),
      );
      assert.equal(result.frameCount, wanted.length);
      assert.deepEqual([...result.interfaceOf!], wanted);
      if (wanted.length === any.frames.length) assert.equal(result, chunk);
    }),
  );
});

test("toLittleEndian() keeps every frame, and its time as far as the precision goes", () => {
  fc.assert(
    fc.property(anyChunk, fc.boolean(), ({ chunk }, nanosecond) => {
      const converted = toLittleEndian(chunk, nanosecond);
      assert.equal(converted.bigEndian, false);
      assert.equal(converted.nanosecond, nanosecond);
      const coarse = chunk.nanosecond && !nanosecond;
      const expected = framesOf(chunk).map((frame) => ({
        ...frame,
        nanoseconds: coarse ? frame.nanoseconds - (frame.nanoseconds % 1000) : frame.nanoseconds,
      }));
      assert.deepEqual(framesOf(converted), expected);
    }),
  );
});

function twoInterfaces(): FrameChunk {
  const frames: TestFrame[] = ["one", "two", "three", "four"].map((word) => ({
    bytes: Buffer.from(word),
  }));
  const chunk = buildChunk({ frames });
  assert.equal(chunk.bytes.length, 4 * FRAME_HEADER_BYTES + 15);
  const [ethernet] = chunk.interfaces;
  return {
    ...chunk,
    interfaces: [ethernet!, { ...ethernet!, name: "any", linkType: 113 }],
    interfaceOf: Uint16Array.of(0, 1, 0, 1),
  };
}
