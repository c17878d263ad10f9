import { randomUUID } from "node:crypto";
import type { LedgerCounters, LedgerRecord, OffsetRange } from "./ledger-record.ts";
import type { ProduceSummary } from "./pipeline-options.ts";

/** What a {@link CaptureLedger} is kept of. */
export interface CaptureLedgerSetup {
  readonly sensor: string;
  readonly source: string;
  readonly topic: string;
  readonly intervalMs: number;
  /** Counters as they stand. */
  readonly summary: () => ProduceSummary;
  /** Hands a record on. */
  readonly send: (record: { key: Buffer; value: Buffer; timestampMs: number }) => void;
  /** Wall clock in milliseconds. */
  readonly wallClock: () => number;
}

const NOTHING: LedgerCounters = {
  received: 0,
  filtered: 0,
  captured: 0,
  acknowledged: 0,
  failed: 0,
  unknown: 0,
  droppedHere: 0,
  droppedByKernel: 0,
  droppedByInterface: 0,
};

/**
 * The books of a run: a record when it begins, one for each interval, one when
 * it ends. What a run that was killed would have written is missed by whoever
 * reads them: numbers have no gaps, and the last record says that it is the last.
 */
export class CaptureLedger {
  readonly #setup: CaptureLedgerSetup;
  readonly #run = randomUUID();
  readonly #timer: NodeJS.Timeout;
  #number = 0;
  #beginMs: number;
  #before: LedgerCounters = NOTHING;
  #placed = new Map<number, [number, number][]>();
  #unplaced = 0;
  #isOver = false;

  constructor(setup: CaptureLedgerSetup) {
    this.#setup = setup;
    this.#beginMs = setup.wallClock();
    this.#write("start");
    this.#timer = setInterval(() => this.interval(), setup.intervalMs);
    this.#timer.unref();
  }

  /**
   * Notes where frames are.
   *
   * @param baseOffset of the first; -1 when the broker does not know any more
   */
  acknowledged(partition: number, baseOffset: bigint, frameCount: number): void {
    if (baseOffset < 0n) {
      this.#unplaced += frameCount;
      return;
    }
    // Exact up to 2^53 records of a partition.
    const first = Number(baseOffset);
    const last = first + frameCount - 1;
    const ranges = this.#placed.get(partition) ?? [];
    const before = ranges.at(-1);
    if (before !== undefined && before[1] + 1 === first) before[1] = last;
    else ranges.push([first, last]);
    this.#placed.set(partition, ranges);
  }

  /** Ends an interval before its time. */
  interval(): void {
    if (!this.#isOver) this.#write("interval");
  }

  /** Writes the last record; safe repeatedly. */
  end(failure: string | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearInterval(this.#timer);
    this.#write("end", failure);
  }

  #write(kind: LedgerRecord["kind"], failure?: string): void {
    const { sensor, source, topic, intervalMs, summary, send, wallClock } = this.#setup;
    const now = summary();
    const nowMs = wallClock();
    const before = this.#before;
    const captured = now.captured - before.captured;
    const record: LedgerRecord = {
      ledger: 1,
      run: this.#run,
      sensor,
      source,
      topic,
      number: this.#number++,
      kind,
      begin: new Date(this.#beginMs).toISOString(),
      end: new Date(nowMs).toISOString(),
      interval_ms: intervalMs,
      frames: captured > 0 ? { first: before.captured + 1, last: now.captured } : null,
      received: difference(now.received, before.received),
      filtered: now.filtered - before.filtered,
      captured,
      acknowledged: now.acknowledged - before.acknowledged,
      lost: {
        kernel: difference(now.droppedByKernel, before.droppedByKernel),
        interface: difference(now.droppedByInterface, before.droppedByInterface),
        failed: now.failed - before.failed,
        unknown: now.unknown - before.unknown,
        dropped_here: now.droppedHere - before.droppedHere,
        ...(now.sampledOut !== undefined && {
          sampled_out: now.sampledOut - (before.sampledOut ?? 0),
        }),
      },
      ...(now.truncated !== undefined && { truncated: now.truncated - (before.truncated ?? 0) }),
      waiting: {
        ring: now.leftInRing ?? null,
        queue: now.queued,
        ...(now.spooled !== undefined && { spool: now.spooled }),
      },
      ...(kind === "start" &&
        now.foundInSpool !== undefined && { found_in_spool: now.foundInSpool }),
      offsets: this.#takeOffsets(),
      unplaced: this.#unplaced,
      ...(failure !== undefined && { failure }),
    };
    this.#unplaced = 0;
    this.#before = now;
    this.#beginMs = nowMs;
    const value = Buffer.from(JSON.stringify(record));
    send({ key: Buffer.from(sensor), value, timestampMs: nowMs });
  }

  #takeOffsets(): Record<string, readonly OffsetRange[]> {
    const placed = [...this.#placed].toSorted(([a], [b]) => a - b);
    this.#placed = new Map();
    return Object.fromEntries(placed);
  }
}

/** What cannot be told at one end cannot be told of what lies between. */
function difference(now: number | undefined, before: number | undefined): number | null {
  return now === undefined || before === undefined ? null : now - before;
}
