import { crc32 } from "node:zlib";
import { ByteRangeError, ByteReader } from "../bytes/byte-reader.ts";
import { writeVarint } from "../bytes/varint.ts";
import { XxHash32 } from "../bytes/xxhash32.ts";
import { decompressRecords } from "./compression.ts";
import { BATCH_ATTRIBUTE, COMPRESSION_NAMES } from "./record-batch-format.ts";
import { RecordBatchError } from "./record-batch-reader.ts";
import type { RecordBatchHeader } from "./record-batch-reader.ts";

/*
 * Message set, what topics held before Kafka 0.11 and may still hold: messages one behind the other.
 * Source: Kafka documentation, "Old Message Format"; KIP-31, KIP-32.
 *
 *   0 offset       int64
 *   8 messageSize  int32   bytes that follow
 *  12 crc          uint32  CRC-32 of everything from magic on
 *  16 magic        int8    0 or 1
 *  17 attributes   int8    bits 0-2 compression, 3 timestamp type (magic 1)
 *  18 timestamp    int64   magic 1 only
 *     keyLength    int32   -1 is null
 *     key
 *     valueLength  int32   -1 is null
 *     value
 *
 * The value of a compressed message is a message set. The offset outside is that of the last message
 * within; the offsets within are those of the log (magic 0), or count from 0 (magic 1).
 */
const ENTRY_BYTES = 12;
const OFFSET_OF = { messageSize: 8, crc: 12, magic: 16, attributes: 17, timestamp: 18 } as const;

/** A message of magic 0 without key and value. */
const LEAST_MESSAGE_BYTES = 14;

/** Messages that are not compressed are taken together up to this: one by one they cost more than their frames. */
const RUN_BYTES = 512 * 1024;

/** What a record takes beside key and value at most: length, attributes, time, offset, two lengths, headers. */
const RECORD_OVERHEAD_BYTES = 40;

const LZ4_FRAME = { flags: 4, contentSizeFlag: 0x08 } as const;

/** Records as a batch of the present format would hold them. */
export interface MessageRecords {
  /** Of these records, offsets and times included. */
  readonly header: RecordBatchHeader;
  readonly records: Buffer;
}

/** True when messages of an older format begin there instead of a record batch. */
export function isMessageSet(bytes: Buffer, start: number, end: number): boolean {
  return end - start > OFFSET_OF.magic && bytes[start + OFFSET_OF.magic]! < 2;
}

/**
 * Describes the message at `start`, and those behind it if they are not compressed, as one batch.
 *
 * @param bytes what a broker sent for one partition, the last message perhaps cut
 * @param checkCrc verify checksums
 * @returns undefined when the first message is cut. Where the messages within a compressed one begin is
 *   not known before {@link decodeMessageSet}: `baseOffset` is 0 then, what is behind them is right
 * @throws RecordBatchError checksum, size or codec that cannot be
 */
export function readMessageSetHeader(
  bytes: Buffer,
  start: number,
  end: number,
  checkCrc: boolean,
): RecordBatchHeader | undefined {
  const first = readMessage(bytes, start, end, checkCrc);
  if (first === undefined) return undefined;
  if (first.compression !== "none") {
    const { valueStart, messageEnd } = first;
    if (first.valueLength < 0) throw damaged(first, "it is compressed and has no value");
    return describe(first, 0n, first.offset, 1, valueStart, messageEnd);
  }
  let last = first;
  let recordCount = 1;
  while (last.messageEnd - start < RUN_BYTES && isMessageSet(bytes, last.messageEnd, end)) {
    let next: Message | undefined;
    try {
      next = readMessage(bytes, last.messageEnd, end, checkCrc);
    } catch (error) {
      if (error instanceof RecordBatchError) break; // Its turn comes.
      throw error;
    }
    if (next === undefined || next.compression !== "none" || next.magic !== first.magic) break;
    last = next;
    recordCount++;
  }
  return describe(first, first.offset, last.offset, recordCount, start, last.messageEnd);
}

/**
 * Makes records of the messages that a header describes.
 *
 * @param bytes what `header` was read from
 * @returns records of the present format in memory of their own
 * @throws RecordBatchError damaged, too large, or the codec is not there
 */
