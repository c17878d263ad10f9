import assert from "node:assert/strict";
import { test } from "node:test";
import { CaptureLimit } from "../../src/pipeline/capture-limit.ts";
import { buildChunk, buildUdpFrame, framesOf } from "../fixtures/generate.ts";

const FRAME_BYTES = 84;
/** With its record header. */
const RECORD_BYTES = 100;

const chunkOf = (count: number, bigEndian = false) =>
  buildChunk({
    frames: Array.from({ length: count }, (_, n) => ({ bytes: buildUdpFrame(n, FRAME_BYTES) })),
    bigEndian,
  });

test("CaptureLimit takes every chunk as it is where there is no limit", () => {
  const limit = new CaptureLimit(0, {});
  const chunk = chunkOf(3);
  assert.equal(limit.take(chunk), chunk);
  assert.equal(limit.isReached, false);
});

test("CaptureLimit ends in the middle of a chunk, with the lower of both numbers of frames", () => {
  for (const limit of [new CaptureLimit(5, { packets: 9 }), new CaptureLimit(9, { packets: 5 })]) {
    assert.equal(limit.take(chunkOf(3)).frameCount, 3);
    assert.equal(limit.isReached, false);
    const taken = limit.take(chunkOf(3));
    assert.equal(limit.isReached, true);
    assert.deepEqual(framesOf(taken), framesOf(chunkOf(3)).slice(0, 2));
  }
});

test("CaptureLimit ends with the frame that makes a pcap file reach its size", () => {
  // 24 bytes of file header and nine frames are 924 bytes, with the tenth it is 1,024.
  for (const [fileBytes, expected] of [
    [923, 9],
    [924, 9],
    [925, 10],
    [1024, 10],
    [1025, 11],
  ] as const) {
    for (const bigEndian of [false, true]) {
      const limit = new CaptureLimit(0, { fileBytes });
      const taken = [4, 4, 4].map((count) => limit.take(chunkOf(count, bigEndian)));
      assert.equal(
        taken.reduce((sum, { frameCount }) => sum + frameCount, 0),
        expected,
        `${fileBytes} bytes`,
      );
      assert.equal(limit.isReached, true);
    }
  }
  const open = new CaptureLimit(0, { fileBytes: 24 + 4 * RECORD_BYTES + 1 });
  assert.equal(open.take(chunkOf(4)).frameCount, 4);
  assert.equal(open.isReached, false);
});
