import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { generateCapture } from "../../bench/generate-capture.ts";
import { openFileSource } from "../../src/capture/file-source.ts";

const scratch = mkdtempSync(path.join(tmpdir(), "pcapts-large-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const TWO_GB = 2_000_000_000;
const MOST_BYTES = 120 * 1024 * 1024;

test(
  "a file of 2 GB is read with flat memory, as pcap and as pcapng",
  { timeout: 900_000 },
  async () => {
    const part = path.join(scratch, "part.pcap");
    generateCapture(part, { frames: 200_000 });
    const pcap = readFileSync(part);
    for (const format of ["pcap", "pcapng"]) {
      const file = path.join(scratch, `large.${format}`);
      const descriptor = openSync(file, "w");
      const header =
        format === "pcap"
          ? pcap.subarray(0, 24)
          : Buffer.from(
              "0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c00000001000000140000000100000000000400".concat(
                "14000000",
              ),
              "hex",
            );
      const records = format === "pcap" ? pcap.subarray(24) : toPacketBlocks(pcap);
      writeSync(descriptor, header);
      const copies = Math.ceil(TWO_GB / records.length);
      for (let n = 0; n < copies; n++) writeSync(descriptor, records);
      closeSync(descriptor);

      const source = await openFileSource(file);
      const before = process.memoryUsage.rss();
      let peak = before;
      let frames = 0;
      for await (const { frameCount } of source.chunks()) {
        frames += frameCount;
        peak = Math.max(peak, process.memoryUsage.rss());
      }
      assert.equal(frames, copies * 200_000);
      assert.ok(peak - before < MOST_BYTES, `${peak - before} bytes for ${file}`);
      rmSync(file);
    }
  },
);

/** Enhanced packet blocks of the frames of a little-endian pcap file with microseconds. */
function toPacketBlocks(pcap: Buffer): Buffer {
  const blocks: Buffer[] = [];
  for (let at = 24; at < pcap.length;) {
    const length = pcap.readUInt32LE(at + 8);
    const block = Buffer.alloc(32 + Math.ceil(length / 4) * 4);
    const micros = BigInt(pcap.readUInt32LE(at)) * 1_000_000n + BigInt(pcap.readUInt32LE(at + 4));
    const words = [
      6,
      block.length,
      0,
      Number(micros >> 32n),
      Number(micros & 0xffff_ffffn),
      length,
    ];
    for (const [n, word] of [...words, pcap.readUInt32LE(at + 12)].entries()) {
      block.writeUInt32LE(word, n * 4);
    }
    pcap.copy(block, 28, at + 16, at + 16 + length);
    block.writeUInt32LE(block.length, block.length - 4);
    blocks.push(block);
    at += 16 + length;
  }
  return Buffer.concat(blocks);
}
