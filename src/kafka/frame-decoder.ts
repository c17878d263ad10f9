import type { FetchedPartition } from "../kafka-wire/fetch.ts";
import {
  type FetchedRecords,
  isDecodedApart,
  readFetchedHeader,
  readFetchedRecords,
} from "../kafka-wire/fetched-records.ts";
import { RecordBatchError, RecordCursor } from "../kafka-wire/record-batch-reader.ts";
import type { RecordBatchHeader } from "../kafka-wire/record-batch-reader.ts";
import { CAPTURE_KEY_BYTES, readCaptureKey } from "../packet/capture-time.ts";
import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES } from "../packet/frame-chunk.ts";
import type { CaptureInterface, FrameChunk } from "../packet/frame-chunk.ts";
import { AbortedProducers } from "./aborted-producers.ts";
import { FrameHeaderDecoder } from "./frame-headers.ts";
import { isInSpans, type OffsetSpan, spansBetween } from "./offset-spans.ts";

/** Interfaces that are told apart; what comes beyond counts by link type alone. */
const MAX_INTERFACES = 4096;

/** Frames of compressed batches are handed over when they come to this: chunks of a few frames cost more than their frames. */
const CHUNK_BYTES = 512 * 1024;

/** Compressed batches that are decompressed in the thread pool while one is turned into frames. */
const BATCHES_AHEAD = 2;

/** Frames of one partition, in the order of their offsets. */
export interface FetchedChunk extends FrameChunk {
  readonly partition: number;
  /** Where to go on reading when these frames are dealt with. */
  readonly nextOffset: bigint;
  /** Offset of each frame, when they were asked for. */
  readonly offsets?: readonly bigint[];
  /** Nothing that was captured before the end of the range is behind these frames. */
  readonly isPast?: boolean;
  /** Why nothing behind these frames can be read. */
  readonly failure?: RecordBatchError;
}

/** Capture times, in microseconds since the epoch. */
export interface CaptureRange {
  /** The first that is wanted; undefined: from the beginning of time. */
  readonly fromMicros: number | undefined;
  /** The first that is not wanted any more; undefined: to the end of time. */
  readonly toMicros: number | undefined;
}

/** A record's timestamp is its capture time when they are no further apart. */
const SAME_TIME_MS = 1000;

/** What a decoder does with records. */
export interface FrameDecoderOptions {
  /** Fraction of the frame headers: nanoseconds or microseconds. */
  readonly nanosecond: boolean;
  readonly readCommitted: boolean;
  /** Collect the offset of each frame. */
  readonly withOffsets: boolean;
  /** Only frames captured in it. */
  readonly range?: CaptureRange | undefined;
  /** Records of partitions that were dealt with before, and are left out. */
  readonly done?: ReadonlyMap<number, readonly OffsetSpan[]> | undefined;
  /** Told once that records of some partition carry other timestamps than their capture times. */
  readonly onPublishTimes?: (() => void) | undefined;
  /** Told of records that are not frames. */
  readonly onForeignRecord: (partition: number, offset: bigint, reason: string) => void;
}

/** Records that are wanted of a batch. */
interface OffsetRange {
  readonly from: bigint;
  readonly until: bigint | undefined;
  /** But not of these. */
  readonly done?: readonly OffsetSpan[] | undefined;
}

/** A batch whose turn comes soon. */
interface PendingBatch {
  readonly header: RecordBatchHeader;
  /** Undefined when every record of it is wanted. */
  readonly range: OffsetRange | undefined;
  /** No frames of it are to be seen. */
  readonly isSkipped: boolean;
  /** Its records when they were compressed, on their way out of the thread pool, or of an older format. */
  readonly records: Promise<FetchedRecords> | undefined;
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
 *
 * The records of a compressed batch are moved in the memory they were
 * decompressed into. A chunk is made of one such piece, or of several small
 * ones that are copied together; its batches are never divided.
 */
export class FrameDecoder {
  readonly #options: FrameDecoderOptions;
  readonly #headers = new FrameHeaderDecoder();
  readonly #interfaces: CaptureInterface[] = [
    { sensor: "", name: "", linkType: 1, snapLengthBytes: MAX_FRAME_BYTES },
  ];
  readonly #interfaceIndex = new Map<string, number>([["1\0\0", 0]]);
  // The chunk under construction: finished pieces of memory, then the one that is written to.
  #pieces: Buffer[] = [];
  #piecesBytes = 0;
  #target: Buffer = Buffer.alloc(0);
  #targetStart = 0;
  #out = 0;
  #frameCount = 0;
  #interfaceOf: Uint16Array | undefined;
  #offsets: bigint[] = [];
  #lastInterface = 0;
  /** Frames left out because they were captured outside of the range. */
  outOfRange = 0;
  readonly #fromMicros: number;
  readonly #toMicros: number;
  /** Partitions with records whose timestamps say nothing of their capture times. */
  readonly #publishTimes = new Set<number>();
  #isPast = false;

