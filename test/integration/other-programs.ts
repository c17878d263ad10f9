import assert from "node:assert/strict";
import { pythonExecutable } from "../brokers.ts";
import { type Ended, RunningProcess } from "./pcapts-process.ts";

/** Runs a program with `input` on its standard input; fails unless it ends with 0. */
export async function runProgram(
  command: readonly string[],
  input: Buffer | string = "",
): Promise<Ended> {
  const ended = await new RunningProcess(command, { input: Buffer.from(input) }).ended;
  assert.equal(ended.status, 0, `${command.join(" ")} said:\n${ended.stderr}`);
  return ended;
}

/**
 * Runs a Python script that has confluent-kafka.
 *
 * @param script its text
 * @param args its `sys.argv[1:]`
 * @returns what it printed
 */
export async function runPython(script: string, ...args: readonly string[]): Promise<string> {
  return (await runProgram([pythonExecutable, "-c", script, ...args])).stdout.toString();
}

/** How many records a topic holds, asked of kcat. */
export async function countRecords(bootstrap: string, topic: string): Promise<number> {
  const { stdout } = await runProgram([
    "kcat",
    "-C",
    "-q",
    "-e",
    "-b",
    bootstrap,
    "-t",
    topic,
    "-o",
    "beginning",
    "-f",
    "%o\n",
  ]);
  return stdout.toString().split("\n").length - 1;
}

/** How many frames tshark dissects in a capture file; without TCP, which takes most of the time. */
export async function countWithTshark(file: string): Promise<number> {
  const { stdout } = await runProgram([
    "tshark",
    "-n",
    "-q",
    "--disable-protocol",
    "tcp",
    "-z",
    "io,stat,0",
    "-r",
    file,
  ]);
  const table = stdout.toString();
  assert.match(table, /Frames and bytes/);
  // One row, of the whole time, and none for an empty file: | 0.000 <> 1.801 | FRAMES | BYTES |
  return Number(/<>[^|]*\|\s*(\d+)\s*\|/.exec(table)?.[1] ?? 0);
}

/** What capinfos says of a capture file. */
export interface CaptureInfo {
  readonly frames: number;
  /** "Ethernet" and so on. */
  readonly encapsulation: string;
  /** "Wireshark/tcpdump/... - pcap" and so on. */
  readonly fileType: string;
}

/** Has capinfos read a capture file. */
export async function readCaptureInfo(file: string): Promise<CaptureInfo> {
  const { stdout } = await runProgram(["capinfos", "-M", "-t", "-E", "-c", file]);
  const value = (label: string): string =>
    new RegExp(`^${label}:\\s*(.*)$`, "m").exec(stdout.toString())?.[1] ?? "";
  return {
    frames: Number(value("Number of packets")),
    encapsulation: value("File encapsulation"),
    fileType: value("File type"),
  };
}
