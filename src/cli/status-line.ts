import { writeSync } from "node:fs";

const STDERR = 2;
/** Back to the begin of the line, and everything away that stands on it. */
const ERASE = "\r\u001B[K";
/** Where a terminal does not say how wide it is. */
const USUAL_COLUMNS = 80;

/** The last line of a terminal on standard error, rewritten in place below the messages. */
export class StatusLine {
  #shown = "";

  constructor() {
    // What comes next on the terminal is a shell's.
    process.once("exit", () => this.show(""));
  }

  /**
   * Rewrites the line.
   *
   * @param line without control characters; what does not fit is cut, because a line that wraps cannot
   *   be rewritten; "" takes the line away
   */
  show(line: string): void {
    const fits = line.slice(0, (process.stderr.columns || USUAL_COLUMNS) - 1);
    if (fits === this.#shown) return;
    this.#shown = fits;
    try {
      writeSync(STDERR, ERASE + fits);
    } catch {
      // The terminal is gone, or takes nothing now: no reason to stop publishing.
    }
  }

  /**
   * Puts messages above the line.
   *
   * @param messages whole lines
   * @returns what is to be written in one go
   */
  above(messages: string): string {
    return this.#shown === "" ? messages : ERASE + messages + this.#shown;
  }
}
