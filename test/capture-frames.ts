import assert from "node:assert/strict";
import { createHash } from "node:crypto";

/*
 * Reads and compares captures without the code under test, so that a mistake in the reader and
 * the writer of the program cannot cancel out.
 */

/** One frame of a capture file. */
export interface CapturedFrame {
  readonly seconds: number;
  /** Microseconds or nanoseconds, whichever the file counts. */
  readonly fraction: number;
  readonly capturedLength: number;
  readonly wireLength: number;
  readonly bytes: Buffer;
}

/** A whole classic pcap file. */
export interface Capture {
  readonly nanosecond: boolean;
  readonly bigEndian: boolean;
  readonly snapLength: number;
  readonly linkType: number;
  readonly frames: readonly CapturedFrame[];
}

const MAGIC_MICRO = 0xa1b2c3d4;
const MAGIC_NANO = 0xa1b23c4d;

/** Reads a pcap file; fails when it is not one, or is cut. */
export function readCapture(file: Buffer): Capture {
  assert.ok(file.length >= 24, `${file.length} bytes are no pcap file`);
  const bigEndian = file[0] === 0xa1;
  const word = (at: number): number => (bigEndian ? file.readUInt32BE(at) : file.readUInt32LE(at));
  const half = (at: number): number => (bigEndian ? file.readUInt16BE(at) : file.readUInt16LE(at));
  const magic = word(0);
  assert.ok(magic === MAGIC_MICRO || magic === MAGIC_NANO, `magic number ${magic.toString(16)}`);
  assert.deepEqual([half(4), half(6)], [2, 4], "version of the pcap format");
  const frames: CapturedFrame[] = [];
  for (let at = 24; at < file.length;) {
    assert.ok(at + 16 <= file.length, `the header of frame ${frames.length + 1} is cut`);
    const capturedLength = word(at + 8);
    const start = at + 16;
    at = start + capturedLength;
    assert.ok(at <= file.length, `frame ${frames.length + 1} is cut`);
    frames.push({
      seconds: word(start - 16),
      fraction: word(start - 12),
      capturedLength,
      wireLength: word(start - 4),
      bytes: file.subarray(start, at),
    });
  }
  const nanosecond = magic === MAGIC_NANO;
  return { nanosecond, bigEndian, snapLength: word(16), linkType: word(20), frames };
}

/** The same time, both lengths and the same bytes, each as often, in any order. */
export function assertSameFrames(
  actual: readonly CapturedFrame[],
  expected: readonly CapturedFrame[],
): void {
  assert.equal(actual.length, expected.length, "number of frames");
  const missing = new Map<string, number>();
  for (const frame of expected) {
    const key = fingerprint(frame);
    missing.set(key, (missing.get(key) ?? 0) + 1);
  }
  for (const [index, frame] of actual.entries()) {
    const key = fingerprint(frame);
    const left = missing.get(key) ?? 0;
    if (left === 0) {
      const { seconds, fraction, capturedLength, wireLength } = frame;
      assert.fail(
        `frame ${index + 1} was not expected: time ${seconds} s + ${fraction}, ` +
          `${capturedLength} bytes of ${wireLength}`,
      );
    }
    missing.set(key, left - 1);
  }
}

/** Within each flow the frames stand in the same order. Call it for frames that are the same ones. */
export function assertSameOrderInFlows(
  actual: readonly CapturedFrame[],
  expected: readonly CapturedFrame[],
): void {
  const actualFlows = framesByFlow(actual);
  const expectedFlows = framesByFlow(expected);
  assert.equal(actualFlows.size, expectedFlows.size, "number of flows");
  for (const [flow, frames] of expectedFlows) {
    const got = actualFlows.get(flow) ?? [];
    const wrong = frames.findIndex((frame, n) => got[n] !== frame);
    if (wrong === -1) continue;
    assert.fail(
      `flow ${flow}: its frame ${wrong + 1} should be ${frames[wrong]} and is ${got[wrong]}, ` +
        `which should be its frame ${frames.indexOf(got[wrong] ?? "") + 1}`,
    );
  }
}

/** How many flows there are, both directions of a conversation being one. */
export function countFlows(frames: readonly CapturedFrame[]): number {
  return framesByFlow(frames).size;
}

/** Fingerprints of each flow's frames: addresses, ports and protocol of IPv4 in Ethernet. */
function framesByFlow(frames: readonly CapturedFrame[]): Map<string, string[]> {
  const flows = new Map<string, string[]>();
  for (const frame of frames) {
    const { bytes } = frame;
    assert.equal(bytes.readUInt16BE(12), 0x0800, "an IPv4 frame");
    const ports = 14 + (bytes[14]! & 0xf) * 4;
    const ends = [
      `${bytes.toString("hex", 26, 30)}:${bytes.readUInt16BE(ports)}`,
      `${bytes.toString("hex", 30, 34)}:${bytes.readUInt16BE(ports + 2)}`,
    ];
    const flow = `${ends.toSorted().join("-")}/${bytes[23]}`;
    const known = flows.get(flow);
    if (known === undefined) flows.set(flow, [fingerprint(frame)]);
    else known.push(fingerprint(frame));
  }
  return flows;
}

function fingerprint({ seconds, fraction, wireLength, bytes }: CapturedFrame): string {
  const digest = createHash("sha1").update(bytes).digest("base64");
  return `${seconds}.${fraction}/${bytes.length}/${wireLength}/${digest}`;
}
