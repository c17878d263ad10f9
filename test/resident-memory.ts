import { readdirSync, readFileSync, writeFileSync } from "node:fs";

/*
 * What the kernel says of a process's memory and descriptors: proc(5).
 */

/** The most memory that a process has had since it began, or since {@link resetPeak}. */
export function readPeakMegabytes(pid: number | "self"): number {
  return readField(pid, "VmHWM");
}

/** Memory that a process has now. */
export function readResidentMegabytes(pid: number | "self"): number {
  return readField(pid, "VmRSS");
}

/** Begins the peak of this process anew. */
export function resetPeak(): void {
  writeFileSync("/proc/self/clear_refs", "5");
}

/** Files, sockets and pipes that a process has open. */
export function countDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function readField(pid: number | "self", field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) / 1024;
}
