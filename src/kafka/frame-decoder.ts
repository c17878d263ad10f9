import type { FetchedPartition } from "../kafka-wire/fetch.ts";
import {
  readRecordBatchHeader,
  RecordBatchError,
  RecordCursor,
} from "../kafka-wire/record-batch-reader.ts";
import type { RecordBatchHeader } from "../kafka-wire/record-batch-reader.ts";
import { CAPTURE_KEY_BYTES, readCaptureKey } from "../packet/capture-time.ts";
import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES } from "../packet/frame-chunk.ts";
import type { CaptureInterface, FrameChunk } from "../packet/frame-chunk.ts";
import { FrameHeaderDecoder } from "./frame-headers.ts";

/** Interfaces that are told apart; what comes beyond counts by link type alone. */
const MAX_INTERFACES = 4096;

/** Control record types: the second half of the key. */
const ABORT_MARKER = 0;

/** Frames of one partition, in the order of their offsets. */
export interface FetchedChunk extends FrameChunk {
  readonly partition: number;
  /** Where to go on reading when these frames are dealt with. */
  readonly nextOffset: bigint;
  /** Offset of each frame, when they were asked for. */
  readonly offsets?: readonly bigint[];
  /** Why nothing behind these frames can be read. */
  readonly failure?: RecordBatchError;
}

/** What a decoder does with records. */
export interface FrameDecoderOptions {
  /** Fraction of the frame headers: nanoseconds or microseconds. */
  readonly nanosecond: boolean;
  readonly readCommitted: boolean;
  /** Collect the offset of each frame. */
  readonly withOffsets: boolean;
  /** Told of records that are not frames. */
  readonly onForeignRecord: (partition: number, offset: bigint, reason: string) => void;
}

/**
 * Turns record batches into chunks of frames, in the memory they came in: a
 * record's key and framing are at least as long as the header of a frame but
 * for tiny ones, so each frame moves by a few bytes and nothing is allocated.
 *
 * ```
 *   fetched   ┌ batch header ┬ framing key ┬ value ┬ framing key ┬ value ┬─ ─
 *   chunk     ┌ header ┬ frame ┬ header ┬ frame ┬─ ─
 * ```
 *
 * Measured on Node 20 for 200 bytes: `copyWithin` 27 ns, `copy` to another
 * buffer 84 ns.
 */
