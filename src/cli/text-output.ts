import { writeSync } from "node:fs";

const STDOUT = 1;
const RETRY_MS = 5;

/** Where a consumer's lines go. */
export interface TextOutput {
  print(text: string): void;
  /**
   * Resolves when everything printed is out, or nobody reads it any more.
   *
   * @throws the operating system's error, such as that of a full disk
   */
  flush(): Promise<void>;
}

/**
 * Text on standard output, written soon after it was printed. Nothing waits for a slow reader
 * but who asks for `flush()`.
 *
 * @param onClosed called when the reader is gone; later text is dropped
 */
export function openTextOutput(onClosed: () => void): TextOutput {
  const { stdout } = process;
  let text = "";
  let isScheduled = false;
  let isClosed = false;
  let failure: NodeJS.ErrnoException | undefined;
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    isClosed = true;
    if (error.code === "EPIPE") onClosed();
    else failure ??= error;
  });
  const write = async (): Promise<void> => {
    const written = isClosed ? "" : text;
    text = "";
    // An empty write is answered after all that came before it.
    await new Promise<void>((resolve) => stdout.write(written, () => resolve()));
  };
  return {
    print(more) {
      text += more;
      if (isScheduled) return;
      isScheduled = true;
      setImmediate(() => {
        isScheduled = false;
        if (text !== "") void write();
      });
    },
    async flush() {
      if (!isClosed) await write();
      if (failure !== undefined) throw failure;
    },
  };
}

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
