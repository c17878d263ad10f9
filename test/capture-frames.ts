import assert from "node:assert/strict";

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

/** Frames that stand in a pcap file whole; a program that was killed may have cut its last one. */
export function wholeFrames(file: Buffer): readonly CapturedFrame[] {
  let end = 24;
  for (let at = 24; at + 16 <= file.length; at = end) {
    const next = at + 16 + file.readUInt32LE(at + 8);
    if (next > file.length) break;
    end = next;
  }
  return readCapture(file.subarray(0, end)).frames;
}

/** The same time, both lengths and the same bytes, each as often, in any order. */
export function assertSameFrames(
  actual: readonly CapturedFrame[],
  expected: readonly CapturedFrame[],
): void {
  assert.equal(actual.length, expected.length, "number of frames");
  const missing = new Map<string, CapturedFrame[]>();
  for (const frame of expected.toReversed()) {
    const label = describeFrame(frame);
    const alike = missing.get(label);
    if (alike === undefined) missing.set(label, [frame]);
    else alike.push(frame);
  }
  for (const [index, frame] of actual.entries()) {
    const alike = missing.get(describeFrame(frame)) ?? [];
    // The next one in the order of the file is the last: most often it is the one.
    const found = alike.findLastIndex(({ bytes }) => bytes.equals(frame.bytes));
    if (found === -1) {
      const why = alike.length === 0 ? "its time or lengths" : "its bytes";
      assert.fail(`frame ${index + 1} (${describeFrame(frame)}) was not expected: ${why}`);
    }
    alike.splice(found, 1);
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
    assert.equal(got.length, frames.length, `number of frames of flow ${flow}`);
    const wrong = frames.findIndex((frame, n) => !isSame(frame, got[n]!));
    if (wrong === -1) continue;
    assert.fail(
      `flow ${flow}: its frame ${wrong + 1} (${describeFrame(frames[wrong]!)}) is missing there, ` +
        `its frame ${frames.findIndex((frame) => isSame(frame, got[wrong]!)) + 1} comes instead`,
    );
  }
}

/** How many flows there are, both directions of a conversation being one. */
export function countFlows(frames: readonly CapturedFrame[]): number {
  return framesByFlow(frames).size;
}

/** Frames of each flow: addresses, ports and protocol of IPv4 in Ethernet, both directions one. */
function framesByFlow(frames: readonly CapturedFrame[]): Map<string, CapturedFrame[]> {
  const flows = new Map<string, CapturedFrame[]>();
  for (const frame of frames) {
    const { bytes } = frame;
    assert.equal(bytes.readUInt16BE(12), 0x0800, "an IPv4 frame");
    const ports = 14 + (bytes[14]! & 0xf) * 4;
    const source = `${bytes.readUInt32BE(26)}:${bytes.readUInt16BE(ports)}`;
    const destination = `${bytes.readUInt32BE(30)}:${bytes.readUInt16BE(ports + 2)}`;
    const ends = source < destination ? `${source}-${destination}` : `${destination}-${source}`;
    const flow = `${ends}/${bytes[23]}`;
    const known = flows.get(flow);
    if (known === undefined) flows.set(flow, [frame]);
    else known.push(frame);
  }
  return flows;
}

function describeFrame({ seconds, fraction, capturedLength, wireLength }: CapturedFrame): string {
  return `${seconds} s + ${fraction}, ${capturedLength} bytes of ${wireLength}`;
}

function isSame(a: CapturedFrame, b: CapturedFrame): boolean {
  return describeFrame(a) === describeFrame(b) && a.bytes.equals(b.bytes);
}
