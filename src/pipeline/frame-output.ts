import type { Writable } from "node:stream";
import { createCaptureWriter, type CaptureWriter } from "../capture-file/capture-writer.ts";
import { CompressedOutput } from "../capture-file/compressed-output.ts";
import { FileOutput } from "../capture-file/file-output.ts";
import { FrameTally } from "../capture-file/frame-tally.ts";
import type { RingFileFinding, RingFilePlace } from "../capture-file/ring-file.ts";
import {
  type RingKeeper,
  type RingMark,
  type RingOptions,
  RingWriter,
} from "../capture-file/ring-writer.ts";
import { abortable } from "../kafka/abortable.ts";
import type { Logger } from "../logger.ts";
import { keepLinkType, takeFrames } from "../packet/chunk-stages.ts";
import { formatLinkType, LINKTYPE_ETHERNET } from "../packet/link-types.ts";
import type { FrameChunk } from "../packet/frame-chunk.ts";
import type { ConsumeOptions } from "./pipeline-options.ts";
import { printConsumed } from "./print-packets.ts";
import { type Dealt, dealtBehind, type ReadChunk } from "./read-chunk.ts";

/** What is counted of an output. */
interface OutputCounts {
  readonly written: number;
  readonly otherLinkType: number;
}

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
  readonly #keeper: RingKeeper | undefined;
  readonly #countsAt = new WeakMap<RingMark, OutputCounts>();
  readonly #leftOutTypes = new Set<number>();
  readonly #tally: FrameTally;
  #writer: CaptureWriter | RingWriter | undefined;
  #linkType = LINKTYPE_ETHERNET;

  /**
   * @param patience ends all waiting for an output that takes nothing; its reason is thrown then
   * @param keeper of a ring that can be gone on with
   */
  constructor(
    target: Writable | RingOptions,
    options: ConsumeOptions,
    logger: Logger,
    patience: AbortSignal = new AbortController().signal,
    keeper?: RingKeeper,
  ) {
    const { compression } = options;
    this.#target =
      compression === undefined || "limits" in target
        ? target
        : new CompressedOutput(target, compression);
    this.#file = target instanceof FileOutput ? target : undefined;
    const compressed = this.#target instanceof CompressedOutput ? this.#target : undefined;
    this.#tally = new FrameTally(options.fileType, this.#file, compressed);
    this.#options = options;
    this.#logger = logger;
    this.#patience = patience;
    this.#keeper = keeper;
    if (options.topicMustExist !== true) this.beginAnyLinkType();
  }

  /** True when the link type of the file still has to be found out. */
  get needsLinkType(): boolean {
    return this.#writer === undefined && this.#options.prettyPrint === undefined;
  }

  /** True when as many frames are out as were asked for. */
  get isFull(): boolean {
    const { maxPackets } = this.#options;
    return (maxPackets > 0 && this.written >= maxPackets) || this.#ring?.isFull === true;
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
    const { fileType, snapLengthBytes, application = "pcapts", compression } = this.#options;
    this.#linkType = linkType ?? LINKTYPE_ETHERNET;
    const format = { fileType, linkType, snapLengthBytes, application };
    this.#writer =
      "limits" in this.#target
        ? new RingWriter(this.#target, format, compression, this.#keeper)
        : createCaptureWriter(this.#target, format);
  }

  /**
   * Writes the frames of a chunk, as many as are still wanted.
   *
   * @returns how far partitions are dealt with by the frames written or left out; resolves when they
   *   are written
   * @throws the stream's error; the reason of a patience that is over
   */
  async take(read: ReadChunk): Promise<Dealt> {
    if (read.frameCount === 0) return read;
    return dealtBehind(read, await abortable(this.#take(read), this.#patience));
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

  /** True when it would make room to commit soon: files could be deleted then. */
  get wantsCommit(): boolean {
    return this.#ring?.hasDoomed === true;
  }

  /** Link type that the header of a pcap file has, once there is one. */
  get linkType(): number | undefined {
    return this.#writer === undefined || this.#isPcapng ? undefined : this.#linkType;
  }

  get #ring(): RingWriter | undefined {
    return this.#writer instanceof RingWriter ? this.#writer : undefined;
  }

  /**
   * Hands over everything that was taken, while nothing more is.
   *
   * @returns the place behind it, in a ring
   * @throws the stream's error; the reason of a patience that is over
   */
  async mark(): Promise<RingMark | undefined> {
    return abortable(this.#mark(), this.#patience);
  }

  async #mark(): Promise<RingMark | undefined> {
    if (this.#target instanceof CompressedOutput) await this.#target.flush();
    const mark = await this.#ring?.mark();
    const { written, otherLinkType } = this;
    if (mark !== undefined) this.#countsAt.set(mark, { written, otherLinkType });
    return mark;
  }

  /**
   * Resolves when what was handed over is on the disk, where the output is a file.
   *
   * @throws the operating system's error; the reason of a patience that is over
   */
  async sync(): Promise<void> {
    await abortable(Promise.all([this.#ring?.sync(), this.#file?.sync()]), this.#patience);
  }

  /** Nothing goes back before a mark any more. */
  async forgetBefore(mark: RingMark): Promise<void> {
    await this.#ring?.deleteDoomed(mark);
  }

  /**
   * Goes on with a ring at a mark; what was written behind it counts as not written.
   *
   * @param linkType of the pcap file in hand
   * @param begun files that were begun behind the mark
   * @throws PcaptsError OUTPUT_NOT_WRITABLE
   */
  async goOn(
    mark: RingMark,
    linkType: number | undefined,
    begun: readonly string[],
  ): Promise<void> {
    const { written = 0, otherLinkType = 0 } = this.#countsAt.get(mark) ?? {};
    this.written = written;
    this.otherLinkType = otherLinkType;
    if (linkType !== undefined) this.begin(linkType);
    const found = await this.#ring?.goOn(mark, begun);
    if (found !== undefined) this.#sayWhere(mark.current!, found);
    if (mark.names.count === 0) await this.#ring?.begin();
  }

  #sayWhere({ path, length }: RingFilePlace, { state, bytesBehind }: RingFileFinding): void {
    if (state === "same") {
      const rest = bytesBehind > 0 ? `; the ${bytesBehind} bytes behind it are not committed` : "";
      this.#logger.info(`Going on in "${path}" at byte ${length}${rest}`);
    } else if (state === "missing") {
      this.#logger.info(`"${path}" is not there any more, going on with the next file`);
    } else {
      this.#logger.warn(
        `"${path}" is not what it was when it was left: nothing in it is changed, going on with the next file`,
      );
    }
  }

  async #write(chunk: FrameChunk): Promise<number> {
    const writer = this.#writer!;
    if (writer instanceof RingWriter) {
      const before = writer.taken;
      try {
        return await writer.writeFrames(chunk);
      } catch (error) {
        this.written += writer.taken - before;
        throw error;
      }
    }
    await writer.writeChunk(chunk);
    this.#tally.took(chunk.frameCount);
    return chunk.frameCount;
  }

  /** Once the output has failed: counts as written what is in it, and nothing else. */
  settle(): void {
    this.written += this.#ring?.settle() ?? this.#tally.settle();
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