  constructor(options: FrameDecoderOptions) {
    this.#options = options;
    this.#fromMicros = options.range?.fromMicros ?? 0;
    this.#toMicros = options.range?.toMicros ?? Infinity;
  }

  /**
   * @param bytes the response; the frames are moved within it
   * @param fetched one partition of it
   * @param from offset that was asked for: records before it in the same batch are left out
   * @param until records from this offset on are left out
   * @returns chunks in order, each valid until the next is asked for; the last may be without
   *   frames and tells where to go on. One `decode` at a time.
   * @throws RecordBatchError when a batch is damaged or cannot be read and no frame came before it
   *   in its chunk; else the chunk ends there and carries the failure
   */
  async *decode(
    bytes: Buffer,
    fetched: FetchedPartition,
    from: bigint,
    until?: bigint,
  ): AsyncGenerator<FetchedChunk, void, void> {
    const { partition, recordsStart } = fetched;
    this.#beginChunk();
    this.#isPast = false;
    this.#beginPiece(bytes, recordsStart);
    let nextOffset = from;
    const batches = this.#batches(bytes, fetched, { from, until });
    // Batches that were looked at ahead of their turn: only compressed ones are.
    const ahead: PendingBatch[] = [];
    let failure: RecordBatchError | undefined;
    for (;;) {
      try {
        while (
          ahead.length === 0 ||
          (ahead.length <= BATCHES_AHEAD && isCompressed(ahead.at(-1)!))
        ) {
          const batch = failure === undefined ? batches.next() : undefined;
          if (batch === undefined || batch.done === true) break;
          ahead.push(batch.value);
        }
      } catch (error) {
        failure = asRecordBatchError(error);
      }
      const batch = ahead.shift();
      if (batch === undefined) break;
      const { header, range, records } = batch;
      try {
        if (records !== undefined) {
          this.#endPiece();
          const apart = await records;
          this.#beginPiece(apart.records, 0);
          const { length } = apart.records;
          this.#decodeRecords(apart.records, 0, length, apart.header, partition, range);
        } else if (!batch.isSkipped) {
          if (this.#target !== bytes) {
            this.#endPiece();
            this.#beginPiece(bytes, header.recordsStart);
          }
          this.#decodeRecords(
            bytes,
            header.recordsStart,
            header.recordsEnd,
            header,
            partition,
            range,
          );
        }
      } catch (error) {
        failure = asRecordBatchError(error);
        break;
      }
      nextOffset = header.baseOffset + BigInt(header.lastOffsetDelta) + 1n;
      if (until !== undefined && nextOffset > until) nextOffset = until;
      const isDue = this.#piecesBytes + this.#out - this.#targetStart >= CHUNK_BYTES;
      if (records !== undefined && isDue) {
        yield this.#endChunk(partition, nextOffset);
        this.#beginChunk();
      }
    }
    if (failure !== undefined && this.#frameCount === 0) throw failure;
    yield this.#endChunk(partition, nextOffset, failure);
    this.#target = Buffer.alloc(0);
  }

