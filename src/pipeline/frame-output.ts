import type { Writable } from "node:stream";
import { createCaptureWriter, type CaptureWriter } from "../capture-file/capture-writer.ts";
import { CompressedOutput } from "../capture-file/compressed-output.ts";
import { FileOutput } from "../capture-file/file-output.ts";
import { RingWriter, type RingOptions } from "../capture-file/ring-writer.ts";
import { abortable } from "../kafka/abortable.ts";
import type { Logger } from "../logger.ts";
import { keepLinkType, takeFrames } from "../packet/chunk-stages.ts";
import { formatLinkType, LINKTYPE_ETHERNET } from "../packet/link-types.ts";
import type { FrameChunk } from "../packet/frame-chunk.ts";
import type { ConsumeOptions } from "./pipeline-options.ts";
import { printConsumed } from "./print-packets.ts";
import { positionsBehind, type ReadChunk } from "./read-chunk.ts";

/**
 * Where a consumer's frames go: a capture file, a ring of them, or text. Counts what it wrote and
 * what it left out.
 */
export class FrameOutput {
  /** Frames written or printed. */
  written = 0;
  /** Frames left out because a pcap file holds one link type only. */
  otherLinkType = 0;
  readonly #target: Writable | RingOptions;
  /** The file that the target is, or that stands behind its compression. */
  readonly #file: FileOutput | undefined;
  readonly #options: ConsumeOptions;
  readonly #logger: Logger;
  readonly #patience: AbortSignal;
  readonly #leftOutTypes = new Set<number>();
  #writer: CaptureWriter | RingWriter | undefined;
  #linkType = LINKTYPE_ETHERNET;

  /** @param patience ends all waiting for an output that takes nothing; its reason is thrown then */
  constructor(
    target: Writable | RingOptions,
    options: ConsumeOptions,
    logger: Logger,
    patience: AbortSignal = new AbortController().signal,
  ) {
    const { compression } = options;
    this.#target =
      compression === undefined || "limits" in target
        ? target
        : new CompressedOutput(target, compression);
    this.#file = target instanceof FileOutput ? target : undefined;
    this.#options = options;
    this.#logger = logger;
    this.#patience = patience;
    if (options.topicMustExist !== true) this.beginAnyLinkType();
  }

  /** True when the link type of the file still has to be found out. */
  get needsLinkType(): boolean {
    return this.#writer === undefined && this.#options.prettyPrint === undefined;
  }

  /** True when as many frames are out as were asked for. */
  get isFull(): boolean {
    const { maxPackets } = this.#options;
    const isLastFileFull = this.#writer instanceof RingWriter && this.#writer.isFull;
    return (maxPackets > 0 && this.written >= maxPackets) || isLastFileFull;
  }

  get #isPcapng(): boolean {
    return this.#options.fileType === "pcapng";
  }

  /** Writes the file's header, unless it is written or text is printed. */
  begin(linkType: number): void {
    if (this.needsLinkType) this.#open(linkType);
  }

  /** Writes the header of a pcapng file, which names link types as they are met; others wait for one. */
  beginAnyLinkType(): void {
    if (this.#isPcapng && this.needsLinkType) this.#open(this.#options.linkType);
  }

  #open(linkType: number | undefined): void {
    const { fileType, snapLengthBytes, application = "pcapts", group } = this.#options;
    this.#linkType = linkType ?? LINKTYPE_ETHERNET;
    const format = { fileType, linkType, snapLengthBytes, application };
    this.#writer =
      "limits" in this.#target
        ? new RingWriter(
            { ...this.#target, isDurable: group?.autoCommit === true },
            format,
            this.#options.compression,
          )
        : createCaptureWriter(this.#target, format);
  }

  /**
   * Writes the frames of a chunk, as many as are still wanted.
   *
   * @returns where to go on reading behind the frames that are dealt with, written or left out;
   *   resolves when they are written
   * @throws the stream's error; the reason of a patience that is over
   */
  async take(read: ReadChunk): Promise<ReadonlyMap<number, bigint>> {
    if (read.frameCount === 0) return read.positions;
    return positionsBehind(read, await abortable(this.#take(read), this.#patience));
  }

  async #take(read: ReadChunk): Promise<number> {
    const { topic, prettyPrint } = this.#options;
    if (prettyPrint !== undefined) {
      const chunk = { ...read, ...takeFrames(read, this.#left()) };
      printConsumed(prettyPrint, topic, chunk, this.written);
      await prettyPrint.flush?.();
      this.written += chunk.frameCount;
      return chunk.frameCount;
    }
    this.begin(read.interfaces[read.interfaceOf?.[0] ?? 0]!.linkType);
    const wanted = takeFrames(read, this.#framesUpToLimit(read));
    const chunk = this.#isPcapng ? wanted : keepLinkType(wanted, this.#linkType);
    if (chunk.frameCount < wanted.frameCount) this.#countLeftOut(wanted, chunk.frameCount);
    if (chunk.frameCount === 0) return wanted.frameCount;
    const written = await this.#write(chunk);
    this.written += written;
    return written === chunk.frameCount ? wanted.frameCount : this.#indexOfKept(wanted, written);
  }

  /**
   * Resolves when what was taken is where it is to be: on the disk, where that is a file, else
   * out of this process.
   *
   * @throws the stream's error; the reason of a patience that is over
   */
  async flush(): Promise<void> {
    await abortable(this.#flush(), this.#patience);
  }

  async #flush(): Promise<void> {
    if (this.#writer instanceof RingWriter) await this.#writer.flush();
    if (this.#target instanceof CompressedOutput) await this.#target.flush();
    await this.#file?.sync();
  }

  async #write(chunk: FrameChunk): Promise<number> {
    const writer = this.#writer!;
    if (writer instanceof RingWriter) return writer.writeFrames(chunk);
    await writer.writeChunk(chunk);
    return chunk.frameCount;
  }

  #left(): number {
    const { maxPackets } = this.#options;
    return maxPackets > 0 ? maxPackets - this.written : Infinity;
  }

  /** How many frames of a chunk there are up to the last one that is still wanted. */
  #framesUpToLimit(chunk: FrameChunk): number {
    const left = this.#left();
    if (left >= chunk.frameCount || chunk.interfaceOf === undefined) return left;
    return left === 0 ? 0 : this.#indexOfKept(chunk, left - 1) + 1;
  }

  /** Where the frame stands that is kept after `count` others; behind all when there are no more. */
  #indexOfKept({ frameCount, interfaces, interfaceOf }: FrameChunk, count: number): number {
    if (this.#isPcapng || interfaceOf === undefined) return Math.min(count, frameCount);
    let kept = 0;
    for (let index = 0; index < frameCount; index++) {
      if (interfaces[interfaceOf[index]!]!.linkType !== this.#linkType) continue;
      if (kept === count) return index;
      kept++;
    }
    return frameCount;
  }

  /**
   * Completes the file: one without frames has a header all the same.
   *
   * @throws the stream's error; the reason of a patience that is over
   */
  async end(): Promise<void> {
    await abortable(this.#end(), this.#patience);
  }

  async #end(): Promise<void> {
    const { prettyPrint } = this.#options;
    if (prettyPrint !== undefined) {
      await prettyPrint.flush?.();
      return;
    }
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
          `this one ${formatLinkType(this.#linkType)}; -F pcapng carries them all, ` +
          `and --linktype ${linkType} takes these instead`,
      );
    }
  }
}
