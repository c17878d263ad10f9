/**
 * RecordBatch, magic 2. Source: Kafka documentation, "Record Batch"; KIP-98.
 *
 * ```
 *   0 baseOffset            int64
 *   8 batchLength           int32   bytes that follow
 *  12 partitionLeaderEpoch  int32
 *  16 magic                 int8    2
 *  17 crc                   uint32  CRC-32C of everything from attributes on
 *  21 attributes            int16   bits 0-2 compression, 3 timestamp type,
 *                                   4 transactional, 5 control
 *  23 lastOffsetDelta       int32
 *  27 baseTimestamp         int64
 *  35 maxTimestamp          int64
 *  43 producerId            int64
 *  51 producerEpoch         int16
 *  53 baseSequence          int32
 *  57 recordCount           int32
 *  61 records
 *
 * Record:
 *     length                varint  bytes that follow
 *     attributes            int8    unused
 *     timestampDelta        varlong
 *     offsetDelta           varint
 *     keyLength             varint  -1 is null
 *     key
 *     valueLength           varint  -1 is null
 *     value
 *     headerCount           varint
 *     headers               [keyLength varint, key, valueLength varint, value]
 * ```
 */
export const BATCH_HEADER_BYTES = 61;

/** Bytes of a batch that its batchLength field does not count. */
export const BATCH_LENGTH_OVERHEAD = 12;

/** Where each field of the header stands. */
export const OFFSET_OF = {
  baseOffset: 0,
  batchLength: 8,
  partitionLeaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  recordCount: 57,
} as const;

/** Bits of the attributes field. */
export const BATCH_ATTRIBUTE = {
  compressionMask: 0x07,
  logAppendTime: 0x08,
  transactional: 0x10,
  control: 0x20,
} as const;

/** Codecs by their number in the attributes field. */
export const COMPRESSION_NAMES = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
