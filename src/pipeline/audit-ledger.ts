import type { LedgerRecord, LostFrames, OffsetRange } from "./ledger-record.ts";
import {
  countOffsets,
  findOverlaps,
  formatRanges,
  joinRanges,
  rangesBelow,
  rangesFrom,
} from "./offset-ranges.ts";

/** Something that is missing, or may be. */
export interface LedgerGap {
  readonly kind:
    | "beginning"
    | "intervals"
    | "end"
    | "failure"
    | "lost"
    | "untold"
    | "unacknowledged"
    | "spooled"
    | "sequence"
    | "offsets"
    | "deleted"
    | "beyond-end"
    | "overlap";
  /** Intervals it is about, by their numbers; none where it is about the whole run. */
  readonly intervals?: OffsetRange;
  /** Between these times, ISO 8601. */
  readonly begin: string;
  readonly end: string;
  /** How many frames, where that is known. */
  readonly frames?: number;
  readonly text: string;
}

/** What the books say of one run. */
export interface RunAudit {
  readonly run: string;
  readonly sensor: string;
  readonly source: string;
  readonly begin: string;
  readonly end: string;
  readonly state: "ended" | "running" | "broken off";
  readonly intervals: number;
  readonly captured: number;
  readonly acknowledged: number;
  readonly gaps: readonly LedgerGap[];
  /** What is worth knowing and no gap. */
  readonly notes: readonly string[];
}

/** Where the partitions of the frames' topic begin and end. */
export type PartitionEnds = ReadonlyMap<number, { readonly begin: number; readonly end: number }>;

/** A run may be late with a record by so much before it counts as broken off. */
const PATIENCE_INTERVALS = 3;
const PATIENCE_MS = 10_000;

/**
 * Judges the books of a topic.
 *
 * @param records of that topic alone, in whatever order; a record may be there twice
 * @param partitions of the topic now; empty when it is gone
 * @param nowMs wall clock
 * @returns a judgement of each run, in the order of their beginnings
 */
export function auditLedger(
  records: readonly LedgerRecord[],
  partitions: PartitionEnds,
  nowMs: number,
): RunAudit[] {
  const byRun = new Map<string, Map<number, LedgerRecord>>();
  for (const record of records) {
    const run = byRun.get(record.run) ?? new Map<number, LedgerRecord>();
    run.set(record.number, record);
    byRun.set(record.run, run);
  }
  const runs = [...byRun.values()]
    .map((run) => [...run.values()].toSorted((a, b) => a.number - b.number))
    .toSorted((a, b) => a[0]!.begin.localeCompare(b[0]!.begin));
  const overlaps = findOverlapsOfRuns(runs);
  return runs.map((run, index) => {
    const { sensor, source } = run[0]!;
    const next = runs
      .slice(index + 1)
      .find(([first]) => first!.sensor === sensor && first!.source === source);
    return auditRun(run, { partitions, overlaps, nowMs, next: next?.[0] });
  });
}

/** What a run is judged by, beside its records. */
interface Surroundings {
  readonly partitions: PartitionEnds;
  /** Offsets that are claimed twice, by partition. */
  readonly overlaps: ReadonlyMap<string, readonly OffsetRange[]>;
  readonly nowMs: number;
  /** The first record of the next run of the same source. */
  readonly next: LedgerRecord | undefined;
}

function auditRun(
  records: readonly LedgerRecord[],
  { partitions, overlaps, nowMs, next }: Surroundings,
): RunAudit {
  const first = records[0]!;
  const last = records.at(-1)!;
  const patienceMs = PATIENCE_MS + PATIENCE_INTERVALS * last.interval_ms;
  const isRunning = last.kind !== "end" && nowMs - Date.parse(last.end) <= patienceMs;
  const state = last.kind === "end" ? "ended" : isRunning ? "running" : "broken off";
  const sum = (count: (record: LedgerRecord) => number): number =>
    records.reduce((total, record) => total + count(record), 0);
  return {
    run: first.run,
    sensor: first.sensor,
    source: first.source,
    begin: first.begin,
    end: last.end,
    state,
    intervals: records.length,
    captured: sum(({ captured }) => captured),
    acknowledged: sum(({ acknowledged }) => acknowledged),
    gaps: [
      ...findMissing(records),
      ...findLosses(records),
      ...findEnd(last, state, next),
      ...findOffsetFaults(records, partitions, overlaps),
    ],
    notes: listNotes(records, last, next),
  };
}