export async function decodeMessageSet(
  bytes: Buffer,
  header: RecordBatchHeader,
): Promise<MessageRecords> {
  const { recordsStart, recordsEnd, compression } = header;
  if (compression === "none") {
    return encodeRecords(readMessages(bytes.subarray(recordsStart, recordsEnd)), header);
  }
  const isFirstFormat = header.magic === 0 && compression === "lz4";
  const value = isFirstFormat
    ? withLz4Checksum(bytes.subarray(recordsStart, recordsEnd))
    : bytes.subarray(recordsStart, recordsEnd);
  const set = await decompressRecords(value, {
    ...header,
    recordsStart: 0,
    recordsEnd: value.length,
  });
  const messages = readMessages(set);
  const lastOffset = header.baseOffset + BigInt(header.lastOffsetDelta);
  const within = messages.at(-1)?.offset ?? lastOffset;
  // A producer's own count, where a broker took it as it was, begins at 0.
  const shift = header.magic === 0 || lastOffset === 0n ? 0n : lastOffset - within;
  return encodeRecords(
    messages.map((message) => ({
      ...message,
      offset: message.offset + shift,
      ...(header.logAppendTime && { timestampMs: header.maxTimestampMs }),
    })),
    header,
  );
}

interface Message {
  readonly bytes: Buffer;
  readonly offset: bigint;
  readonly magic: 0 | 1;
  readonly compression: RecordBatchHeader["compression"];
  readonly logAppendTime: boolean;
  /** Milliseconds since the epoch; -1 for none. */
  readonly timestampMs: number;
  readonly keyStart: number;
  readonly keyLength: number;
  readonly valueStart: number;
  readonly valueLength: number;
  readonly messageEnd: number;
}

/** @returns undefined when it is cut */
function readMessage(
  bytes: Buffer,
  start: number,
  end: number,
  checkCrc: boolean,
): Message | undefined {
  if (end - start <= OFFSET_OF.magic) return undefined;
  const offset = bytes.readBigInt64BE(start);
  const size = bytes.readInt32BE(start + OFFSET_OF.messageSize);
  if (size < LEAST_MESSAGE_BYTES) throw damaged({ offset }, `its size ${size} is impossible`);
  const messageEnd = start + ENTRY_BYTES + size;
  if (messageEnd > end) return undefined;
  if (checkCrc) {
    const stated = bytes.readUInt32BE(start + OFFSET_OF.crc);
    const computed = crc32(bytes.subarray(start + OFFSET_OF.magic, messageEnd));
    if (stated !== computed) {
      throw damaged({ offset }, `its checksum is ${computed}, it states ${stated}`);
    }
  }
  const magic = bytes[start + OFFSET_OF.magic]!;
  if (magic > 1) throw damaged({ offset }, `it is of message format ${magic}`);
  const attributes = bytes[start + OFFSET_OF.attributes]!;
  const compression = COMPRESSION_NAMES[attributes & BATCH_ATTRIBUTE.compressionMask];
  if (compression === undefined) {
    throw damaged({ offset }, `codec ${attributes & BATCH_ATTRIBUTE.compressionMask} is unknown`);
  }
  const reader = new ByteReader(bytes, start + OFFSET_OF.timestamp, messageEnd);
  try {
    const timestampMs = magic === 0 ? -1 : Number(reader.readInt64());
    const keyLength = reader.readInt32();
    const keyStart = keyLength < 0 ? reader.offset : reader.skip(keyLength);
    const valueLength = reader.readInt32();
    const valueStart = valueLength < 0 ? reader.offset : reader.skip(valueLength);
    if (reader.remaining > 0) throw damaged({ offset }, "it is longer than what it holds");
    return {
      bytes,
      offset,
      magic: magic as 0 | 1,
      compression,
      logAppendTime: magic === 1 && (attributes & BATCH_ATTRIBUTE.logAppendTime) !== 0,
      timestampMs,
      keyStart,
      keyLength,
      valueStart,
      valueLength,
      messageEnd,
    };
  } catch (error) {
    if (error instanceof ByteRangeError) throw damaged({ offset }, error.message);
    throw error;
  }
}

