import assert from "node:assert/strict";
import { numberedFrames } from "../kafka/numbered-frames.ts";

const FRAME_BYTES = 200;
const RECORD_BYTES = 16 + FRAME_BYTES;
const FLOWS = 64;
const FILE_HEADER_BYTES = 24;

/** One record of each conversation, without a number. */
const TEMPLATE = ((): Buffer => {
  const short = numberedFrames(0, FLOWS, FLOWS).bytes;
  const shortBytes = short.length / FLOWS;
  const template = Buffer.alloc(FLOWS * RECORD_BYTES);
  for (let flow = 0; flow < FLOWS; flow++) {
    const at = flow * RECORD_BYTES;
    short.copy(template, at, flow * shortBytes, (flow + 1) * shortBytes);
    template.writeUInt32LE(FRAME_BYTES, at + 8);
    template.writeUInt32LE(FRAME_BYTES, at + 12);
  }
  return template;
})();

/** Records of a pcap file with frames of 200 bytes, whose last four are their number. */
export function numberedRecords(first: number, count: number): Buffer {
  const bytes = Buffer.allocUnsafe(count * RECORD_BYTES);
  for (let index = 0; index < count; index++) {
    const at = index * RECORD_BYTES;
    const from = ((first + index) % FLOWS) * RECORD_BYTES;
    TEMPLATE.copy(bytes, at, from, from + RECORD_BYTES);
    bytes.writeUInt32BE(first + index, at + RECORD_BYTES - 4);
  }
  return bytes;
}

/** A pcap stream of {@link numberedRecords}: each frame is there once, and in order within its conversation. */
export class NumberedStream {
  /** Frames so far. */
  count = 0;
  readonly #next = Array.from({ length: FLOWS }, (_, flow) => flow);
  #rest = Buffer.alloc(0);
  #isBegun = false;

  /** Takes the next bytes of the stream, cut anywhere. */
  take(bytes: Buffer): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    if (!this.#isBegun && all.length >= FILE_HEADER_BYTES) {
      this.#isBegun = true;
      at = FILE_HEADER_BYTES;
    }
    for (; this.#isBegun && at + RECORD_BYTES <= all.length; at += RECORD_BYTES) {
      const number = all.readUInt32BE(at + RECORD_BYTES - 4);
      const flow = number % FLOWS;
      if (number !== this.#next[flow]) {
        assert.fail(`frame ${number} comes where ${this.#next[flow]} was expected`);
      }
      this.#next[flow] = number + FLOWS;
      this.count++;
    }
    this.#rest = Buffer.from(all.subarray(at));
  }
}