/** Numbers that are not there, and frames that nobody counted. */
function findMissing(records: readonly LedgerRecord[]): LedgerGap[] {
  const gaps: LedgerGap[] = [];
  const first = records[0]!;
  if (first.number > 0) {
    gaps.push({
      kind: "beginning",
      intervals: [0, first.number - 1],
      begin: first.begin,
      end: first.begin,
      text: `interval(s) ${formatRanges([[0, first.number - 1]])}: not in the ledger, or not any more`,
    });
  }
  records.slice(1).forEach((record, index) => {
    const before = records[index]!;
    const isNext = record.number === before.number + 1;
    if (!isNext) {
      const intervals: OffsetRange = [before.number + 1, record.number - 1];
      gaps.push({
        kind: "intervals",
        intervals,
        begin: before.end,
        end: record.begin,
        text: `interval(s) ${formatRanges([intervals])}: their records are missing`,
      });
    }
    const behind = lastFrameUntil(records, index);
    if (
      isNext &&
      record.frames !== null &&
      behind !== undefined &&
      record.frames.first !== behind + 1
    ) {
      gaps.push({
        kind: "sequence",
        intervals: [record.number, record.number],
        begin: record.begin,
        end: record.end,
        text: `interval ${record.number}: begins with frame ${record.frames.first}, and the one before ended with ${behind}`,
      });
    }
  });
  return gaps;
}

/** Number of the last frame up to a record, where nothing is missing in between. */
function lastFrameUntil(records: readonly LedgerRecord[], index: number): number | undefined {
  for (let at = index; at >= 0; at--) {
    const { frames, number } = records[at]!;
    if (frames !== null) return frames.last;
    if (number === 0) return 0;
    if (records[at - 1]?.number !== number - 1) return undefined;
  }
  return undefined;
}

const CAUSES: Readonly<Record<keyof Required<LostFrames>, string>> = {
  kernel: "dropped by the kernel, whose ring was full",
  interface: "dropped by the interface",
  failed: "refused, or not acknowledged in time",
  unknown: "sent, and never answered",
  dropped_here: "given up, because a stop ran out of time or there was no room (--overload)",
  sampled_out: "left out, because there was room for some conversations only (--overload sample)",
};

/** Intervals in a row with losses of the same cause are one gap. */
function findLosses(records: readonly LedgerRecord[]): LedgerGap[] {
  const gaps: LedgerGap[] = [];
  for (const [cause, words] of Object.entries(CAUSES) as [keyof LostFrames, string][]) {
    let run: LedgerRecord[] = [];
    const close = (): void => {
      const [first, last] = [run[0], run.at(-1)];
      if (first === undefined || last === undefined) return;
      const intervals: OffsetRange = [first.number, last.number];
      const frames = run.reduce((total, { lost }) => total + (lost[cause] ?? 0), 0);
      gaps.push({
        kind: "lost",
        intervals,
        begin: first.begin,
        end: last.end,
        frames,
        text: `interval(s) ${formatRanges([intervals])}: '${frames}' frame(s) ${words}`,
      });
      run = [];
    };
    for (const record of records) {
      if ((record.lost[cause] ?? 0) <= 0) continue;
      if (run.length > 0 && run.at(-1)!.number + 1 !== record.number) close();
      run.push(record);
    }
    close();
  }
  const untold = records.filter(({ lost }) => lost.kernel === null);
  const [first, last] = [untold[0], untold.at(-1)];
  if (first !== undefined && last !== undefined) {
    gaps.push({
      kind: "untold",
      begin: first.begin,
      end: last.end,
      text: "the engine cannot tell what the kernel dropped (--engine libpcap can)",
    });
  }
  return gaps;
}

function findEnd(
  last: LedgerRecord,
  state: RunAudit["state"],
  next: LedgerRecord | undefined,
): LedgerGap[] {
  const { end, number, waiting, failure } = last;
  const gaps: LedgerGap[] = [];
  if (state === "broken off") {
    const until = next === undefined ? "" : ` until the next run began at ${next.begin}`;
    gaps.push({
      kind: "end",
      begin: end,
      end: next?.begin ?? end,
      text:
        `broken off after interval ${number}: what was captured from ${end} on${until} is not known, ` +
        `and '${waiting.queue}' frame(s) captured before were not acknowledged by then`,
    });
  }
  if (failure !== undefined)
    gaps.push({ kind: "failure", begin: end, end, text: `failed: ${failure}` });
  if (state === "ended" && waiting.queue > 0) {
    gaps.push({
      kind: "unacknowledged",
      begin: end,
      end,
      frames: waiting.queue,
      text: `'${waiting.queue}' frame(s) were captured and not acknowledged when the run ended`,
    });
  }
  const { spool = 0 } = waiting;
  if (state === "ended" && spool > 0 && !isCarriedOn(last, next)) {
    gaps.push({
      kind: "spooled",
      begin: end,
      end,
      frames: spool,
      text: `'${spool}' frame(s) were left in the spool, and no run has sent them since`,
    });
  }
  return gaps;
}

