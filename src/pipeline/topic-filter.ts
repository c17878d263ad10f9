import { compilePacketFilter, type PacketFilter } from "../capture/packet-filter.ts";
import { PcaptsError } from "../errors.ts";
import type { FetchedChunk } from "../kafka/frame-decoder.ts";
import { type Logger, silentLogger } from "../logger.ts";
import { FRAME_HEADER_BYTES, forEachFrame } from "../packet/frame-chunk.ts";
import { formatLinkType, LINKTYPE_ETHERNET, listLinkTypes } from "../packet/link-types.ts";

/**
 * Lets through the frames of a topic that match a libpcap filter. It is compiled for each link type
 * that is met; frames of one that it does not compile for do not match.
 */
export class TopicFilter {
  /** Frames that did not match. */
  filtered = 0;
  /** Of those: frames of link types that the filter does not compile for. */
  notFilterable = 0;
  readonly #expression: string;
  readonly #logger: Logger;
  /** By link type; undefined is one that the filter does not compile for. */
  readonly #filters = new Map<number, PacketFilter | undefined>();
  #verdicts = new Uint8Array(0);
  #others = new Uint8Array(0);

  /**
   * @param logger told of link types that the filter does not compile for, when they are met
   * @throws PcaptsError FILTER_INVALID when it compiles for no link type at all, with libpcap's words for
   *   Ethernet; ENGINE_UNAVAILABLE where there is nothing to compile it with
   */
  constructor(expression: string, logger: Logger) {
    this.#expression = expression;
    this.#logger = logger;
    const refusal = this.#compile(LINKTYPE_ETHERNET);
    if (refusal === undefined) return;
    this.#filters.clear();
    const isWrong = listLinkTypes().every((linkType) => this.#compile(linkType) !== undefined);
    this.#filters.clear();
    if (isWrong) throw refusal;
  }

  /**
   * Keeps the frames that match, in the memory they are in.
   *
   * @returns the same chunk when all of them do
   */
  keep(chunk: FetchedChunk): FetchedChunk {
    if (chunk.frameCount === 0) return chunk;
    const verdicts = this.#judge(chunk);
    const { bytes, frameCount, interfaceOf, offsets } = chunk;
    let kept = 0;
    let length = 0;
    const keptInterfaceOf = interfaceOf && new Uint16Array(frameCount);
    const keptOffsets: bigint[] = [];
    // Neighbours that match are moved together.
    let from = 0;
    let end = 0;
    forEachFrame(chunk, (start, capturedLength, _wire, _seconds, _fraction, index) => {
      if (verdicts[index] === 0) return;
      const header = start - FRAME_HEADER_BYTES;
      if (header !== end) {
        if (from !== length && end > from) bytes.copyWithin(length, from, end);
        length += end - from;
        from = header;
      }
      end = start + capturedLength;
      if (keptInterfaceOf !== undefined) keptInterfaceOf[kept] = interfaceOf![index]!;
      if (offsets !== undefined) keptOffsets.push(offsets[index]!);
      kept++;
    });
    this.filtered += frameCount - kept;
    if (kept === frameCount) return chunk;
    if (from !== length && end > from) bytes.copyWithin(length, from, end);
    length += end - from;
    return {
      ...chunk,
      bytes: bytes.subarray(0, length),
      frameCount: kept,
      ...(keptInterfaceOf && { interfaceOf: keptInterfaceOf.subarray(0, kept) }),
      ...(offsets && { offsets: keptOffsets }),
    };
  }

  /** 1 for each frame that matches, else 0. */
  #judge({ bytes, frameCount, bigEndian, interfaces, interfaceOf }: FetchedChunk): Uint8Array {
    if (this.#verdicts.length < frameCount) {
      this.#verdicts = new Uint8Array(frameCount * 2);
      this.#others = new Uint8Array(frameCount * 2);
    }
    const verdicts = this.#verdicts;
    if (interfaceOf === undefined) {
      const filter = this.#filterFor(interfaces[0]!.linkType, frameCount);
      if (filter === undefined) verdicts.fill(0, 0, frameCount);
      else filter.match(bytes, frameCount, bigEndian, verdicts);
      return verdicts;
    }
    verdicts.fill(0, 0, frameCount);
    const counts = new Map<number, number>();
    for (let index = 0; index < frameCount; index++) {
      const { linkType } = interfaces[interfaceOf[index]!]!;
      counts.set(linkType, (counts.get(linkType) ?? 0) + 1);
    }
    for (const [linkType, count] of counts) {
      const filter = this.#filterFor(linkType, count);
      if (filter === undefined) continue;
      filter.match(bytes, frameCount, bigEndian, this.#others);
      for (let index = 0; index < frameCount; index++) {
        const isOfType = interfaces[interfaceOf[index]!]!.linkType === linkType;
        if (isOfType) verdicts[index] = this.#others[index]!;
      }
    }
    return verdicts;
  }

  #filterFor(linkType: number, frameCount: number): PacketFilter | undefined {
    if (!this.#filters.has(linkType)) {
      const refusal = this.#compile(linkType);
      if (refusal !== undefined) {
        this.#logger.warn(
          `Frames of link type ${formatLinkType(linkType)} are left out: ${refusal.message}`,
        );
      }
    }
    const filter = this.#filters.get(linkType);
    if (filter === undefined) this.notFilterable += frameCount;
    return filter;
  }

  #compile(linkType: number): PcaptsError | undefined {
    this.#filters.set(linkType, undefined);
    try {
      this.#filters.set(linkType, compilePacketFilter(linkType, this.#expression));
      return undefined;
    } catch (error) {
      if (error instanceof PcaptsError && error.code === "FILTER_INVALID") return error;
      throw error;
    }
  }
}

/**
 * Sees whether a filter is one for a topic.
 *
 * @throws PcaptsError as the constructor of {@link TopicFilter}
 */
export function checkTopicFilter(expression: string): void {
  void new TopicFilter(expression, silentLogger);
}
