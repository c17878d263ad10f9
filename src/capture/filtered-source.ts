import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { cutFrames, keepFrames, takeFrames } from "../packet/chunk-stages.ts";
import { MAX_FRAME_BYTES, type CaptureInterface, type FrameChunk } from "../packet/frame-chunk.ts";
import { formatLinkType, LINKTYPE_ETHERNET, listLinkTypes } from "../packet/link-types.ts";
import {
  type CaptureCounters,
  type FrameSource,
  type ReadExtent,
  sensorOf,
} from "./frame-source.ts";
import type { LiveSource } from "./live-source.ts";
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

/**
 * Makes an interface of a stream of live frames: what the kernel does for others, is done here.
 *
 * @param source frames as they are captured elsewhere
 * @param options `snapLengthBytes`: longer frames are cut, after the filter has seen them
 * @throws PcaptsError as {@link openFilteredSource}
 */
export function openFilteredStream(
  source: FrameSource & { readonly kind: "live" },
  options: FilteringOptions & { readonly snapLengthBytes: number },
  logger: Logger,
): LiveSource {
  const filtered = new FilteredStream(source, options, logger);
  filtered.compileForAll(source.interfaces);
  return filtered;
}

class FilteredSource implements FrameSource {
  readonly kind: FrameSource["kind"];
  readonly name: string;
  readonly sensor: string;
  readonly #source: FrameSource;
  readonly #options: FilteringOptions;
  readonly #logger: Logger;
  /** By link type; undefined is one that the filter does not compile for. */
  readonly #filters = new Map<number, PacketFilter | undefined>();
  /** Link types that the filter does not compile for, as was said. */
  readonly #told = new Set<number>();
  #excluded = "";
  #filtered = 0;
  #wanted: number;

  constructor(source: FrameSource, options: FilteringOptions, logger: Logger) {
    this.kind = source.kind;
    this.name = source.name;
    this.sensor = sensorOf(source);
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
    if (this.#expression === "") return;
    if (interfaces.length === 0) return this.#compileForAny();
    const refusals = interfaces.map(({ linkType }) => this.#compileFor(linkType));
    const [first] = refusals;
    if (first !== undefined && refusals.every((refusal) => refusal !== undefined)) throw first;
  }

  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    for await (const chunk of this.#source.chunks()) {
      for (const { linkType } of chunk.interfaces) {
        if (this.#filters.has(linkType) || this.#expression === "") continue;
        const refusal = this.#compileFor(linkType);
        if (refusal === undefined || this.#told.has(linkType)) continue;
        this.#told.add(linkType);
        this.#logger.warn(
          `Frames of link type ${formatLinkType(linkType)} are left out: ${refusal.message}`,
        );
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

  /** As {@link LiveSource.exclude}. */
  async exclude(expression: string): Promise<boolean> {
    const [{ linkType } = { linkType: LINKTYPE_ETHERNET }] = this.interfaces;
    if (tryToCompile(linkType, expression) instanceof PcaptsError) return false;
    this.#excluded = expression;
    this.#filters.clear();
    return true;
  }

  /** What frames have to match; "" is any. */
  get #expression(): string {
    const { expression } = this.#options;
    if (this.#excluded === "") return expression;
    return `not (${this.#excluded})${expression === "" ? "" : ` and (${expression})`}`;
  }

  /** Before any link type is known: it has to compile for one at least. */
  #compileForAny(): void {
    const refusal = tryToCompile(LINKTYPE_ETHERNET, this.#expression);
    const isWrong =
      refusal instanceof PcaptsError &&
      listLinkTypes().every((type) => tryToCompile(type, this.#expression) instanceof PcaptsError);
    if (isWrong) throw refusal;
  }

  /** What is wrong with the filter, if it does not compile for a link type. */
  #compileFor(linkType: number): PcaptsError | undefined {
    if (this.#filters.has(linkType)) return undefined;
    let filter = tryToCompile(linkType, this.#expression);
    // Frames that hold nothing to be excluded are judged by the user's filter alone.
    if (filter instanceof PcaptsError && this.#excluded !== "") {
      filter = tryToCompile(linkType, this.#options.expression);
    }
    if (filter instanceof PcaptsError) {
      this.#filters.set(linkType, undefined);
      return filter;
    }
    this.#filters.set(linkType, filter);
    return undefined;
  }

  #keep(chunk: FrameChunk): FrameChunk {
    if (this.#expression === "") return chunk;
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

class FilteredStream extends FilteredSource implements LiveSource {
  override readonly kind = "live";
  readonly engine = "stream";
  readonly description = "";
  readonly #snapLengthBytes: number;

  constructor(
    source: FrameSource,
    options: FilteringOptions & { readonly snapLengthBytes: number },
    logger: Logger,
  ) {
    super(source, options, logger);
    this.#snapLengthBytes = options.snapLengthBytes;
  }

  override async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    const isCut = this.#snapLengthBytes < MAX_FRAME_BYTES;
    for await (const chunk of super.chunks()) {
      yield isCut ? cutFrames(chunk, this.#snapLengthBytes) : chunk;
    }
  }
}

/** @returns why it does not compile, when that is the filter's fault */
function tryToCompile(linkType: number, expression: string): PacketFilter | PcaptsError {
  try {
    return compilePacketFilter(linkType, expression);
  } catch (error) {
    if (error instanceof PcaptsError && error.code === "FILTER_INVALID") return error;
    throw error;
  }
}