/** Whether the next run found in the spool what this one had left there. */
function isCarriedOn({ waiting }: LedgerRecord, next: LedgerRecord | undefined): boolean {
  return (next?.found_in_spool ?? 0) >= (waiting.spool ?? 0);
}

/** What was acknowledged has to be where it was put. */
function findOffsetFaults(
  records: readonly LedgerRecord[],
  partitions: PartitionEnds,
  overlaps: ReadonlyMap<string, readonly OffsetRange[]>,
): LedgerGap[] {
  const gaps: LedgerGap[] = [];
  const { begin } = records[0]!;
  const { end } = records.at(-1)!;
  for (const record of records) {
    const placed = Object.values(record.offsets).reduce((sum, each) => sum + countOffsets(each), 0);
    if (placed + record.unplaced === record.acknowledged) continue;
    gaps.push({
      kind: "offsets",
      intervals: [record.number, record.number],
      begin: record.begin,
      end: record.end,
      text: `interval ${record.number}: '${record.acknowledged}' frame(s) were acknowledged, and offsets name ${placed}`,
    });
  }
  for (const [partition, ranges] of rangesByPartition(records)) {
    const ends = partitions.get(Number(partition)) ?? { begin: 0, end: 0 };
    const faults = [
      ["deleted", rangesBelow(ranges, ends.begin), "deleted since, by retention or by hand"],
      [
        "beyond-end",
        rangesFrom(ranges, Math.max(ends.end, ends.begin)),
        "not in the topic: was it made anew?",
      ],
      [
        "overlap",
        overlapsWithin(ranges, overlaps.get(partition) ?? []),
        "claimed twice: was the topic made anew?",
      ],
    ] as const;
    for (const [kind, offsets, words] of faults) {
      if (offsets.length === 0) continue;
      const frames = countOffsets(offsets);
      const text = `partition ${partition}, offsets ${formatRanges(offsets)}: '${frames}' frame(s) ${words}`;
      gaps.push({ kind, begin, end, frames, text });
    }
  }
  return gaps;
}

function rangesByPartition(records: readonly LedgerRecord[]): Map<string, OffsetRange[]> {
  const all = new Map<string, OffsetRange[]>();
  for (const { offsets } of records) {
    for (const [partition, ranges] of Object.entries(offsets)) {
      all.set(partition, [...(all.get(partition) ?? []), ...ranges]);
    }
  }
  return all;
}

function findOverlapsOfRuns(
  runs: readonly (readonly LedgerRecord[])[],
): ReadonlyMap<string, readonly OffsetRange[]> {
  const all = rangesByPartition(runs.flat());
  return new Map([...all].map(([partition, ranges]) => [partition, findOverlaps(ranges)]));
}

function overlapsWithin(
  ranges: readonly OffsetRange[],
  overlaps: readonly OffsetRange[],
): OffsetRange[] {
  return joinRanges(
    overlaps.flatMap(([first, last]) => rangesBelow(rangesFrom(ranges, first), last + 1)),
  );
}

function listNotes(
  records: readonly LedgerRecord[],
  last: LedgerRecord,
  next: LedgerRecord | undefined,
): string[] {
  const notes: string[] = [];
  const unplaced = records.reduce((sum, record) => sum + record.unplaced, 0);
  if (unplaced > 0) {
    notes.push(`of '${unplaced}' acknowledged frame(s) the broker did not say where they are`);
  }
  const { ring, spool = 0 } = last.waiting;
  if (last.kind === "end" && spool > 0 && isCarriedOn(last, next)) {
    notes.push(`'${spool}' frame(s) were left in the spool, where the next run found them`);
  }
  if (last.kind === "end" && ring !== null && ring > 0) {
    notes.push(`'${ring}' frame(s) were received and not taken when the run was stopped`);
  }
  return notes;
}