/** All messages of a set that is whole and not compressed, their checksums unseen. */
function readMessages(bytes: Buffer): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at < bytes.length;) {
    const message = readMessage(bytes, at, bytes.length, false);
    if (message === undefined) throw new RecordBatchError("a message within another one is cut");
    if (message.compression !== "none") throw damaged(message, "it is compressed twice");
    messages.push(message);
    at = message.messageEnd;
  }
  return messages;
}

function describe(
  { magic, compression, logAppendTime, timestampMs }: Message,
  baseOffset: bigint,
  lastOffset: bigint,
  recordCount: number,
  recordsStart: number,
  recordsEnd: number,
): RecordBatchHeader {
  return {
    magic,
    baseOffset,
    lastOffsetDelta: Number(lastOffset - baseOffset),
    baseTimestampMs: timestampMs,
    maxTimestampMs: timestampMs,
    logAppendTime,
    compression,
    transactional: false,
    control: false,
    producerId: -1n,
    producerEpoch: -1,
    baseSequence: -1,
    recordCount,
    recordsStart,
    recordsEnd,
  };
}

function encodeRecords(messages: readonly Message[], header: RecordBatchHeader): MessageRecords {
  const [first] = messages;
  if (first === undefined)
    return { header: { ...header, recordCount: 0 }, records: Buffer.alloc(0) };
  const { offset: baseOffset, timestampMs: baseTimestampMs } = first;
  const most = messages.reduce(
    (sum, { keyLength, valueLength }) =>
      sum + RECORD_OVERHEAD_BYTES + Math.max(0, keyLength) + Math.max(0, valueLength),
    0,
  );
  const records = Buffer.allocUnsafe(most);
  const framing = Buffer.alloc(RECORD_OVERHEAD_BYTES);
  const valueFraming = Buffer.alloc(RECORD_OVERHEAD_BYTES);
  let at = 0;
  for (const message of messages) {
    const { bytes, keyStart, keyLength, valueStart, valueLength } = message;
    // Attributes: 0.
    let head = writeVarint(framing, 1, message.timestampMs - baseTimestampMs);
    head = writeVarint(framing, head, Number(message.offset - baseOffset));
    head = writeVarint(framing, head, keyLength);
    const valueHead = writeVarint(valueFraming, 0, valueLength);
    const size = head + valueHead + Math.max(0, keyLength) + Math.max(0, valueLength) + 1;
    at = writeVarint(records, at, size);
    at += framing.copy(records, at, 0, head);
    if (keyLength > 0) at += bytes.copy(records, at, keyStart, keyStart + keyLength);
    at += valueFraming.copy(records, at, 0, valueHead);
    if (valueLength > 0) at += bytes.copy(records, at, valueStart, valueStart + valueLength);
    // No headers.
    records[at++] = 0;
  }
  return {
    header: {
      ...header,
      compression: "none",
      baseOffset,
      lastOffsetDelta: Number(messages.at(-1)!.offset - baseOffset),
      baseTimestampMs,
      recordCount: messages.length,
      recordsStart: 0,
      recordsEnd: at,
    },
    records: records.subarray(0, at),
  };
}

/**
 * Clients of magic 0 computed the checksum of an LZ4 frame's header over the magic number, too
 * (KAFKA-3160); no other program takes such a frame.
 *
 * @returns the frame with the checksum that the format asks for
 */
function withLz4Checksum(value: Buffer): Buffer {
  const frame = Buffer.from(value);
  const hasSize = ((frame[LZ4_FRAME.flags] ?? 0) & LZ4_FRAME.contentSizeFlag) !== 0;
  const end = LZ4_FRAME.flags + (hasSize ? 10 : 2);
  if (end < frame.length) {
    const hash = new XxHash32().update(frame.subarray(LZ4_FRAME.flags, end)).digest();
    frame[end] = (hash >>> 8) & 0xff;
  }
  return frame;
}

function damaged({ offset }: Pick<Message, "offset">, reason: string): RecordBatchError {
  return new RecordBatchError(`the message at offset ${offset} is damaged: ${reason}`);
}
