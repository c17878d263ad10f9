import { constants, open as openDescriptor } from "node:fs";
import { open as openFile, realpath, stat } from "node:fs/promises";
import { Socket } from "node:net";
import path from "node:path";
import { promisify } from "node:util";
import { streamBytes, type ByteSource } from "../capture-file/byte-source.ts";

/** An open pipe. */
export interface PipeBytes extends ByteSource {
  /** Which pipe a path stands for; another one of the same name has another. */
  readonly identity: string;
  /**
   * Comes and goes as a writer would. Who opens a pipe when its writer has gone already is not told of
   * the end before another one has.
   */
  ring(): Promise<void>;
}

const READING = constants.O_RDONLY | constants.O_NONBLOCK;

/**
 * Opens a pipe for reading, without waiting for a writer: the first read does.
 *
 * @param given its path
 * @throws Error of the operating system
 */
export async function openPipe(given: string): Promise<PipeBytes> {
  // A blocking read of a pipe could not be broken off by close(); a socket's can.
  const fd = await promisify(openDescriptor)(given, READING);
  const bytes = streamBytes(new Socket({ fd, readable: true, writable: false }));
  // A socket closes itself at the end, and what the next writer had written by then would go with the
  // last descriptor.
  const keeper = await openFile(given, READING).catch(async (error: unknown) => {
    await bytes.close();
    throw error;
  });
  const { dev, ino } = await keeper.stat();
  let closing: Promise<void> | undefined;
  return {
    identity: `${dev}:${ino}`,
    readInto: (target) => bytes.readInto(target),
    async ring() {
      if (closing !== undefined) return;
      const same = `/proc/self/fd/${keeper.fd}`;
      const writer = await openFile(same, constants.O_WRONLY | constants.O_NONBLOCK);
      await writer.close();
    },
    close: () => (closing ??= bytes.close().then(() => keeper.close())),
  };
}

/**
 * Which pipe a path stands for now.
 *
 * @returns undefined when there is none
 */
export async function identifyPipe(given: string): Promise<string | undefined> {
  try {
    const found = await stat(given);
    return found.isFIFO() ? `${found.dev}:${found.ino}` : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Tells a pipe that writers open by its name, one after the other, from one that only this process
 * has: `<(…)` of a shell is a path, too, and so is `/dev/stdin`.
 */
export async function isNamedPipe(given: string): Promise<boolean> {
  if (/^\/(proc|dev\/(fd|std\w+))(\/|$)/.test(path.resolve(given))) return false;
  try {
    return (await stat(await realpath(given))).isFIFO();
  } catch {
    return false; // Opening it says what is wrong.
  }
}
