import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { silentLogger } from "../../src/logger.ts";
import { FrameOutput } from "../../src/pipeline/frame-output.ts";
import type { ReadChunk } from "../../src/pipeline/read-chunk.ts";
import type { ConsumeOptions } from "../../src/pipeline/pipeline-options.ts";
import { readCapture } from "../capture-frames.ts";

class MemoryOutput extends Writable {
  readonly pieces: Buffer[] = [];

  override _write(piece: Buffer, _encoding: string, done: () => void): void {
    this.pieces.push(Buffer.from(piece));
    done();
  }
}

/** Frames of one byte, their number, of the link types given; offsets 100, 110, 120 … */
function chunkOf(linkTypes: readonly number[]): ReadChunk {
  const bytes = Buffer.alloc(17 * linkTypes.length);
  for (const index of linkTypes.keys()) {
    bytes.writeUInt32LE(1, index * 17 + 8);
    bytes.writeUInt32LE(1, index * 17 + 12);
    bytes[index * 17 + 16] = index;
  }
  const table = [...new Set(linkTypes)];
  return {
    bytes,
    frameCount: linkTypes.length,
    bigEndian: false,
    nanosecond: false,
    interfaces: table.map((linkType) => ({
      sensor: "",
      name: "",
      snapLengthBytes: 262_144,
      linkType,
    })),
    interfaceOf: Uint16Array.from(linkTypes, (linkType) => table.indexOf(linkType)),
    partition: 0,
    positions: new Map([[0, 1000n]]),
    offsets: linkTypes.map((_, index) => 100n + 10n * BigInt(index)),
  };
}

function createOutput(maxPackets: number): { output: FrameOutput; stream: MemoryOutput } {
  const stream = new MemoryOutput();
  const options: Partial<ConsumeOptions> = {
    topic: "t",
    maxPackets,
    fileType: "pcap",
    snapLengthBytes: 262_144,
    prettyPrint: undefined,
  };
  return { stream, output: new FrameOutput(stream, options as ConsumeOptions, silentLogger) };
}

const numbersIn = ({ pieces }: MemoryOutput): number[] =>
  readCapture(Buffer.concat(pieces)).frames.map(({ bytes }) => bytes[0]!);

test("a limit counts nothing behind the last frame that is wanted, and tells the offset behind it", async () => {
  const { output, stream } = createOutput(2);
  output.begin(1);
  assert.deepEqual(
    (await output.take(chunkOf([101, 1, 101, 1, 101, 1]))).positions,
    new Map([[0, 140n]]),
  );
  assert.deepEqual(numbersIn(stream), [1, 3]);
  assert.deepEqual([output.written, output.otherLinkType, output.isFull], [2, 2, true]);
});

test("without a limit every frame is dealt with, and the whole chunk's offset told", async () => {
  const { output, stream } = createOutput(0);
  output.begin(101);
  assert.deepEqual((await output.take(chunkOf([101, 1, 101]))).positions, new Map([[0, 1000n]]));
  assert.deepEqual(numbersIn(stream), [0, 2]);
  assert.deepEqual([output.written, output.otherLinkType, output.isFull], [2, 1, false]);
});

test("a limit that the chunk does not reach takes it whole", async () => {
  const { output, stream } = createOutput(5);
  output.begin(1);
  assert.deepEqual((await output.take(chunkOf([1, 101, 1]))).positions, new Map([[0, 1000n]]));
  assert.deepEqual(numbersIn(stream), [0, 2]);
  assert.equal(output.isFull, false);
});

test("a file without frames has a header all the same", async () => {
  const { output, stream } = createOutput(0);
  await output.end();
  assert.equal(Buffer.concat(stream.pieces).length, 24);
});
