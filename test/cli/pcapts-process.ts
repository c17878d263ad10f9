import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** The program as it is installed: the compiled one. */
export const PCAPTS = fileURLToPath(new URL("../../../bin/pcapts.js", import.meta.url));

/** How a process ended. */
export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A process that a test talks to. */
export interface PcaptsProcess {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Ended>;
}

/** Starts pcapts with open pipes. */
export function startPcapts(args: readonly string[], env: NodeJS.ProcessEnv = {}): PcaptsProcess {
  const child = spawn(process.execPath, [PCAPTS, ...args], { env: { ...process.env, ...env } });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (bytes: Buffer) => stdout.push(bytes));
  child.stderr.on("data", (bytes: Buffer) => stderr.push(bytes));
  child.stdin.on("error", () => {});
  const ended = once(child, "close").then(([status, signal]) => ({
    status: status as number | null,
    signal: signal as NodeJS.Signals | null,
    stdout: Buffer.concat(stdout).toString("latin1"),
    stderr: Buffer.concat(stderr).toString(),
  }));
  return { child, ended };
}

/** Runs pcapts to its end, with nothing on standard input. */
export async function runPcapts(...args: string[]): Promise<Ended> {
  const { child, ended } = startPcapts(args);
  child.stdin.end();
  return ended;
}
