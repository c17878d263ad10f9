import { ByteReader } from "../bytes/byte-reader.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";

/*
 * What members of a group of protocol type "consumer" tell each other through
 * the coordinator. Source: Kafka's ConsumerProtocolSubscription.json and
 * ConsumerProtocolAssignment.json, version 0, which every client reads.
 */

/*
 * Subscription:
 *   version    INT16
 *   topics     ARRAY STRING
 *   user_data  BYTES
 */
/** Encodes which topics a member wants. */
export function encodeSubscription(topics: readonly string[]): Buffer {
  const writer = new ByteWriter();
  writer.writeInt16(0);
  writer.writeInt32(topics.length);
  for (const topic of topics) writer.writeString(topic);
  writer.writeBytes(Buffer.alloc(0));
  return writer.bytes;
}

/** Topics that a member wants; later versions add fields behind them. */
export function decodeSubscription(bytes: Buffer): string[] {
  const reader = new ByteReader(bytes);
  reader.readInt16();
  const topics: string[] = [];
  for (let left = reader.readArrayLength(); left > 0; left--) topics.push(reader.readString());
  return topics;
}

/*
 * Assignment:
 *   version       INT16
 *   topics        ARRAY
 *     name        STRING
 *     partitions  ARRAY INT32
 *   user_data     BYTES
 */
/** Encodes which partitions of each topic a member gets. */
export function encodeAssignment(assignment: ReadonlyMap<string, readonly number[]>): Buffer {
  const writer = new ByteWriter();
  writer.writeInt16(0);
  writer.writeInt32(assignment.size);
  for (const [topic, partitions] of assignment) {
    writer.writeString(topic);
    writer.writeInt32(partitions.length);
    for (const partition of partitions) writer.writeInt32(partition);
  }
  writer.writeBytes(Buffer.alloc(0));
  return writer.bytes;
}

/** Partitions of each topic; empty bytes mean none. */
export function decodeAssignment(bytes: Buffer): Map<string, number[]> {
  const assignment = new Map<string, number[]>();
  if (bytes.length === 0) return assignment;
  const reader = new ByteReader(bytes);
  reader.readInt16();
  for (let topics = reader.readArrayLength(); topics > 0; topics--) {
    const topic = reader.readString();
    const partitions: number[] = [];
    for (let left = reader.readArrayLength(); left > 0; left--) {
      partitions.push(reader.readInt32());
    }
    assignment.set(topic, partitions);
  }
  return assignment;
}
