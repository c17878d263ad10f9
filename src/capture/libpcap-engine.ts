import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { CaptureInterface, FrameChunk } from "../packet/frame-chunk.ts";
import {
  dltOfLinkType,
  formatLinkType,
  LINKTYPE_ETHERNET,
  linkTypeOfDlt,
} from "../packet/link-types.ts";
import type { CaptureCounters } from "./frame-source.ts";
import {
  libpcapVersion,
  loadLibpcap,
  type LibpcapAddon,
  type LibpcapFacts,
  type LibpcapOptions,
  type LibpcapSession,
} from "./libpcap-addon.ts";
import type { LiveSource, LiveSourceOptions } from "./live-source.ts";
import { filterError, interfaceGone, openingError } from "./opening-error.ts";
import { compilePacketFilter } from "./packet-filter.ts";

/** Four: one that JavaScript works on, one that is being filled, and two for a pause between them. */
const BUFFER_COUNT = 4;
const BUFFER_BYTES = 1024 * 1024;
/** libpcap takes the size of the ring as an int. */
const MAX_RING_BYTES = 0x7fff_ffff;

/**
 * Opens an interface with the addon in `native/`: a thread of its own reads libpcap into buffers that
 * already are chunks. ARCHITECTURE.md has a section about it.
 *
 * Nothing is captured before `chunks()` is asked for the first chunk; counters begin there.
 *
 * @param logger told what libpcap could not do as asked
 * @param addon for tests
 * @throws PcaptsError INTERFACE_NOT_FOUND, INTERFACE_PERMISSION, FILTER_INVALID, CAPTURE_FAILED,
 *   ENGINE_UNAVAILABLE, and USAGE for a link or time stamp type that the interface has not
 */
export async function openLibpcapSource(
  options: LiveSourceOptions,
  logger: Logger,
  addon: LibpcapAddon = loadLibpcap(),
): Promise<LiveSource> {
  const { interfaceName, filter } = options;
  // `any` has no such mode, and libpcap warns of it each time.
  const promiscuous = options.promiscuous && interfaceName !== "any";
  const asked: LibpcapOptions = {
    interfaceName,
    snapLengthBytes: options.snapLengthBytes,
    bufferBytes: Math.min(options.bufferBytes, MAX_RING_BYTES),
    promiscuous,
    immediate: options.immediate,
    nanosecond: options.nanosecond,
    dlt: options.linkType === undefined ? -1 : dltOfLinkType(options.linkType),
    timeStampType: options.timeStampType,
  };
  let session: LibpcapSession;
  try {
    session = addon.open(asked);
  } catch (cause) {
    throw explain(addon, options, asked, cause);
  }
  const facts = addon.facts(session);
  if (facts.warning !== "") logger.warn(`Interface "${interfaceName}": ${facts.warning}`);
  if (options.nanosecond && !facts.nanosecond) {
    logger.warn(`Interface "${interfaceName}" gives capture times in microseconds only`);
  }
  try {
    addon.checkFilter(session, filter);
  } catch (cause) {
    addon.stop(session);
    throw filterError(filter, reasonOf(cause), cause);
  }
  return new LibpcapSource(addon, session, facts, { ...options, promiscuous });
}

/** How a capture ended: by stop(), or by what went wrong. */
interface CaptureEnd {
  readonly failure: PcaptsError | undefined;
}

class LibpcapSource implements LiveSource {
  readonly kind = "live";
  readonly engine = "libpcap";
  readonly name: string;
  readonly description: string;
  readonly interfaces: readonly CaptureInterface[];
  readonly #addon: LibpcapAddon;
  readonly #session: LibpcapSession;
  readonly #facts: LibpcapFacts;
  readonly #options: LiveSourceOptions;
  readonly #linkType: number;
  /** Buffers that the addon has, in the order in which they come back. */
  readonly #given: Buffer[] = [];
  readonly #filled: { readonly buffer: Buffer; readonly chunk: FrameChunk }[] = [];
  #exclusion = "";
  #isStarted = false;
  #isStopped = false;
  #end: CaptureEnd | undefined;
  #wake = (): void => {};

