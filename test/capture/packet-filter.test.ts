import assert from "node:assert/strict";
import { test } from "node:test";
import { compilePacketFilter } from "../../src/capture/packet-filter.ts";
import { buildChunk, buildUdpFrame, type CaptureLayout } from "../fixtures/generate.ts";

/** Numbers of the frames that a filter lets through. */
function matching(linkType: number, expression: string, layout: CaptureLayout): number[] {
  const { bytes, frameCount, bigEndian } = buildChunk(layout);
  const verdicts = new Uint8Array(frameCount).fill(7);
  const filter = compilePacketFilter(linkType, expression);
  const count = filter.match(bytes, frameCount, bigEndian, verdicts);
  const numbers = [...verdicts.keys()].filter((n) => verdicts[n] === 1);
  assert.equal(numbers.length, count);
  assert.ok(verdicts.every((verdict) => verdict <= 1));
  return numbers;
}

const frames = Array.from({ length: 10 }, (_, n) => ({ bytes: buildUdpFrame(n, 100) }));

test("a filter judges each frame of a chunk, in either byte order", () => {
  for (const bigEndian of [false, true]) {
    assert.deepEqual(
      matching(1, "udp src port 1027 or src host 10.0.0.5", { frames, bigEndian }),
      [3, 5],
    );
    assert.deepEqual(matching(1, "tcp", { frames, bigEndian }), []);
    assert.deepEqual(matching(1, "", { frames, bigEndian }).length, 10);
  }
  assert.deepEqual(matching(1, "udp", { frames: [] }), []);
});

test("lengths are those on the wire, and what was cut off does not match", () => {
  const cut = [
    { bytes: buildUdpFrame(0, 100).subarray(0, 60), wireLength: 1500 },
    { bytes: buildUdpFrame(1, 100) },
  ];
  assert.deepEqual(matching(1, "greater 1000", { frames: cut }), [0]);
  assert.deepEqual(matching(1, "ip[60] = 0", { frames: cut }), [1]);
});

test("link types are those of files: raw IP is 101, not libpcap's 12", () => {
  const raw = frames.map(({ bytes }) => ({ bytes: bytes.subarray(14) }));
  assert.deepEqual(matching(101, "src host 10.0.0.5", { frames: raw }), [5]);
  const cooked = frames.map(({ bytes }) => {
    const header = Buffer.alloc(16);
    header.writeUInt16BE(0x0800, 14);
    return { bytes: Buffer.concat([header, bytes.subarray(14)]) };
  });
  assert.deepEqual(matching(113, "src host 10.0.0.5", { frames: cooked }), [5]);
});

test("tags of VLANs are part of a frame that is not live", () => {
  const tagged = frames.map(({ bytes }) => ({
    bytes: Buffer.concat([
      bytes.subarray(0, 12),
      Buffer.from("8100002a", "hex"),
      bytes.subarray(12),
    ]),
  }));
  assert.deepEqual(matching(1, "vlan 42 and src host 10.0.0.5", { frames: tagged }), [5]);
  assert.deepEqual(matching(1, "src host 10.0.0.5", { frames: tagged }), []);
});

test("what does not compile is refused in libpcap's words", () => {
  for (const [linkType, expression, reason] of [
    [1, "tcp port port", /for frames of type EN10MB: .*syntax error/],
    [101, "ether host 02:00:00:00:00:01", /for frames of type RAW: /],
    [1, "inbound", /for frames of type EN10MB: it asks for what only a live capture knows/],
    [12_345, "ip", /for frames of type 12345: /],
  ] as const) {
    assert.throws(
      () => compilePacketFilter(linkType, expression),
      (error: Error) => {
        assert.equal((error as { code?: string }).code, "FILTER_INVALID");
        assert.match(error.message, reason);
        return true;
      },
    );
  }
});

test("a chunk that claims more than it holds is refused, not read beyond its end", () => {
  const { bytes } = buildChunk({ frames });
  const filter = compilePacketFilter(1, "udp");
  assert.throws(() => filter.match(bytes, 11, false, new Uint8Array(11)), /records end/);
  assert.throws(() => filter.match(bytes.subarray(0, 500), 10, false, new Uint8Array(10)), /end/);
  assert.throws(() => filter.match(bytes, 10, true, new Uint8Array(10)), /records end/);
  assert.throws(() => filter.match(bytes, 10, false, new Uint8Array(9)), /no room/);
});