export class FrameDecoder {
  readonly #options: FrameDecoderOptions;
  readonly #headers = new FrameHeaderDecoder();
  readonly #interfaces: CaptureInterface[] = [
    { sensor: "", name: "", linkType: 1, snapLengthBytes: MAX_FRAME_BYTES },
  ];
  readonly #interfaceIndex = new Map<string, number>([["1\0\0", 0]]);
  // The chunk under construction.
  #target: Buffer = Buffer.alloc(0);
  #targetStart = 0;
  #out = 0;
  #frameCount = 0;
  #interfaceOf: Uint16Array | undefined;
  #offsets: bigint[] = [];
  #lastInterface = 0;

  constructor(options: FrameDecoderOptions) {
    this.#options = options;
  }

  /**
   * @param bytes the response; the frames are moved within it
   * @param fetched one partition of it
   * @param from offset that was asked for: records before it in the same batch are left out
   * @param until records from this offset on are left out
   * @throws RecordBatchError when a batch is damaged or cannot be read and no frame came before it;
   *   else the chunk ends there and carries the failure
   */
  decode(bytes: Buffer, fetched: FetchedPartition, from: bigint, until?: bigint): FetchedChunk {
    const { partition, recordsStart, recordsEnd } = fetched;
    this.#target = bytes;
    this.#targetStart = this.#out = recordsStart;
    this.#frameCount = 0;
    this.#interfaceOf = undefined;
    this.#offsets = [];
    let nextOffset = from;
    let failure: RecordBatchError | undefined;
    const aborted = new AbortedProducers(fetched, this.#options.readCommitted);
    try {
      for (let start = recordsStart; start < recordsEnd;) {
        const header = readRecordBatchHeader(bytes, start, recordsEnd, true);
        if (header === undefined) break;
        start = header.recordsEnd;
        const lastOffset = header.baseOffset + BigInt(header.lastOffsetDelta);
        if (lastOffset < from) continue;
        if (until !== undefined && header.baseOffset >= until) break;
        if (!aborted.skips(bytes, header)) {
          const whole = header.baseOffset >= from && (until === undefined || lastOffset < until);
          this.#decodeBatch(bytes, header, partition, whole ? undefined : { from, until });
        }
        nextOffset = lastOffset + 1n;
      }
    } catch (error) {
      if (!(error instanceof RecordBatchError) || this.#frameCount === 0) throw error;
      failure = error;
    }
    if (until !== undefined && nextOffset > until) nextOffset = until;
    const chunk = {
      bytes: this.#target.subarray(this.#targetStart, this.#out),
      frameCount: this.#frameCount,
      bigEndian: false,
      nanosecond: this.#options.nanosecond,
      interfaces: this.#interfaces,
      ...(this.#interfaceOf === undefined ? {} : { interfaceOf: this.#interfaceOf }),
      ...(this.#options.withOffsets ? { offsets: this.#offsets } : {}),
      partition,
      nextOffset,
      ...(failure && { failure }),
    };
    this.#target = Buffer.alloc(0);
    return chunk;
  }

  #decodeBatch(
    bytes: Buffer,
    header: RecordBatchHeader,
    partition: number,
    range: { from: bigint; until: bigint | undefined } | undefined,
  ): void {
    const { nanosecond, withOffsets } = this.#options;
    const { baseOffset, compression } = header;
    if (compression !== "none") {
      throw new RecordBatchError(
        `the batch at offset ${baseOffset} is compressed with ${compression}, which is not there yet`,
      );
    }
    const records = new RecordCursor(
      bytes,
      header.recordsStart,
      header.recordsEnd,
      header.recordCount,
    );
    while (records.next()) {
      if (range !== undefined) {
        const offset = baseOffset + BigInt(records.offsetDelta);
        if (offset < range.from) continue;
        if (range.until !== undefined && offset >= range.until) break;
      }
      const { valueStart, valueLength } = records;
      const micros =
        records.keyLength === CAPTURE_KEY_BYTES ? readCaptureKey(bytes, records.keyStart) : -1;
      const seconds = Math.floor(micros / 1_000_000);
      if (micros < 0 || seconds > 0xffff_ffff || valueLength < 0 || valueLength > MAX_FRAME_BYTES) {
        const offset = baseOffset + BigInt(records.offsetDelta);
        this.#options.onForeignRecord(partition, offset, foreignReason(records));
        continue;
      }
      let fraction = micros - seconds * 1_000_000;
      if (nanosecond) fraction *= 1000;
      let wireLength = valueLength;
      let index = 0;
      if (records.headerCount > 0) {
        const headers = this.#headers;
        headers.decode(bytes, records.headersStart, records.recordEnd, records.headerCount);
        if (nanosecond) fraction += headers.nanoseconds;
        if (headers.wireLength > valueLength) wireLength = headers.wireLength;
        index = this.#findInterface(headers);
        if (index > 0) this.#interfaceOf ??= new Uint16Array(this.#frameCount + 64);
      }
      if (this.#interfaceOf !== undefined) this.#setInterface(index);
      if (withOffsets) this.#offsets.push(baseOffset + BigInt(records.offsetDelta));
      this.#writeFrame(bytes, valueStart, valueLength, seconds, fraction, wireLength);
    }
  }

  #writeFrame(
    bytes: Buffer,
    valueStart: number,
    valueLength: number,
    seconds: number,
    fraction: number,
    wireLength: number,
  ): void {
    const frameStart = this.#out + FRAME_HEADER_BYTES;
    const frameEnd = frameStart + valueLength;
    let target = this.#target;
    if (target === bytes && frameStart <= valueStart) {
      if (frameStart !== valueStart)
        bytes.copyWithin(frameStart, valueStart, valueStart + valueLength);
    } else {
      if (target === bytes || frameEnd > target.length)
        return this.#spill(bytes, valueStart, valueLength, seconds, fraction, wireLength);
      bytes.copy(target, frameStart, valueStart, valueStart + valueLength);
    }
    const at = this.#out;
    writeUInt32LE(target, at, seconds);
    writeUInt32LE(target, at + 4, fraction);
    writeUInt32LE(target, at + 8, valueLength);
    writeUInt32LE(target, at + 12, wireLength);
    this.#out = frameEnd;
    this.#frameCount++;
  }

  /** Frames of a few bytes have outgrown the memory they came in: goes on in a larger one. */
  #spill(
    bytes: Buffer,
    valueStart: number,
    valueLength: number,
    seconds: number,
    fraction: number,
    wireLength: number,
  ): void {
    const used = this.#out - this.#targetStart;
    const target = Buffer.allocUnsafe(2 * (used + FRAME_HEADER_BYTES + valueLength) + 65_536);
    this.#target.copy(target, 0, this.#targetStart, this.#out);
    this.#target = target;
    this.#targetStart = 0;
    this.#out = used;
    this.#writeFrame(bytes, valueStart, valueLength, seconds, fraction, wireLength);
  }

  #setInterface(index: number): void {
    let table = this.#interfaceOf!;
    if (this.#frameCount >= table.length) {
      const longer = new Uint16Array(Math.max(table.length * 2, this.#frameCount + 1));
      longer.set(table);
      this.#interfaceOf = table = longer;
    }
    table[this.#frameCount] = index;
  }

  #findInterface({ linkType, interfaceName, sensor }: FrameHeaderDecoder): number {
    const last = this.#interfaces[this.#lastInterface]!;
    if (last.linkType === linkType && last.name === interfaceName && last.sensor === sensor) {
      return this.#lastInterface;
    }
    const type = linkType < 0 ? 1 : linkType;
    const key = `${type}\0${interfaceName}\0${sensor}`;
    const known = this.#interfaceIndex.get(key);
    if (known !== undefined) return (this.#lastInterface = known);
    const many = this.#interfaces.length >= MAX_INTERFACES;
    if (many && (interfaceName !== "" || sensor !== "")) {
      return this.#findInterface(Object.assign(new FrameHeaderDecoder(), { linkType }));
    }
    const index = this.#interfaces.length;
    this.#interfaces.push({
      sensor,
      name: interfaceName,
      linkType: type,
      snapLengthBytes: MAX_FRAME_BYTES,
    });
    this.#interfaceIndex.set(key, index);
    return index;
  }
}

/**
 * Which batches belong to aborted transactions. The broker names the aborted
 * ones that overlap the response; each lasts until its producer's marker.
 */
class AbortedProducers {
  readonly #pending: { producerId: bigint; firstOffset: bigint }[];
  readonly #aborted = new Set<bigint>();

  constructor({ abortedTransactions }: FetchedPartition, readCommitted: boolean) {
    this.#pending = readCommitted
      ? abortedTransactions.toSorted((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1))
      : [];
  }

  /** True when the batch holds no frames that are to be seen: markers, or aborted records. */
  skips(bytes: Buffer, header: RecordBatchHeader): boolean {
    const lastOffset = header.baseOffset + BigInt(header.lastOffsetDelta);
    while (this.#pending[0] !== undefined && this.#pending[0].firstOffset <= lastOffset) {
      this.#aborted.add(this.#pending.shift()!.producerId);
    }
    if (header.control) {
      const { recordsStart, recordsEnd, recordCount } = header;
      const marker = new RecordCursor(bytes, recordsStart, recordsEnd, recordCount);
      // Control record key: version int16, type int16.
      if (
        marker.next() &&
        marker.keyLength >= 4 &&
        bytes.readInt16BE(marker.keyStart + 2) === ABORT_MARKER
      ) {
        this.#aborted.delete(header.producerId);
      }
      return true;
    }
    return header.transactional && this.#aborted.has(header.producerId);
  }
}

function foreignReason({ keyLength, valueLength }: RecordCursor): string {
  if (keyLength < 0) return "it has no key";
  if (keyLength !== CAPTURE_KEY_BYTES) return `its key has ${keyLength} bytes, not 8`;
  if (valueLength < 0) return "it has no value";
  if (valueLength > MAX_FRAME_BYTES) return `its value has ${valueLength} bytes, over 256 KiB`;
  return "its key is a time after 2106-02-07, which no capture file can hold";
}

function writeUInt32LE(target: Uint8Array, at: number, value: number): void {
  target[at] = value;
  target[at + 1] = value >>> 8;
  target[at + 2] = value >>> 16;
  target[at + 3] = value >>> 24;
}
