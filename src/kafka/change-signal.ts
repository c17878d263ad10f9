/** Lets callers wait until something has changed, and look again. */
export class ChangeSignal {
  #waiting: (() => void)[] = [];

  /** Resolves at the next `notify()`. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Wakes everyone who waits. */
  notify(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}