  /** The batches of a partition that hold something wanted; decompression begins as they are met. */
  *#batches(
    bytes: Buffer,
    fetched: FetchedPartition,
    { from, until }: OffsetRange,
  ): Generator<PendingBatch, void, void> {
    const { recordsStart, recordsEnd } = fetched;
    const aborted = new AbortedProducers(fetched, this.#options.readCommitted);
    for (let start = recordsStart; start < recordsEnd;) {
      const header = readFetchedHeader(bytes, start, recordsEnd, true);
      if (header === undefined) return;
      start = header.recordsEnd;
      const lastOffset = header.baseOffset + BigInt(header.lastOffsetDelta);
      if (lastOffset < from) continue;
      if (until !== undefined && header.baseOffset >= until) return;
      const isSkipped = aborted.skips(bytes, header);
      const isWhole = header.baseOffset >= from && (until === undefined || lastOffset < until);
      const done = spansBetween(
        this.#options.done?.get(fetched.partition),
        header.baseOffset,
        lastOffset,
      );
      let records: Promise<FetchedRecords> | undefined;
      if (isDecodedApart(header) && !isSkipped) {
        records = readFetchedRecords(bytes, header);
        // What it throws is met when its turn comes.
        records.catch(() => {});
      }
      const range = isWhole && done === undefined ? undefined : { from, until, done };
      yield { header, range, isSkipped, records };
    }
  }

  #beginChunk(): void {
    this.#pieces = [];
    this.#piecesBytes = 0;
    this.#frameCount = 0;
    this.#interfaceOf = undefined;
    this.#offsets = [];
    this.#beginPiece(Buffer.alloc(0), 0);
  }

  #beginPiece(target: Buffer, start: number): void {
    this.#target = target;
    this.#targetStart = this.#out = start;
  }

  #endPiece(): void {
    if (this.#out === this.#targetStart) return;
    const piece = this.#target.subarray(this.#targetStart, this.#out);
    this.#pieces.push(piece);
    this.#piecesBytes += piece.length;
    this.#targetStart = this.#out;
  }

  #endChunk(partition: number, nextOffset: bigint, failure?: RecordBatchError): FetchedChunk {
    this.#endPiece();
    const pieces = this.#pieces;
    return {
      bytes: pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, this.#piecesBytes),
      frameCount: this.#frameCount,
      bigEndian: false,
      nanosecond: this.#options.nanosecond,
      interfaces: this.#interfaces,
      ...(this.#interfaceOf === undefined ? {} : { interfaceOf: this.#interfaceOf }),
      ...(this.#options.withOffsets ? { offsets: this.#offsets } : {}),
      partition,
      nextOffset,
      ...(this.#isPast && { isPast: true }),
      ...(failure && { failure }),
    };
  }

  #decodeRecords(
    bytes: Buffer,
    recordsStart: number,
    recordsEnd: number,
    { baseOffset, baseTimestampMs, recordCount }: RecordBatchHeader,
    partition: number,
    range: OffsetRange | undefined,
  ): void {
    const { nanosecond, withOffsets } = this.#options;
    const fromMicros = this.#fromMicros;
    const toMicros = this.#toMicros;
    let lastMicros = -1;
    let lastTimestampMs = 0;
    const records = new RecordCursor(bytes, recordsStart, recordsEnd, recordCount);
    while (records.next()) {
      if (range !== undefined) {
        const offset = baseOffset + BigInt(records.offsetDelta);
        if (offset < range.from) continue;
        if (range.until !== undefined && offset >= range.until) break;
        if (range.done !== undefined && isInSpans(range.done, offset)) continue;
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
      lastMicros = micros;
      lastTimestampMs = baseTimestampMs + records.timestampDelta;
      if (micros < fromMicros || micros >= toMicros) {
        this.outOfRange++;
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
        if (headers.wireLength >= 0) wireLength = headers.wireLength;
        index = this.#findInterface(headers);
        if (index > 0) this.#interfaceOf ??= new Uint16Array(this.#frameCount + 64);
      }
      if (this.#interfaceOf !== undefined) this.#setInterface(index);
      if (withOffsets) this.#offsets.push(baseOffset + BigInt(records.offsetDelta));
      this.#writeFrame(bytes, valueStart, valueLength, seconds, fraction, wireLength);
    }
    if (toMicros !== Infinity && lastMicros >= 0) {
      this.#noteTimes(partition, baseTimestampMs, lastTimestampMs, lastMicros);
    }
  }

  /**
   * Live frames carry their capture time as timestamp: with one that is past the range its partition is
   * done. Where timestamps are those of publishing, only the end of the partition is an end.
   */
  #noteTimes(
    partition: number,
    firstTimestampMs: number,
    lastTimestampMs: number,
    lastMicros: number,
  ): void {
    const isSame = Math.abs(lastTimestampMs - lastMicros / 1000) <= SAME_TIME_MS;
    if (!isSame && !this.#publishTimes.has(partition)) {
      if (this.#publishTimes.size === 0) this.#options.onPublishTimes?.();
      this.#publishTimes.add(partition);
    }
    this.#isPast = firstTimestampMs * 1000 >= this.#toMicros && !this.#publishTimes.has(partition);
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

function isCompressed({ records }: PendingBatch): boolean {
  return records !== undefined;
}

function asRecordBatchError(error: unknown): RecordBatchError {
  if (error instanceof RecordBatchError) return error;
  if (!(error instanceof RangeError)) throw error;
  return new RecordBatchError(`a record is damaged: ${error.message}`, { cause: error });
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
