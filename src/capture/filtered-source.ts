import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { keepFrames, takeFrames } from "../packet/chunk-stages.ts";
import type { CaptureInterface, FrameChunk } from "../packet/frame-chunk.ts";
import { formatLinkType } from "../packet/link-types.ts";
import type { CaptureCounters, FrameSource, ReadExtent } from "./frame-source.ts";
import { compilePacketFilter, type PacketFilter } from "./packet-filter.ts";

/** How the frames of a source are filtered. */
export interface FilteringOptions {
  /** libpcap's language. */
  readonly expression: string;
  /** Ends with so many frames that match, so that no more are counted; may be Infinity. */
  readonly maxPackets: number;
}

/**
 * Lets through the frames of a source that match a filter, and counts the others as filtered. The
 * filter is compiled for each link type that is met; frames of one that it does not compile for do
 * not match.
 *
 * @param source a file; an interface has its filter in the kernel
 * @param logger told of such link types
 * @throws PcaptsError FILTER_INVALID when it compiles for none that the source begins with,
 *   ENGINE_UNAVAILABLE where there is nothing to compile it with
 */
export function openFilteredSource(
  source: FrameSource,
  options: FilteringOptions,
  logger: Logger,
): FrameSource {
  const filtered = new FilteredSource(source, options, logger);
  filtered.compileForAll(source.interfaces);
  return filtered;
}

class FilteredSource implements FrameSource {
  readonly kind: FrameSource["kind"];
  readonly name: string;
  readonly #source: FrameSource;
  readonly #options: FilteringOptions;
  readonly #logger: Logger;
  /** By link type; undefined is one that the filter does not compile for. */
  readonly #filters = new Map<number, PacketFilter | undefined>();
  #filtered = 0;
  #wanted: number;

  constructor(source: FrameSource, options: FilteringOptions, logger: Logger) {
    this.kind = source.kind;
    this.name = source.name;
    this.#source = source;
    this.#options = options;
    this.#logger = logger;
    this.#wanted = options.maxPackets;
  }

  get interfaces(): readonly CaptureInterface[] {
    return this.#source.interfaces;
  }

  get hasSeveralInterfaces(): boolean {
    return this.#source.hasSeveralInterfaces ?? this.interfaces.length > 1;
  }

  compileForAll(interfaces: readonly CaptureInterface[]): void {
    const refusals = interfaces.map((each) => this.#compileFor(each));
    const [first] = refusals;
    if (first !== undefined && refusals.every((refusal) => refusal !== undefined)) throw first;
  }

  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    for await (const chunk of this.#source.chunks()) {
      for (const each of chunk.interfaces) {
        if (this.#filters.has(each.linkType)) continue;
        const refusal = this.#compileFor(each);
        if (refusal !== undefined) this.#logger.warn(describeMismatch(each, refusal));
      }
      const kept = this.#keep(chunk);
      if (kept.frameCount > 0) yield kept;
      if (this.#wanted === 0) return;
    }
  }

  counters(): CaptureCounters {
    const counters = this.#source.counters();
    return { ...counters, filtered: counters.filtered + this.#filtered };
  }

  extent(): ReadExtent | undefined {
    return this.#source.extent?.();
  }

  stop(): Promise<void> {
    return this.#source.stop();
  }

  /** What is wrong with the filter, if it does not compile for the interface's link type. */
  #compileFor({ linkType }: CaptureInterface): PcaptsError | undefined {
    if (this.#filters.has(linkType)) return undefined;
    this.#filters.set(linkType, undefined);
    try {
      this.#filters.set(linkType, compilePacketFilter(linkType, this.#options.expression));
      return undefined;
    } catch (error) {
      if (error instanceof PcaptsError && error.code === "FILTER_INVALID") return error;
      throw error;
    }
  }

  #keep(chunk: FrameChunk): FrameChunk {
    const verdicts = this.#judge(chunk);
    let looked = 0;
    let matching = 0;
    while (looked < chunk.frameCount && matching < this.#wanted) matching += verdicts[looked++]!;
    this.#wanted -= matching;
    this.#filtered += looked - matching;
    return keepFrames(takeFrames(chunk, looked), verdicts);
  }

  /** 1 for each frame that matches, else 0. */
  #judge(chunk: FrameChunk): Uint8Array {
    const { bytes, frameCount, bigEndian, interfaces, interfaceOf } = chunk;
    const [verdicts = new Uint8Array(0), ...others] = interfaces.map(({ linkType }) => {
      const judged = new Uint8Array(frameCount);
      this.#filters.get(linkType)?.match(bytes, frameCount, bigEndian, judged);
      return judged;
    });
    if (interfaceOf === undefined || others.length === 0) return verdicts;
    const all = [verdicts, ...others];
    return verdicts.map((_, index) => all[interfaceOf[index]!]![index]!);
  }
}

function describeMismatch({ linkType }: CaptureInterface, refusal: PcaptsError): string {
  return `Frames of link type ${formatLinkType(linkType)} are left out: ${refusal.message}`;
}
