import type { Writable } from "node:stream";
import { PcapWriter } from "../capture-file/pcap-writer.ts";
import type { FetchedChunk } from "../kafka/frame-decoder.ts";
import type { Logger } from "../logger.ts";
import { keepLinkType, takeFrames } from "../packet/chunk-stages.ts";
import { formatLinkType, LINKTYPE_ETHERNET } from "../packet/link-types.ts";
import type { FrameChunk } from "../packet/frame-chunk.ts";
import type { ConsumeOptions } from "./pipeline-options.ts";
import { printConsumed } from "./print-packets.ts";

/**
 * Where a consumer's frames go: a pcap file, or text. Counts what it wrote and
 * what it left out.
 */
export class FrameOutput {
  /** Frames written or printed. */
  written = 0;
  /** Frames left out because a pcap file holds one link type only. */
  otherLinkType = 0;
  readonly #stream: Writable;
  readonly #options: ConsumeOptions;
  readonly #logger: Logger;
  readonly #leftOutTypes = new Set<number>();
  #writer: PcapWriter | undefined;
  #linkType = LINKTYPE_ETHERNET;

  constructor(stream: Writable, options: ConsumeOptions, logger: Logger) {
    this.#stream = stream;
    this.#options = options;
    this.#logger = logger;
  }

  /** True when the link type of the file still has to be found out. */
  get needsLinkType(): boolean {
    return this.#writer === undefined && this.#options.prettyPrint === undefined;
  }

  /** True when as many frames are out as were asked for. */
  get isFull(): boolean {
    const { maxPackets } = this.#options;
    return maxPackets > 0 && this.written >= maxPackets;
  }

  /** Writes the file's header, unless it is written or text is printed. */
  begin(linkType: number): void {
    if (!this.needsLinkType) return;
    const { fileType, snapLengthBytes } = this.#options;
    this.#linkType = linkType;
    this.#writer = new PcapWriter(this.#stream, {
      linkType,
      snapLengthBytes,
      nanosecond: fileType === "nsecpcap",
    });
  }

  /**
   * Writes the frames of a chunk, as many as are still wanted.
   *
   * @returns the offset behind the last frame that was dealt with; resolves when they are written
   * @throws the stream's error
   */
  async take(fetched: FetchedChunk): Promise<bigint> {
    const { topic, prettyPrint } = this.#options;
    if (fetched.frameCount === 0) return fetched.nextOffset;
    if (prettyPrint !== undefined) {
      const chunk = { ...fetched, ...takeFrames(fetched, this.#left()) };
      printConsumed(prettyPrint, topic, chunk, this.written);
      this.written += chunk.frameCount;
      return offsetBehind(fetched, chunk.frameCount);
    }
    this.begin(fetched.interfaces[fetched.interfaceOf?.[0] ?? 0]!.linkType);
    const wanted = takeFrames(fetched, this.#framesUpToLimit(fetched));
    const chunk = keepLinkType(wanted, this.#linkType);
    if (chunk.frameCount < wanted.frameCount) this.#countLeftOut(wanted, chunk.frameCount);
    if (chunk.frameCount > 0) await this.#writer!.writeChunk(chunk);
    this.written += chunk.frameCount;
    return offsetBehind(fetched, wanted.frameCount);
  }

  #left(): number {
    const { maxPackets } = this.#options;
    return maxPackets > 0 ? maxPackets - this.written : Infinity;
  }

  /** How many frames of a chunk there are up to the last one that is still wanted. */
  #framesUpToLimit({ frameCount, interfaces, interfaceOf }: FetchedChunk): number {
    const left = this.#left();
    if (left >= frameCount || interfaceOf === undefined) return left;
    let kept = 0;
    for (let index = 0; index < frameCount; index++) {
      if (interfaces[interfaceOf[index]!]!.linkType === this.#linkType) kept++;
      if (kept === left) return index + 1;
    }
    return frameCount;
  }

  /** Completes the file: one without frames has a header all the same. */
  async end(): Promise<void> {
    if (this.#options.prettyPrint !== undefined) return;
    this.begin(LINKTYPE_ETHERNET);
    await this.#writer!.end();
  }

  #countLeftOut({ frameCount, interfaces, interfaceOf }: FrameChunk, kept: number): void {
    this.otherLinkType += frameCount - kept;
    const used = interfaceOf === undefined ? [0] : new Set(interfaceOf.subarray(0, frameCount));
    for (const index of used) {
      const { linkType } = interfaces[index]!;
      if (linkType === this.#linkType || this.#leftOutTypes.has(linkType)) continue;
      this.#leftOutTypes.add(linkType);
      this.#logger.warn(
        `Frames of link type ${formatLinkType(linkType)} are left out: a pcap file has one link type, ` +
          `this one ${formatLinkType(this.#linkType)}; -F pcapng, which carries them all, is not there yet: ` +
          `--linktype ${linkType} takes these instead`,
      );
    }
  }
}

/** Offset behind the first `count` frames of a chunk, which has offsets when that is less than all. */
function offsetBehind({ frameCount, nextOffset, offsets }: FetchedChunk, count: number): bigint {
  if (count >= frameCount || offsets === undefined) return nextOffset;
  return count === 0 ? offsets[0]! : offsets[count - 1]! + 1n;
}
