/**
 * Pauses that double from one try to the next, up to a limit, each shortened
 * or lengthened at random by a fifth so that many clients do not come at once.
 */
export class BackOff {
  readonly #firstMs: number;
  readonly #longestMs: number;
  #nextMs: number;

  constructor(firstMs: number, longestMs: number) {
    this.#firstMs = firstMs;
    this.#longestMs = longestMs;
    this.#nextMs = firstMs;
  }

  /** Milliseconds to wait before the next try. */
  nextDelayMs(): number {
    const delay = this.#nextMs;
    this.#nextMs = Math.min(delay * 2, this.#longestMs);
    return Math.round(delay * (0.8 + Math.random() * 0.4));
  }

  /** Starts over: the last try succeeded. */
  reset(): void {
    this.#nextMs = this.#firstMs;
  }
}
