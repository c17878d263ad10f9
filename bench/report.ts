import type { Machine } from "./machine.ts";
import type { Task } from "./options.ts";

/** What the runs had in common, as the tables' heading says it. */
export interface Environment extends Machine {
  readonly software: string;
  readonly broker: string;
  readonly output: string;
}

/** A program that took part. */
export interface ProgramInReport {
  readonly task: Task;
  readonly name: string;
  readonly title: string;
  readonly settings: string;
}

/** A program that could not take part, and why. */
export interface AbsentProgram {
  readonly name: string;
  readonly reason: string;
}

/** Topics and frames that one set of runs had. */
export interface Workload {
  readonly partitions: number;
  /** Length of every frame; undefined is the mixture. */
  readonly frameBytes: number | undefined;
  readonly averageFrameBytes: number;
}

/** One run of one program. */
export interface Run {
  readonly task: Task;
  readonly program: string;
  readonly workload: Workload;
  /** From 1. */
  readonly round: number;
  readonly frames: number;
  readonly wallSeconds: number;
  /** User and system time of the program. */
  readonly cpuSeconds: number;
  /** The broker's during the run. */
  readonly brokerCpuSeconds: number;
  readonly peakMegabytes: number;
  /** Why the run does not count; undefined when it does. */
  readonly fault: string | undefined;
}

/** Everything that was measured: what `--json` keeps and the tables are made of. */
export interface Report {
  readonly table: 1 | 2;
  readonly rounds: number;
  readonly frames: number;
  readonly environment: Environment;
  readonly programs: readonly ProgramInReport[];
  readonly absent: readonly AbsentProgram[];
  readonly runs: readonly Run[];
}
