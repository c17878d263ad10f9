import type { Logger } from "../logger.ts";

/** Shorter troubles, as when a leader changes, are not worth a line. */
const WORTH_A_WARNING_MS = 1000;

/** Tells an operator once that something fails for longer than a moment, and once that it is over. */
export class Outage {
  readonly #what: string;
  readonly #logger: Logger;
  #sinceMs: number | undefined;
  #isTold = false;

  /** @param what as in `Cannot ${what}: …` */
  constructor(what: string, logger: Logger) {
    this.#what = what;
    this.#logger = logger;
  }

  /** A try failed and will be repeated. */
  failed(reason: string): void {
    const nowMs = performance.now();
    this.#sinceMs ??= nowMs;
    if (this.#isTold || nowMs - this.#sinceMs < WORTH_A_WARNING_MS) return;
    this.#isTold = true;
    this.#logger.warn(`Cannot ${this.#what}: ${reason}; trying again`);
  }

  /** A try succeeded. */
  ended(): void {
    if (this.#sinceMs === undefined) return;
    if (this.#isTold) {
      const seconds = Math.round((performance.now() - this.#sinceMs) / 1000);
      this.#logger.info(`Can ${this.#what} again, after ${seconds} s`);
    }
    this.#sinceMs = undefined;
    this.#isTold = false;
  }
}
