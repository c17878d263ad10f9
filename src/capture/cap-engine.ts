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
import type { CaptureCounters, FrameSource } from "./frame-source.ts";
import { interfaceNotFound } from "./interfaces.ts";
import type { ProcessUser } from "./process-user.ts";

/** How an interface is captured from. */
export interface CapSourceOptions {
  /** As libpcap names it, or `any`. */
  readonly interfaceName: string;
  /** Longer frames are cut. `cap` itself cuts at 65,535. */
  readonly snapLengthBytes: number;
  /** Kernel ring. Default 64 MiB, which hold 1,000 frames where `cap` turns immediate mode on. */
  readonly bufferBytes?: number;
  /** Host or probe name for the chunks' interface table. */
  readonly sensor: string;
  /** libpcap filter; "" takes every frame. */
  readonly filter: string;
  /** `cap` is always promiscuous: false only gets a WARN line. Default true. */
  readonly promiscuous?: boolean;
  /** Who the capture process changes to once the interface is open. Default: it stays who it is. */
  readonly processUser?: ProcessUser | undefined;
}

/** What this engine cannot do, in one line for whoever gets it without having asked for it. */
export const CAP_ENGINE_LIMITS =
  "engine cap: times are taken when a frame is read, not by the kernel; " +
  "wire lengths above 65535 and kernel drops are unknown";

const CAP_SNAP_LENGTH_BYTES = 65_535;
const DEFAULT_BUFFER_BYTES = 64 * 1024 * 1024;
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
  options: CapSourceOptions,
  logger: Logger,
): Promise<FrameSource> {
  const { interfaceName, filter } = options;
  if (options.promiscuous === false) {
    logger.warn("Engine cap always captures in promiscuous mode: --no-promiscuous-mode is ignored");
  }
  const snapLengthBytes = Math.min(options.snapLengthBytes, CAP_SNAP_LENGTH_BYTES);
  const bufferBytes = options.bufferBytes ?? DEFAULT_BUFFER_BYTES;
  const { processUser: user } = options;
  const request = { interfaceName, filter, snapLengthBytes, bufferBytes, ...(user && { user }) };
  const child = new CaptureProcess(request, logger);

  const answer = await child.messages.next();
  if (answer === undefined) throw await child.failure(interfaceName);
  const said: unknown = JSON.parse(answer.payload.toString());
  if (answer.kind !== MESSAGE_OPENED) {
    await child.stop();
    throw openingError(said as CapFailure, options);
  }
  const linkType = linkTypeOf((said as CapOpened).linkType);
  const { sensor } = options;
  return new CapSource(child, { sensor, name: interfaceName, linkType, snapLengthBytes });
}

class CapSource implements FrameSource {
  readonly kind = "live";
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
      return new PcaptsError(
        "INTERFACE_GONE",
        `Cannot capture on interface "${interfaceName}" any longer: it went down or was removed`,
      );
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

function openingError(failure: CapFailure, options: CapSourceOptions): PcaptsError {
  const { reason } = failure;
  if (failure.isEngineMissing) return new PcaptsError("ENGINE_UNAVAILABLE", reason);
  if (failure.isUserRefused === true) {
    return new PcaptsError(
      "PRIVILEGES_NOT_DROPPED",
      `Cannot change to user "${options.processUser?.name}": ${reason}; ` +
        "changing needs CAP_SETUID and CAP_SETGID",
    );
  }
  const action = `Cannot open interface "${options.interfaceName}"`;
  if (/not permitted|permission|CAP_NET_RAW/i.test(reason)) {
    return new PcaptsError(
      "INTERFACE_PERMISSION",
      `${action}: capturing needs the capability CAP_NET_RAW (${reason}); run with sudo, or grant ` +
        "it to this program alone: systemd AmbientCapabilities=CAP_NET_RAW, or setpriv " +
        "--inh-caps +net_raw --ambient-caps +net_raw. Do not setcap the node binary: every " +
        "script that it runs would have it",
    );
  }
  if (/no such device|doesn't exist/i.test(reason)) {
    return interfaceNotFound(options.interfaceName, failure.interfaceNames);
  }
  if (/not up|network is down/i.test(reason)) {
    return new PcaptsError(
      "CAPTURE_FAILED",
      `${action}: it is down (ip link set dev ${options.interfaceName} up)`,
    );
  }
  if (options.filter !== "" && /syntax|filter|expression|unknown|illegal/i.test(reason)) {
    return new PcaptsError(
      "FILTER_INVALID",
      `Cannot compile filter "${options.filter}": ${reason}`,
    );
  }
  return new PcaptsError("CAPTURE_FAILED", `${action}: ${reason}`);
}
