import type { BrokerName } from "../bench-broker.ts";
import type { Machine } from "../machine.ts";
import type { Run } from "../report.ts";

/** What the runs had in common, as the heading says it. */
export interface BrokersEnvironment extends Machine {
  readonly software: string;
  readonly output: string;
}

/** A broker that took part. */
export interface BrokerInReport {
  readonly name: BrokerName;
  readonly settings: string;
  /** The most memory it had while everything of `runs` was published and read. */
  readonly peakMegabytes: number;
}

/** One start of a broker that had been killed. */
export interface Restart {
  readonly broker: BrokerName;
  /** From 1. */
  readonly round: number;
  /** Of records, on its disk; 0 for none. */
  readonly dataBytes: number;
  /** From the start of its process to an answer that has every record counted. */
  readonly readyMs: number;
}

/** A broker that has much on its disk. */
export interface LargeLog {
  readonly broker: BrokerName;
  readonly dataBytes: number;
  /** The most memory it had while that was published. */
  readonly publishingMegabytes: number;
  /** The most memory it had from its last start until all was read. */
  readonly readingMegabytes: number;
}

/** Everything that was measured: what `--json` keeps and the tables are made of. */
export interface BrokersReport {
  readonly rounds: number;
  readonly frames: number;
  readonly environment: BrokersEnvironment;
  readonly brokers: readonly BrokerInReport[];
  /** pcapts through each broker; the broker's name stands as the program. */
  readonly runs: readonly Run[];
  readonly restarts: readonly Restart[];
  readonly largeLogs: readonly LargeLog[];
}
