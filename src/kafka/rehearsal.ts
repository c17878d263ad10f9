import { encodeProduce } from "../kafka-wire/produce.ts";
import { FRAME_HEADER_BYTES, type FrameChunk } from "../packet/frame-chunk.ts";
import { LINKTYPE_ETHERNET } from "../packet/link-types.ts";
import { BatchMemory } from "./batch-memory.ts";
import { FrameBatcher } from "./frame-batcher.ts";
import { createPartitioner } from "./partitioner.ts";
import { PartitionQueue } from "./partition-queue.ts";

const ROUNDS = 20;
const FRAMES = 100;
const FRAME_BYTES = 200;
const PARTITIONS = 2;
const BATCH_BYTES = 64 * 1024;
const LIMIT_BYTES = PARTITIONS * 2 * BATCH_BYTES;

const ETHERTYPE_IPV4 = 0x0800;
const PROTOCOL_UDP = 17;

/**
 * Publishes frames to nobody, so that those that are captured first meet code that is compiled.
 *
 * New code takes 10 µs for a frame, not 0.4, and is then compiled by threads of their own: at 100,000 frames a second
 * a capture began with pauses of 17 ms, which are of 6 ms after this. It takes 10 to 20 ms.
 */
export function rehearsePublishing(): void {
  const memory = new BatchMemory(BATCH_BYTES, LIMIT_BYTES, LIMIT_BYTES);
  const identity = { producerId: 0n, epoch: 0, nextSequence: 0 };
  const losses = { failed: () => {}, logBegunAnew: () => {} };
  const queues = Array.from(
    { length: PARTITIONS },
    (_, partition) => new PartitionQueue(partition, { ...identity }, 1, memory, losses),
  );
  const batcher = new FrameBatcher({
    queues,
    memory,
    partitioner: createPartitioner("flow", PARTITIONS),
    headers: { all: false, nameInterface: false },
    batchLimitBytes: BATCH_BYTES,
    largestBatchBytes: BATCH_BYTES,
    recordTimestamp: "capture",
    keptMs: Infinity,
    wallClock: Date.now,
    onTooLarge: () => {},
  });
  const chunk = makeChunk();
  for (let round = 0; round < ROUNDS; round++) {
    batcher.append(chunk, { offset: 0, frame: 0 });
    for (const queue of queues) {
      const batch = queue.take(performance.now());
      if (batch === undefined) continue;
      encodeProduce(8, "", -1, 0, [{ partition: queue.partition, batch: batch.sealed! }]);
      queue.acknowledged(batch, -1n);
    }
  }
}

/** UDP over IPv4, each frame of another flow. */
function makeChunk(): FrameChunk {
  const bytes = Buffer.alloc(FRAMES * (FRAME_HEADER_BYTES + FRAME_BYTES));
  const seconds = Math.floor(Date.now() / 1000);
  for (let index = 0, at = 0; index < FRAMES; index++) {
    bytes.writeUInt32LE(seconds, at);
    bytes.writeUInt32LE(index * 1000, at + 4);
    bytes.writeUInt32LE(FRAME_BYTES, at + 8);
    bytes.writeUInt32LE(FRAME_BYTES, at + 12);
    const ip = at + FRAME_HEADER_BYTES + 14;
    bytes.writeUInt16BE(ETHERTYPE_IPV4, ip - 2);
    bytes[ip] = 0x45;
    bytes[ip + 9] = PROTOCOL_UDP;
    bytes[ip + 15] = index;
    at += FRAME_HEADER_BYTES + FRAME_BYTES;
  }
  const nowhere = { sensor: "", name: "", linkType: LINKTYPE_ETHERNET, snapLengthBytes: 65_535 };
  return {
    bytes,
    frameCount: FRAMES,
    bigEndian: false,
    nanosecond: false,
    interfaces: [nowhere],
  };
}
