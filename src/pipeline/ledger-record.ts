import type { ProduceSummary } from "./pipeline-options.ts";

/** Offsets in a row, both ends included. */
export type OffsetRange = readonly [first: number, last: number];

/** Why frames are not in Kafka, or may not be; what an engine cannot tell is null. */
export interface LostFrames {
  readonly kernel: number | null;
  readonly interface: number | null;
  readonly failed: number;
  readonly unknown: number;
  readonly dropped_here: number;
  /** With an overload policy. */
  readonly sampled_out?: number;
}

/**
 * What a producer did in an interval, as it stands in the ledger's topic: a
 * record of JSON, its key the sensor. Counts are of the interval.
 */
export interface LedgerRecord {
  /** Version of this form. */
  readonly ledger: 1;
  /** Of this start of the program. */
  readonly run: string;
  readonly sensor: string;
  /** Interface or file. */
  readonly source: string;
  /** Where the frames went. */
  readonly topic: string;
  /** From 0, without gaps within a run. */
  readonly number: number;
  /** The first says `start`, the last of a run that came to its end says `end`. */
  readonly kind: "start" | "interval" | "end";
  /** ISO 8601, UTC. */
  readonly begin: string;
  readonly end: string;
  /** Length that intervals are meant to have. */
  readonly interval_ms: number;
  /** Frames of the run are numbered from 1 as they are captured; null: none in this interval. */
  readonly frames: { readonly first: number; readonly last: number } | null;
  readonly received: number | null;
  readonly filtered: number;
  readonly captured: number;
  readonly acknowledged: number;
  readonly lost: LostFrames;
  /** With an overload policy: frames that were cut; they are in the other counts, too. */
  readonly truncated?: number;
  /** How many frames wait at the end of the interval. */
  readonly waiting: {
    readonly ring: number | null;
    readonly queue: number;
    /** With a spool; at the end of a run they are left to the next one. */
    readonly spool?: number;
  };
  /** With a spool, in the first record: what a run before had left there. */
  readonly found_in_spool?: number;
  /** Where acknowledged frames are, by partition. */
  readonly offsets: Readonly<Record<string, readonly OffsetRange[]>>;
  /** Acknowledged frames of which the broker did not say where they are. */
  readonly unplaced: number;
  /** Why the run ended, if it was not asked to. */
  readonly failure?: string;
}

/** Counters of which a record has the difference. */
export type LedgerCounters = Pick<
  ProduceSummary,
  | "received"
  | "filtered"
  | "captured"
  | "acknowledged"
  | "failed"
  | "unknown"
  | "droppedHere"
  | "droppedByKernel"
  | "droppedByInterface"
  | "sampledOut"
  | "truncated"
>;

/**
 * Reads a record.
 *
 * @param value as it stands in the topic
 * @returns undefined when it is no record of a ledger
 */
export function parseLedgerRecord(value: Buffer): LedgerRecord | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(value.toString());
  } catch {
    return undefined;
  }
  return isLedgerRecord(parsed) ? parsed : undefined;
}

function isLedgerRecord(value: unknown): value is LedgerRecord {
  if (typeof value !== "object" || value === null) return false;
  const { ledger, run, topic, number, offsets, lost } = value as Partial<LedgerRecord>;
  const isText = typeof run === "string" && typeof topic === "string";
  const isWhole = typeof offsets === "object" && typeof lost === "object";
  return ledger === 1 && isText && typeof number === "number" && isWhole;
}
