import { constants, open } from "node:fs";
import { stat } from "node:fs/promises";
import { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { isCausedBy } from "./error-text.ts";

/** How often a reader is looked for. */
const POLL_MS = 5;

const openFile = promisify(open);

/** True when there is a named pipe at a path. */
export async function isNamedPipe(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFIFO(),
    () => false,
  );
}

/**
 * Opens a named pipe for writing once it has a reader. An open that waits for one holds a thread
 * of Node's, which nothing can take back: the process could not even exit.
 *
 * @param path a named pipe
 * @param signal gives it up
 * @returns a stream that fails with EPIPE when its reader goes away
 * @throws what the operating system says, or the signal's reason
 */
export async function openNamedPipe(path: string, signal?: AbortSignal): Promise<Socket> {
  for (;;) {
    signal?.throwIfAborted();
    try {
      const fd = await openFile(path, constants.O_WRONLY | constants.O_NONBLOCK);
      return new Socket({ fd, readable: false, writable: true });
    } catch (error) {
      if (!isCausedBy(error, "ENXIO")) throw error;
    }
    await sleep(POLL_MS);
  }
}
