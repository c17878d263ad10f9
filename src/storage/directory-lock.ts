import { closeSync } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { dirname } from "node:path";
import { loadNativeAddon } from "../native-addon.ts";
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
 * Says that a directory is this process's, or what it has of it. Node has no file locks. A socket in
 * Linux's abstract namespace is nearly as good: one process can have a name, and it is free again the
 * moment that process is gone; but each network namespace has names of its own, so containers do not
 * see each other's. A whole directory has the addon's lock as well.
 */
export class DirectoryLock {
  readonly #server: Server;
  #descriptor: number | undefined;

  private constructor(server: Server) {
    this.#server = server;
  }

  /**
   * Takes a directory as a whole.
   *
   * @returns undefined when another process has it
   * @throws what the system says of the directory
   */
  static async takeWhole(path: string, purpose: string): Promise<DirectoryLock | undefined> {
    const lock = await DirectoryLock.take(path, purpose);
    if (lock === undefined) return undefined;
    try {
      lock.#descriptor = loadNativeAddon().lockDirectory(path);
    } catch {
      // No build for this machine, or a file system without locks: the name alone has to do.
      return lock;
    }
    if (lock.#descriptor !== undefined) return lock;
    await lock.release();
    return undefined;
  }

  /**
   * Takes what one process at a time may use in a directory.
   *
   * @param purpose what that is: locks of other purposes do not meet
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
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}
