import type { Reasons } from "./run-health.ts";

/** What systemd says to a service by its environment. */
export interface ServiceManagerSettings {
  /** `$NOTIFY_SOCKET` */
  readonly address: string;
  /** Half of `$WATCHDOG_USEC`; undefined where no sign of life is wanted. */
  readonly beatEveryMs: number | undefined;
}

/**
 * What a service manager wants to be told.
 *
 * @param environment of the process
 * @param pid of the process: a watchdog may be meant for another one
 * @returns undefined where there is none
 */
export function readServiceManager(
  environment: Readonly<Record<string, string | undefined>>,
  pid: number,
): ServiceManagerSettings | undefined {
  const address = environment["NOTIFY_SOCKET"];
  if (address === undefined || !/^[/@]./.test(address)) return undefined;
  const watchdogUs = Number(environment["WATCHDOG_USEC"]);
  const isMeant = [undefined, String(pid)].includes(environment["WATCHDOG_PID"]);
  const wanted = isMeant && Number.isFinite(watchdogUs) && watchdogUs > 0;
  return { address, beatEveryMs: wanted ? watchdogUs / 2000 : undefined };
}

/** What {@link ServiceManager} works with. */
export interface ServiceManagerSetup {
  readonly settings: ServiceManagerSettings;
  /** Sends a message; throws what the system says. */
  readonly send: (address: string, text: string) => void;
  /** Told once when the manager cannot be reached. */
  readonly warn: (message: string) => void;
  /** Told when signs of life stop, and when they come again. */
  readonly error: (message: string) => void;
}

/**
 * Speaks systemd's protocol of notifications (sd_notify(3)): ready, alive as
 * long as nothing is wrong, stopping.
 */
export class ServiceManager {
  readonly #setup: ServiceManagerSetup;
  #isReady = false;
  #isIll = false;
  #hasFailed = false;
  #lastBeatMs = -Infinity;

  constructor(setup: ServiceManagerSetup) {
    this.#setup = setup;
  }

  /**
   * Tells how things are; call it at least every `beatEveryMs`.
   *
   * @param isStarted the run does its work, or has at some time
   * @param illness a watchdog is not told that the service is alive while there is any
   * @param status a line for `systemctl status`
   * @param nowMs a monotonic clock
   */
  tell(isStarted: boolean, illness: Reasons, status: string, nowMs: number): void {
    const { beatEveryMs } = this.#setup.settings;
    const lines: string[] = [];
    if (isStarted && !this.#isReady) {
      this.#isReady = true;
      lines.push("READY=1");
    }
    this.#sayIllness(illness);
    // A little early rather than a little late: whoever calls has a timer of its own.
    if (beatEveryMs !== undefined && !this.#isIll && nowMs - this.#lastBeatMs >= beatEveryMs / 2) {
      this.#lastBeatMs = nowMs;
      lines.push("WATCHDOG=1");
    }
    if (lines.length > 0) this.#send([...lines, `STATUS=${status}`]);
  }

  /** What it was told by. */
  get settings(): ServiceManagerSettings {
    return this.#setup.settings;
  }

  /** The service is about to end. */
  stopping(): void {
    this.#send(["STOPPING=1"]);
  }

  #sayIllness(illness: Reasons): void {
    if (illness.length > 0 === this.#isIll) return;
    this.#isIll = !this.#isIll;
    this.#setup.error(
      this.#isIll
        ? `The service manager is not told any more that all is well: ${illness.join("; ")}`
        : "All is well again, and the service manager is told so",
    );
  }

  #send(lines: readonly string[]): void {
    try {
      this.#setup.send(this.#setup.settings.address, lines.join("\n"));
    } catch (error) {
      if (this.#hasFailed) return;
      this.#hasFailed = true;
      this.#setup.warn(
        `Cannot tell the service manager how it goes: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
}
