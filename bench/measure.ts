import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import path from "node:path";
import { projectRoot, pythonExecutable } from "../test/brokers.ts";

/** What a program cost by the kernel's account, and how it ended. */
export interface Cost {
  readonly wallSeconds: number;
  /** User and system time. */
  readonly cpuSeconds: number;
  readonly peakMegabytes: number;
  /** Negative: the signal that ended it. */
  readonly status: number;
  readonly timedOut: boolean;
  /** The last lines of its standard error. */
  readonly complaint: string;
}

/** What {@link measure} runs. */
export interface Measuring {
  readonly command: readonly string[];
  /** The file that gets its standard output. */
  readonly output: string;
  /** Where the cost is passed through. */
  readonly resultFile: string;
  readonly limitSeconds: number;
  /** Over this process's environment. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** A program while it runs. */
export interface Measured {
  /** Resolves with the program's end. It dies with this process. */
  readonly cost: Promise<Cost>;
  /** The end of what it wrote to standard error so far. */
  errorOutput(): string;
  /** Sends it SIGINT, as Ctrl-C does. */
  interrupt(): void;
}

const running = new Set<ChildProcess>();

/** Runs a program from start to end. It dies with this process. */
export function measure(measuring: Measuring): Promise<Cost> {
  return startMeasuring(measuring).cost;
}

/** Starts a program that runs until it is interrupted, or ends. */
export function startMeasuring(measuring: Measuring): Measured {
  const { command, output, resultFile, limitSeconds, environment } = measuring;
  const watcher = [path.join(projectRoot, "bench/peers/measure.py"), String(limitSeconds)];
  const child = spawn(pythonExecutable, [...watcher, resultFile, output, ...command], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, ...environment },
  });
  running.add(child);
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-4_000);
  });
  const cost = once(child, "close").then(([status]: (number | null)[]): Cost => {
    running.delete(child);
    if (status !== 0) throw new Error(`Cannot measure ${command.join(" ")}: ${said}`);
    const result = JSON.parse(readFileSync(resultFile, "utf8")) as Omit<Cost, "complaint">;
    return { ...result, complaint: said.trim().split("\n").slice(-3).join("\n") };
  });
  return { cost, errorOutput: () => said, interrupt: () => void child.kill("SIGUSR1") };
}

/** Ends the programs that are being measured, if there are any. */
export function stopMeasuring(): void {
  for (const child of running) child.kill("SIGTERM");
}

/** User and system seconds that a process has taken so far (proc(5), stat). */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // The name before it may hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const CLOCK_TICKS_PER_SECOND = 100;
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
}
