import { existsSync, fstatSync, statSync } from "node:fs";
import { access, constants } from "node:fs/promises";
import { dirname } from "node:path";
import { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { FileOutput, type FileOutputOptions } from "../capture-file/file-output.ts";
import { PcaptsError } from "../errors.ts";
import { describeSystemError, isCausedBy } from "./error-text.ts";
import { isNamedPipe, openNamedPipe } from "./named-pipe.ts";

const STDOUT = 1;

/** Where a consumer's pcap bytes go. */
export interface PcapOutput {
  readonly stream: Writable;
  /** Resolves when everything written has left this process, or cannot any more. */
  close(): Promise<void>;
}

/**
 * Opens the output of a consumer.
 *
 * @param path a file, which is overwritten; "-" is standard output; undefined takes no pcap
 * @param onClosed called when the reader of the output is gone
 * @param options of a file
 * @throws PcaptsError OUTPUT_NOT_WRITABLE
 */
export async function openPcapOutput(
  path: string | undefined,
  onClosed: () => void,
  options: FileOutputOptions = {},
): Promise<PcapOutput> {
  const stream =
    path === undefined
      ? openNowhere()
      : path === "-"
        ? openStdout()
        : await openFile(path, options);
  stream.on("error", (error) => {
    // Other errors reach the run through its own writes.
    if (isCausedBy(error, "EPIPE")) onClosed();
  });
  return { stream, close: () => closeStream(stream) };
}

/**
 * False for a pipe, a terminal, and what else somebody may read from at once.
 *
 * @param path as `-w` has it
 */
export function isFile(path: string): boolean {
  try {
    return (path === "-" ? fstatSync(STDOUT) : statSync(path)).isFile();
  } catch {
    // It is made, or opening it says what is wrong.
    return true;
  }
}

/**
 * Sees whether a file, or files named after it, can be written.
 *
 * @throws PcaptsError OUTPUT_NOT_WRITABLE
 */
export async function checkFilePath(path: string): Promise<void> {
  try {
    await access(dirname(path), constants.W_OK | constants.X_OK);
    if (existsSync(path)) await access(path, constants.W_OK);
  } catch (error) {
    throw new PcaptsError(
      "OUTPUT_NOT_WRITABLE",
      `Cannot write "${path}": ${describeSystemError(error)}`,
      { cause: error },
    );
  }
}

async function openFile(path: string, options: FileOutputOptions): Promise<Writable> {
  try {
    if (await isNamedPipe(path)) return await openNamedPipe(path);
    return await FileOutput.create(path, options);
  } catch (error) {
    throw new PcaptsError(
      "OUTPUT_NOT_WRITABLE",
      `Cannot write "${path}": ${describeSystemError(error)}`,
      { cause: error },
    );
  }
}

/** Standard output is left alone: text is printed there. */
function openNowhere(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}

/** What was redirected into a file is brought to the disk like one. */
function openStdout(): Writable {
  return isFile("-")
    ? new FileOutput(STDOUT, "standard output", 0, "", { staysOpen: true })
    : process.stdout;
}

async function closeStream(stream: Writable): Promise<void> {
  if (stream.destroyed || stream.errored !== null) return;
  // A run that ended in order has written everything; what is left here was given up.
  if (stream.writableLength > 0) return;
  // Standard output stays open; an empty write is answered after all that came before it.
  if (stream === process.stdout && !stream.writableEnded) {
    await new Promise<void>((resolve) => stream.write("", () => resolve()));
    return;
  }
  if (!stream.writableEnded) stream.end();
  await finished(stream, { readable: false }).catch(() => {});
}
