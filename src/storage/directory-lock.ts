import { mkdir, stat } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { dirname } from "node:path";
import { isSystemError } from "./file-io.ts";

/** Makes a directory and those above it; Node's own way, `recursive`, never comes back in /proc. */
export async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    if (isSystemError(error, "EEXIST")) return;
    if (!isSystemError(error, "ENOENT")) throw error;
    await makeDirectory(dirname(path));
    await mkdir(path);
  }
}

/**
 * Says that a directory is this process's. Node has no file locks. A socket in
 * Linux's abstract namespace is as good: one process can have a name, and it is
 * free again the moment that process is gone.
 */
export class DirectoryLock {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /**
   * @param purpose whose directory it is: locks of other purposes do not meet
   * @returns undefined when another process has it
   * @throws what the system says of the directory
   */
  static async take(path: string, purpose: string): Promise<DirectoryLock | undefined> {
    const { dev, ino } = await stat(path);
    const server = createServer((socket) => socket.destroy());
    const isTaken = await new Promise<boolean>((resolve, reject) => {
      server.once("error", (error) => {
        if (isSystemError(error, "EADDRINUSE")) resolve(false);
        else reject(error);
      });
      server.listen(`\0pcapts-${purpose}-${dev}-${ino}`, () => resolve(true));
    });
    if (!isTaken) return undefined;
    server.unref();
    return new DirectoryLock(server);
  }

  /** Gives the directory up. */
  release(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}
