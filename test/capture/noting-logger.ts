import assert from "node:assert/strict";
import type { Logger } from "../../src/logger.ts";

/** A logger that keeps what it is told, and lets a test wait for it. */
export class NotingLogger implements Logger {
  readonly messages: string[] = [];
  readonly warnings: string[] = [];
  #waiting: (() => void)[] = [];

  debug(message: string): void {
    this.#note(message);
  }

  info(message: string): void {
    this.#note(message);
  }

  warn(message: string): void {
    this.warnings.push(message);
    this.#note(message);
  }

  error(message: string): void {
    this.#note(message);
  }

  isDebugEnabled(): boolean {
    return true;
  }

  /** How many messages match. */
  count(pattern: RegExp): number {
    return this.messages.filter((message) => pattern.test(message)).length;
  }

  /** Waits until so many messages match. */
  async says(pattern: RegExp, times = 1, timeoutMs = 30_000): Promise<void> {
    const late = setTimeout(() => {
      for (const wake of this.#waiting) wake();
    }, timeoutMs);
    const startMs = performance.now();
    while (this.count(pattern) < times) {
      assert.ok(
        performance.now() - startMs < timeoutMs,
        `nobody said ${pattern}, but:\n${this.messages.join("\n")}`,
      );
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    clearTimeout(late);
  }

  #note(message: string): void {
    this.messages.push(message);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}
