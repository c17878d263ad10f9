import { fork, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { packageFile } from "../package-file.ts";
import type { CaptureInterface, FrameChunk } from "../packet/frame-chunk.ts";
import {
  formatLinkType,
  LINKTYPE_ETHERNET,
  linkTypeOfDlt,
  parseLinkType,
} from "../packet/link-types.ts";
import {
  CapMessageReader,
  MESSAGE_ALIVE,
  MESSAGE_FAILED,
  MESSAGE_FRAMES,
  MESSAGE_OPENED,
  MESSAGE_STARTED,
  type CapCommand,
  type CapFailure,
  type CapKept,
  type CapMessage,
  type CapOpened,
  type CapRequest,
} from "./cap-messages.ts";
import type { CaptureCounters } from "./frame-source.ts";
import type { LiveSource, LiveSourceOptions } from "./live-source.ts";
import { filterError, interfaceGone, isMissingOrDown, openingError } from "./opening-error.ts";

const CAP_SNAP_LENGTH_BYTES = 65_535;
/** After that a capture process that was asked to stop is killed. */
const STOP_TIMEOUT_MS = 3000;

/** LINKTYPE_ numbers of frames that may hold IP, among those that `cap` names. */
const LINK_TYPES_WITH_IP = new Set([0, LINKTYPE_ETHERNET, 101, 113, 127]);

/**
 * Opens an interface with the npm package `cap`, in a process of its own (see cap-child.ts). It is opened
 * for a look, and again by `chunks()`, when the filter is known.
 *
 * @param logger told what `cap` cannot do as asked; gets at DEBUG what the process writes to its stderr
 * @returns a source whose `counters()` are unknown
 * @throws PcaptsError INTERFACE_NOT_FOUND, INTERFACE_PERMISSION, FILTER_INVALID, CAPTURE_FAILED,
 *   ENGINE_UNAVAILABLE
 */
export async function openCapSource(
  options: LiveSourceOptions,
  logger: Logger,
): Promise<LiveSource> {
  const { interfaceName, filter, bufferBytes, processUser: user } = options;
  refuseTimeStampType(options);
  sayWhatIsIgnored(options, logger);
  const snapLengthBytes = Math.min(options.snapLengthBytes, CAP_SNAP_LENGTH_BYTES);
  const request = { interfaceName, filter, snapLengthBytes, bufferBytes, ...(user && { user }) };
  const child = new CaptureProcess(request, logger);

  const answer = await child.messages.next();
  if (answer === undefined) throw await child.failure(interfaceName);
  const said: unknown = JSON.parse(answer.payload.toString());
  if (answer.kind !== MESSAGE_OPENED) {
    await child.stop();
    throw explain(said as CapFailure, options);
  }
  const linkType = linkTypeOf((said as CapOpened).linkType);
  if (options.linkType !== undefined && options.linkType !== linkType) {
    await child.stop();
    throw new PcaptsError(
      "CAPTURE_FAILED",
      `Cannot open interface "${interfaceName}" with link type "${formatLinkType(options.linkType)}": engine ` +
        `cap opens it with its default, ${formatLinkType(linkType)} (--engine libpcap can choose)`,
    );
  }
  return new CapSource(child, { ...options, snapLengthBytes }, linkType, logger);
}

function refuseTimeStampType({ interfaceName, timeStampType }: LiveSourceOptions): void {
  if (timeStampType === undefined) return;
  throw new PcaptsError(
    "CAPTURE_FAILED",
    `Cannot open interface "${interfaceName}" with time stamp type "${timeStampType}": engine cap has no ` +
      "time stamps of the kernel or the adapter (--engine libpcap has)",
  );
}

function sayWhatIsIgnored(options: LiveSourceOptions, logger: Logger): void {
  if (!options.promiscuous) {
    logger.warn("Engine cap always captures in promiscuous mode: --no-promiscuous-mode is ignored");
  }
  if (options.nanosecond) {
    logger.warn("Engine cap gives capture times in microseconds only");
  }
  if (options.immediate) {
    logger.debug("--immediate-mode: engine cap switches it on by itself where libpcap lets it");
  }
}

class CapSource implements LiveSource {
  readonly kind = "live";
  readonly engine = "cap";
  readonly description =
    "cap: times are taken when a frame is read, not by the kernel; wire lengths above 65535 and " +
    "kernel drops are unknown";
  readonly name: string;
  readonly interfaces: readonly CaptureInterface[];
  readonly #child: CaptureProcess;
  readonly #options: LiveSourceOptions;
  readonly #linkType: number;
  readonly #logger: Logger;
  #exclusion = "";
  #isStarted = false;
  #isStopped = false;
  #heardMs = performance.now();

  constructor(child: CaptureProcess, options: LiveSourceOptions, linkType: number, logger: Logger) {
    const { interfaceName: name, sensor, snapLengthBytes } = options;
    this.name = name;
    this.interfaces = [{ sensor, name, linkType, snapLengthBytes }];
    this.#child = child;
    this.#options = options;
    this.#linkType = linkType;
    this.#logger = logger;
  }

  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    try {
      this.#isStarted = true;
      this.#child.capture(this.#filter());
      for (;;) {
        const message = await this.#child.messages.next();
        if (message === undefined) break;
        this.#heardMs = performance.now();
        if (message.kind === MESSAGE_ALIVE) continue;
        if (message.kind !== MESSAGE_FRAMES) {
          this.#takeWord(message);
          continue;
        }
        yield {
          bytes: message.payload,
          frameCount: message.frameCount,
          bigEndian: false,
          nanosecond: false,
          interfaces: this.interfaces,
        };
      }
      if (!this.#isStopped) throw await this.#child.failure(this.name);
    } finally {
      await this.stop();
    }
  }

  counters(): CaptureCounters {
    return {
      received: undefined,
      droppedByKernel: undefined,
      droppedByInterface: undefined,
      filtered: 0,
    };
  }

  async exclude(expression: string): Promise<boolean> {
    if (!LINK_TYPES_WITH_IP.has(this.#linkType)) return expression === "";
    if (expression === this.#exclusion) return true;
    this.#exclusion = expression;
    if (this.#isStarted && !this.#isStopped) {
      this.#logger.info(
        `Engine cap opens interface "${this.name}" again for a changed filter: frames of these ` +
          "milliseconds may be missing",
      );
      this.#child.capture(this.#filter());
    }
    return true;
  }

  silentMs(): number {
    return performance.now() - this.#heardMs;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#child.stop();
  }

  /** The exclusion first: a `vlan` in the user's part changes what stands behind it. */
  #filter(): string {
    const { filter } = this.#options;
    if (this.#exclusion === "") return filter;
    return filter === "" ? `not (${this.#exclusion})` : `not (${this.#exclusion}) and (${filter})`;
  }

  #takeWord({ kind, payload }: CapMessage): void {
    if (kind === MESSAGE_STARTED) {
      this.#logger.debug(`Engine cap captures on interface "${this.name}"`);
      return;
    }
    const said: unknown = JSON.parse(payload.toString());
    if (kind === MESSAGE_FAILED) {
      const error = explain(said as CapFailure, this.#options);
      // It was there when it was opened for a look.
      throw isMissingOrDown(error) ? interfaceGone(this.name) : error;
    }
    this.#logger.warn(
      `Engine cap cannot change the filter of interface "${this.name}" and goes on with the one before: ` +
        (said as CapKept).reason,
    );
  }
}

/** The capture process as its parent sees it. */
class CaptureProcess {
  readonly messages: CapMessageReader;
  readonly #process: ChildProcess;
  readonly #exited: Promise<string>;
  #stopping: Promise<void> | undefined;

  constructor(request: CapRequest, logger: Logger) {
    // A process group of its own: a terminal's Ctrl-C reaches the parent alone, which then stops it.
    const child = fork(packageFile("dist/src/capture/cap-child.js"), [JSON.stringify(request)], {
      stdio: ["pipe", "ignore", "pipe", "pipe", "ipc"],
      detached: true,
      execArgv: [],
    });
    this.#process = child;
    this.messages = new CapMessageReader(child.stdio[3] as Readable);
    // EPIPE when it has died already.
    child.stdin!.on("error", () => {});
    createInterface({ input: child.stderr! }).on("line", (line) => logger.debug(`cap: ${line}`));
    this.#exited = new Promise((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("exit", (code, signal) => resolve(signal ?? `exit status ${code}`));
    });
  }

  /** Captures from now on with this filter; the first time starts it. */
  capture(filter: string): void {
    if (this.#stopping !== undefined) return;
    this.#process.stdin!.write(`${JSON.stringify({ filter } satisfies CapCommand)}\n`);
  }

  /** Ends the capture; what the process still holds stays readable. Safe repeatedly. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.messages.takeRest();
    this.#process.stdin!.end();
    const killer = setTimeout(() => this.#process.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await this.#exited;
    clearTimeout(killer);
  }

  /** Why the process has ended although nobody asked it to. */
  async failure(interfaceName: string): Promise<PcaptsError> {
    const how = await this.#exited;
    // cap asserts that polling its socket never fails, which it does when the interface goes.
    if (how === "SIGABRT") {
      return interfaceGone(interfaceName);
    }
    return new PcaptsError(
      "CAPTURE_FAILED",
      `Cannot capture on interface "${interfaceName}": its capture process ended (${how})`,
    );
  }
}

function linkTypeOf(capName: string): number {
  const dlt = /^Unknown linktype (\d+)$/.exec(capName);
  if (dlt !== null) return linkTypeOfDlt(Number(dlt[1]));
  return parseLinkType(capName) ?? LINKTYPE_ETHERNET;
}

function explain(failure: CapFailure, options: LiveSourceOptions): PcaptsError {
  const { reason } = failure;
  if (failure.isEngineMissing) return new PcaptsError("ENGINE_UNAVAILABLE", reason);
  if (failure.isUserRefused === true) {
    return new PcaptsError(
      "PRIVILEGES_NOT_DROPPED",
      `Cannot change to user "${options.processUser?.name}": ${reason}; ` +
        "changing needs CAP_SETUID and CAP_SETGID",
    );
  }
  const error = openingError(options.interfaceName, { reason }, failure.interfaceNames);
  const isOther = error.code === "CAPTURE_FAILED" && error.message.includes(reason);
  if (
    isOther &&
    options.filter !== "" &&
    /syntax|filter|expression|unknown|illegal/i.test(reason)
  ) {
    return filterError(options.filter, reason);
  }
  return error;
}
