import { writeSync } from "node:fs";

const STDOUT = 1;
const RETRY_MS = 5;

/**
 * A printer to standard output that returns when the text is written: whoever
 * prints for a slow reader waits for it instead of piling text up in memory.
 *
 * @param onClosed called once when the reader is gone; later text is dropped
 */
export function createTextPrinter(onClosed: () => void): (text: string) => void {
  const sleep = new Int32Array(new SharedArrayBuffer(4));
  let closed = false;
  return (text) => {
    let rest = closed ? new Uint8Array(0) : Buffer.from(text);
    while (rest.length > 0) {
      try {
        rest = rest.subarray(writeSync(STDOUT, rest));
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "EPIPE") {
          closed = true;
          onClosed();
          return;
        }
        if (code !== "EAGAIN") throw error;
        // Another process made the pipe non-blocking, and it is full.
        Atomics.wait(sleep, 0, 0, RETRY_MS);
      }
    }
  };
}
