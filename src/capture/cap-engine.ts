import { fork, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { CaptureInterface, FrameChunk } from "../packet/frame-chunk.ts";
import { LINKTYPE_ETHERNET, linkTypeOfDlt, parseLinkType } from "../packet/link-types.ts";
import {
  CapMessageReader,
  MESSAGE_FRAMES,
  MESSAGE_OPENED,
  type CapFailure,
  type CapOpened,
  type CapRequest,
} from "./cap-messages.ts";
import type { CaptureCounters } from "./frame-source.ts";
import type { LiveSource, LiveSourceOptions } from "./live-source.ts";
import { filterError, interfaceGone, openingError } from "./opening-error.ts";

const CAP_SNAP_LENGTH_BYTES = 65_535;
/** After that a capture process that was asked to stop is killed. */
const STOP_TIMEOUT_MS = 3000;

/**
 * Opens an interface with the npm package `cap`, in a process of its own (see cap-child.ts).
 *
 * @param logger gets at DEBUG what the process writes to its stderr
 * @returns a source of kind "live" whose `counters()` are unknown
 * @throws PcaptsError INTERFACE_NOT_FOUND, INTERFACE_PERMISSION, FILTER_INVALID, CAPTURE_FAILED,
 *   ENGINE_UNAVAILABLE
 */
export async function openCapSource(
  options: LiveSourceOptions,
  logger: Logger,
): Promise<LiveSource> {
  const { interfaceName, filter } = options;
  if (!options.promiscuous) {
    logger.warn("Engine cap always captures in promiscuous mode: --no-promiscuous-mode is ignored");
  }
  const snapLengthBytes = Math.min(options.snapLengthBytes, CAP_SNAP_LENGTH_BYTES);
  const { bufferBytes, processUser: user } = options;
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
  const { sensor } = options;
  return new CapSource(child, { sensor, name: interfaceName, linkType, snapLengthBytes });
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
  #isStopped = false;

  constructor(child: CaptureProcess, capturing: CaptureInterface) {
    this.name = capturing.name;
    this.interfaces = [capturing];
    this.#child = child;
  }

  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    try {
      for (;;) {
        const message = await this.#child.messages.next();
        if (message === undefined) break;
        if (message.kind !== MESSAGE_FRAMES) continue;
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

  async exclude(): Promise<boolean> {
    return false;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#child.stop();
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
    const child = fork(new URL("./cap-child.js", import.meta.url), [JSON.stringify(request)], {
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
  const isOther = error.code === "CAPTURE_FAILED" && error.message.endsWith(reason);
  if (
    isOther &&
    options.filter !== "" &&
    /syntax|filter|expression|unknown|illegal/i.test(reason)
  ) {
    return filterError(options.filter, reason);
  }
  return error;
}
