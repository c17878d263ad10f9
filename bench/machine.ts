import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { projectRoot } from "../test/brokers.ts";

/** What was measured, where and when. */
export interface Machine {
  /** When the measuring began, ISO 8601 with the day only. */
  readonly date: string;
  readonly commit: string;
  readonly machine: string;
  readonly system: string;
  /** Of the last minute, before the measuring. */
  readonly loadAverage: number;
}

/** Above this the machine has something else to do. */
const QUIET_LOAD = 0.5;

/** This machine and this checkout, now. Says so on the console when the machine is not quiet. */
export function describeMachine(): Machine {
  const processors = cpus();
  const loadAverage = loadAverageNow();
  if (loadAverage > QUIET_LOAD) {
    console.log(`bench: the machine is not quiet (load ${loadAverage.toFixed(2)}): expect noise`);
  }
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: commit(),
    machine: `${processors.length} × ${processors[0]?.model ?? "?"}, ${(totalmem() / 2 ** 30).toFixed(0)} GB`,
    system: `Linux ${release().split("-")[0]}, ${distribution()}`,
    loadAverage,
  };
}

/** Load average of the last minute. */
export function loadAverageNow(): number {
  return loadavg()[0] ?? NaN;
}

/** Kind of the file system that a folder is on. */
export function fileSystemOf(folder: string): string {
  return execFileSync("stat", ["-f", "-c", "%T", folder], { encoding: "utf8" }).trim();
}

function distribution(): string {
  try {
    return /^PRETTY_NAME="(.*)"$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "?";
  } catch {
    return "?";
  }
}

function commit(): string {
  const run = spawnSync("git", ["describe", "--always", "--dirty"], {
    cwd: projectRoot,
    encoding: "utf8",
  });
  return run.status === 0 ? run.stdout.trim() : "unknown";
}

/**
 * Part of all processors that was busy over some time, 0 to 1.
 * @param windowMs how long to look
 */
export async function busyShare(windowMs: number): Promise<number> {
  const before = processorTicks();
  await sleep(windowMs);
  const after = processorTicks();
  return 1 - (after.idle - before.idle) / (after.all - before.all);
}

/** proc(5), stat: user, nice, system, idle, iowait, irq, softirq, steal; the guests' are in user. */
function processorTicks(): { idle: number; all: number } {
  const line = readFileSync("/proc/stat", "latin1").split("\n", 1)[0] ?? "";
  const ticks = line.split(/\s+/).slice(1, 9).map(Number);
  return {
    idle: (ticks[3] ?? 0) + (ticks[4] ?? 0),
    all: ticks.reduce((sum, some) => sum + some, 0),
  };
}
