import type { Machine } from "../machine.ts";
import type { Rate } from "./options.ts";

/** What the runs had in common, as the heading says it. */
export interface LiveEnvironment extends Machine {
  readonly software: string;
  readonly broker: string;
  readonly sender: string;
}

/** A program that took part. */
export interface LiveProgramInReport {
  readonly name: string;
  readonly title: string;
  readonly settings: string;
}

/** One run of one program at one rate. */
export interface LiveRun {
  readonly program: string;
  /** What tcpreplay was asked for; null is as fast as it can. */
  readonly rate: number | null;
  /** From 1. */
  readonly round: number;
  /** By tcpreplay's count. */
  readonly sent: number;
  readonly sentPerSecond: number;
  /** By the interface's counter: what the kernel lost before it is no program's fault. */
  readonly arrived: number;
  /** By the topic's offsets, after the program's end. */
  readonly stored: number;
  /** By the program's own count; null where it has none. */
  readonly droppedByKernel: number | null;
  /** User and system time. */
  readonly cpuSeconds: number;
  readonly brokerCpuSeconds: number;
  readonly peakMegabytes: number;
  /** Part of the processors that others took just before the run, 0 to 1. */
  readonly busyBefore: number;
  /** Why the run does not count; undefined when it does. */
  readonly fault?: string | undefined;
}

/** Pauses of pcapts' event loop in one run. */
export interface PauseRun {
  readonly program: string;
  readonly round: number;
  readonly sent: number;
  readonly stored: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Times from an interface to a consumer's standard output in one run. */
export interface DelayRun {
  readonly program: string;
  /** What the consumer was told beyond its defaults; "" is nothing. */
  readonly consumer: string;
  /** One is in one partition, and the others have nothing. */
  readonly flows: number;
  readonly round: number;
  readonly sent: number;
  /** Frames that came out. */
  readonly frames: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** How late the sender's latest frame was: this machine's own delay. */
  readonly senderLatestMs: number;
}

/** Everything that was measured: what `--json` keeps and the tables are made of. */
export interface LiveReport {
  readonly rounds: number;
  readonly frames: number;
  readonly partitions: number;
  readonly environment: LiveEnvironment;
  readonly programs: readonly LiveProgramInReport[];
  readonly runs: readonly LiveRun[];
  readonly pauseRate: number;
  readonly pauses: readonly PauseRun[];
  readonly delayRate: number;
  readonly delays: readonly DelayRun[];
}

/** As JSON keeps it. */
export function keptRate(rate: Rate): number | null {
  return rate ?? null;
}
