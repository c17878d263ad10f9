import * as fs from "node:fs";
import { open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";

const readOnce = promisify(fs.read) as unknown as (
  fd: number,
  buffer: Buffer,
  offset: number,
  length: number,
  position: number,
) => Promise<{ bytesRead: number }>;

const writeOnce = promisify(fs.write) as unknown as (
  fd: number,
  buffer: Buffer,
  offset: number,
  length: number,
  position: number,
) => Promise<{ bytesWritten: number }>;

/** Opens a file for reading and writing, making it when it is missing. */
export const openFile = promisify(fs.open) as (path: string, flags: number) => Promise<number>;

/** Cuts a file, or makes it longer with zeros. */
export const truncateFile = promisify(fs.ftruncate) as (fd: number, bytes: number) => Promise<void>;

/** Brings a file's content to the disk. */
export const syncFile = promisify(fs.fdatasync);

/** Closes a file; that it fails changes nothing any more. */
export function closeFile(fd: number): void {
  fs.close(fd, () => {});
}

/** Flags that open a file for reading and writing, made when missing. */
export const READ_WRITE = fs.constants.O_RDWR | fs.constants.O_CREAT;

/**
 * Fills `target` from a position of a file.
 *
 * @returns bytes read; fewer than asked for only at the end of the file
 */
export async function readAt(fd: number, target: Buffer, position: number): Promise<number> {
  let done = 0;
  while (done < target.length) {
    const { bytesRead } = await readOnce(fd, target, done, target.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** Writes all of `bytes` at a position of a file. */
export async function writeAt(fd: number, bytes: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await writeOnce(fd, bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

/**
 * Replaces a file as a whole: whoever reads it sees the old or the new one.
 *
 * @param durable also after a power failure
 */
export async function replaceFile(path: string, text: string, durable: boolean): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, "w");
  try {
    await file.writeFile(text);
    if (durable) await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  if (durable) await syncDirectory(dirname(path));
}

/** Brings the names in a directory to the disk. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Whether an operation failed because of `code`: "ENOENT", "ENOSPC" … */
export function isSystemError(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}