  constructor(
    addon: LibpcapAddon,
    session: LibpcapSession,
    facts: LibpcapFacts,
    options: LiveSourceOptions,
  ) {
    const { interfaceName: name, sensor, snapLengthBytes } = options;
    this.#addon = addon;
    this.#session = session;
    this.#facts = facts;
    this.#options = options;
    this.#linkType = linkTypeOfDlt(facts.dlt);
    this.name = name;
    this.interfaces = [{ sensor, name, linkType: this.#linkType, snapLengthBytes }];
    this.description =
      `libpcap ${libpcapVersion(addon)}: capture times and drops by the kernel, ` +
      `${facts.nanosecond ? "nanoseconds, " : ""}wire lengths`;
  }

  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    if (this.#isStopped) return;
    try {
      this.#start();
      for (;;) {
        const filled = this.#filled.shift();
        if (filled !== undefined) {
          yield filled.chunk;
          if (this.#end === undefined) this.#give(filled.buffer);
          continue;
        }
        if (this.#end !== undefined) break;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      if (this.#end.failure !== undefined) throw this.#end.failure;
    } finally {
      await this.stop();
    }
  }

  counters(): CaptureCounters {
    const [received, droppedByKernel, droppedByInterface, filtered] = this.#addon.stats(
      this.#session,
    );
    return {
      received,
      droppedByKernel,
      // libpcap asks the driver's counters only in that mode.
      droppedByInterface: this.#options.promiscuous ? droppedByInterface : undefined,
      filtered,
    };
  }

  async exclude(expression: string): Promise<boolean> {
    if (this.#isStarted && this.#exclusion !== "") {
      // It has been seen that there is something to match; long expressions take their time to compile.
      try {
        this.#addon.exclude(this.#session, expression);
      } catch (cause) {
        throw filterError(expression, reasonOf(cause), cause);
      }
    } else {
      if (expression !== "" && !this.#canMatch(expression)) return false;
      if (this.#isStarted) this.#addon.exclude(this.#session, expression);
    }
    this.#exclusion = expression;
    return true;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#addon.stop(this.#session);
  }

  #start(): void {
    this.#isStarted = true;
    const size = Math.max(BUFFER_BYTES, this.#facts.leastBufferBytes);
    const { filter } = this.#options;
    try {
      this.#addon.start(this.#session, filter, this.#exclusion, (used, frameCount, end, words) => {
        if (end === undefined) this.#take(used, frameCount);
        else this.#takeEnd(end, words ?? "");
        this.#wake();
      });
    } catch (cause) {
      if (codeOf(cause) === "FILTER") throw filterError(filter, reasonOf(cause), cause);
      throw new PcaptsError(
        "CAPTURE_FAILED",
        `Cannot capture on interface "${this.name}": ${reasonOf(cause)}`,
        { cause },
      );
    }
    for (let n = 0; n < BUFFER_COUNT; n++) this.#give(Buffer.allocUnsafeSlow(size));
  }

  #give(buffer: Buffer): void {
    this.#given.push(buffer);
    this.#addon.give(this.#session, buffer);
  }

  #take(used: number, frameCount: number): void {
    const buffer = this.#given.shift()!;
    const chunk = {
      bytes: buffer.subarray(0, used),
      frameCount,
      bigEndian: false,
      nanosecond: this.#facts.nanosecond,
      interfaces: this.interfaces,
    };
    this.#filled.push({ buffer, chunk });
  }

  #takeEnd(end: "stopped" | "gone" | "broken", words: string): void {
    this.#end = { failure: this.#failureOf(end, words) };
    // A source may be kept for its counters long after.
    this.#given.length = 0;
  }

  #failureOf(end: "stopped" | "gone" | "broken", words: string): PcaptsError | undefined {
    if (end === "stopped") return undefined;
    if (end === "gone") return interfaceGone(this.name);
    return new PcaptsError(
      "CAPTURE_FAILED",
      `Cannot capture on interface "${this.name}" any longer: ${words}`,
    );
  }

  /** Some link types have no IP, which libpcap says as an error. A wrong expression is one on Ethernet, too. */
  #canMatch(expression: string): boolean {
    try {
      compilePacketFilter(this.#linkType, expression, this.#addon);
      return true;
    } catch {
      compilePacketFilter(LINKTYPE_ETHERNET, expression, this.#addon);
      return false;
    }
  }
}

function explain(
  addon: LibpcapAddon,
  options: LiveSourceOptions,
  asked: LibpcapOptions,
  cause: unknown,
): PcaptsError {
  const { interfaceName, linkType, timeStampType } = options;
  const reason = reasonOf(cause);
  const code = codeOf(cause);
  const action = `Cannot open interface "${interfaceName}"`;
  if (code === "LINK_TYPE" && linkType !== undefined) {
    const session = addon.open({ ...asked, dlt: -1 });
    const offered = addon
      .linkTypes(session)
      .map(({ value }) => formatLinkType(linkTypeOfDlt(value)));
    addon.stop(session);
    return new PcaptsError(
      "USAGE",
      `${action} with link type "${formatLinkType(linkType)}": ${reason}; it has ${offered.join(", ")} ` +
        `(pcapts -L -i ${interfaceName} lists them)`,
      { cause },
    );
  }
  if (code === "TIME_STAMP_TYPE" && timeStampType !== undefined) {
    const offered = addon.timeStampTypes(interfaceName).map(({ name }) => name);
    const list = offered.length === 0 ? "none to choose from" : offered.join(", ");
    return new PcaptsError(
      "USAGE",
      `${action} with time stamp type "${timeStampType}": ${reason}; it has ${list} ` +
        `(pcapts -J -i ${interfaceName} lists them)`,
      { cause },
    );
  }
  const existing = addon.listInterfaces().map(({ name }) => name);
  return openingError(interfaceName, { reason, code, cause }, existing);
}

/** The addon's code, "" when it has none. */
function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
