import type { Logger } from "../logger.ts";
import { cutFrames, keepFrames } from "../packet/chunk-stages.ts";
import { flowHash } from "../packet/flow-hash.ts";
import { forEachFrame } from "../packet/frame-chunk.ts";
import type { FrameChunk } from "../packet/frame-chunk.ts";
import { avalanche } from "../packet/hash-mix.ts";
import type { OverloadPolicy } from "../packet/overload-policy.ts";

/** Frames that an overload has cost something, see `ProduceSummary`. */
export interface OverloadCounters {
  truncated: number;
  sampledOut: number;
}

/**
 * What is done to frames of an interface while neither memory nor spool has
 * room. It begins when a frame finds none, and is over when there is plenty.
 */
export class Overload {
  readonly counters: OverloadCounters = { truncated: 0, sampledOut: 0 };
  readonly #policy: OverloadPolicy;
  readonly #logger: Logger;
  #sinceMs: number | undefined;
  #dropped = 0;
  #atBegin: OverloadCounters = { truncated: 0, sampledOut: 0 };

  constructor(policy: OverloadPolicy, logger: Logger) {
    this.#policy = policy;
    this.#logger = logger;
  }

  /** A frame found no room. */
  begin(): void {
    if (this.#sinceMs !== undefined) return;
    this.#sinceMs = performance.now();
    this.#dropped = 0;
    this.#atBegin = { ...this.counters };
    this.#logger.warn(`Overload begins: Kafka, memory and spool take no more; ${this.#describe()}`);
  }

  /** There is plenty of room again. */
  end(): void {
    if (this.#sinceMs === undefined) return;
    const seconds = Math.round((performance.now() - this.#sinceMs) / 1000);
    const { truncated, sampledOut } = this.counters;
    this.#sinceMs = undefined;
    this.#logger.info(
      `Overload is over after ${seconds} s: frames cut ${truncated - this.#atBegin.truncated}, ` +
        `sampled out ${sampledOut - this.#atBegin.sampledOut}, dropped ${this.#dropped}`,
    );
  }

  /** Frames were dropped because there is no room even so. */
  noteDropped(frames: number): void {
    this.#dropped += frames;
  }

  /** The chunk itself when there is no overload; otherwise what the policy leaves of it. */
  shape(chunk: FrameChunk): FrameChunk {
    if (this.#sinceMs === undefined) return chunk;
    switch (this.#policy.kind) {
      case "drop-new":
        return chunk;
      case "truncate":
        return this.#cut(chunk, this.#policy.bytes);
      case "sample":
        return this.#sample(chunk, this.#policy.oneOf);
    }
  }

  #cut(chunk: FrameChunk, bytes: number): FrameChunk {
    forEachFrame(chunk, (_start, capturedLength) => {
      if (capturedLength > bytes) this.counters.truncated++;
    });
    return cutFrames(chunk, bytes);
  }

  /** Whole conversations: both directions, for as long as it lasts. */
  #sample(chunk: FrameChunk, oneOf: number): FrameChunk {
    const { bytes, interfaces, interfaceOf } = chunk;
    const verdicts = new Uint8Array(chunk.frameCount);
    forEachFrame(chunk, (start, capturedLength, _wire, _seconds, _fraction, index) => {
      const origin = interfaceOf?.[index] ?? 0;
      const linkType = interfaces[origin]?.linkType ?? 1;
      const hash = flowHash(bytes, start, start + capturedLength, linkType, origin);
      // Mixed again, or the choice would go with the partitions.
      if ((avalanche(hash) >>> 0) % oneOf === 0) verdicts[index] = 1;
      else this.counters.sampledOut++;
    });
    return keepFrames(chunk, verdicts);
  }

  #describe(): string {
    switch (this.#policy.kind) {
      case "drop-new":
        return "new frames are dropped (--overload drop-new)";
      case "truncate":
        return `frames are cut to ${this.#policy.bytes} bytes, and dropped where that is not enough (--overload truncate)`;
      case "sample":
        return `one conversation of ${this.#policy.oneOf} is kept, and frames dropped where that is not enough (--overload sample)`;
    }
  }
}
