import { flowHash } from "../packet/flow-hash.ts";

/** Chooses the partition of the frame at `start` of `bytes`. */
export type Partitioner = (
  bytes: Buffer,
  start: number,
  end: number,
  linkType: number,
  interfaceIndex: number,
) => number;

/**
 * @param kind `flow` keeps both directions of a conversation in one partition, `random` is what Pycapa did
 * @param partitionCount at least 1
 */
export function createPartitioner(kind: "flow" | "random", partitionCount: number): Partitioner {
  if (partitionCount === 1) return () => 0;
  if (kind === "flow") {
    return (bytes, start, end, linkType, interfaceIndex) =>
      flowHash(bytes, start, end, linkType, interfaceIndex) % partitionCount;
  }
  // xorshift32 (Marsaglia 2003): Math.random costs a call into the runtime every 64 frames.
  let state = Math.floor(Math.random() * 0xffff_fffe) + 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % partitionCount;
  };
}
