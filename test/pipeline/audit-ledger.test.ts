import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { auditLedger, type PartitionEnds, type RunAudit } from "../../src/pipeline/audit-ledger.ts";
import { CaptureLedger } from "../../src/pipeline/capture-ledger.ts";
import { type LedgerRecord, parseLedgerRecord } from "../../src/pipeline/ledger-record.ts";
import {
  findOverlaps,
  joinRanges,
  rangesBelow,
  rangesFrom,
} from "../../src/pipeline/offset-ranges.ts";
import type { ProduceSummary } from "../../src/pipeline/pipeline-options.ts";

/* What an audit finds in books; test/system/audit.test.ts has real ones. */

/** So long that the books' own timer does not meddle. */
const INTERVAL_MS = 1_000_000;
const FRAMES = 10;
const NOW = 1e9;

/** A run whose counters a test moves on. */
class BookedRun {
  readonly records: LedgerRecord[] = [];
  readonly summary: ProduceSummary = {
    received: 0,
    droppedByKernel: 0,
    droppedByInterface: 0,
    filtered: 0,
    leftInRing: 0,
    captured: 0,
    acknowledged: 0,
    failed: 0,
    unknown: 0,
    droppedHere: 0,
    queued: 0,
    torn: 0,
  };
  readonly #books: CaptureLedger;
  #ms: number;
  #offset: number;

  constructor(beginMs = 0, firstOffset = 0, spool: Partial<ProduceSummary> = {}) {
    Object.assign(this.summary, spool);
    this.#ms = beginMs;
    this.#offset = firstOffset;
    this.#books = new CaptureLedger({
      sensor: "probe",
      source: "eth0",
      topic: "pcap",
      // Longer than the test: intervals end when it says so.
      intervalMs: INTERVAL_MS,
      summary: () => ({ ...this.summary }),
      send: ({ value }) => void this.records.push(parseLedgerRecord(value)!),
      wallClock: () => this.#ms,
    });
  }

  /** Captures and delivers some frames. */
  deliver(): this {
    this.summary.received! += FRAMES;
    this.summary.captured += FRAMES;
    this.summary.acknowledged += FRAMES;
    this.#books.acknowledged(0, BigInt(this.#offset), FRAMES);
    this.#offset += FRAMES;
    return this;
  }

  /** Writes the record of an interval, as the timer does. */
  interval(): this {
    this.#ms += INTERVAL_MS;
    this.#books.interval();
    return this;
  }

  end(failure?: string): this {
    this.#ms += INTERVAL_MS;
    this.#books.end(failure);
    return this;
  }
}

const topic = (begin: number, end: number): PartitionEnds => new Map([[0, { begin, end }]]);

function audit(
  records: readonly LedgerRecord[],
  partitions = topic(0, 1e6),
  nowMs = NOW,
): RunAudit {
  const [run] = auditLedger(records, partitions, nowMs);
  return run ?? assert.fail("no run");
}

function runOf(intervals: number): BookedRun {
  const run = new BookedRun();
  for (let n = 0; n < intervals; n++) run.deliver().interval();
  return run.deliver().end();
}

test("books without a gap are complete, in whatever order and however often their records come", () => {
  const { records } = runOf(5);
  const found = audit([...records.toReversed(), ...records]);
  assert.deepEqual(found.gaps, []);
  assert.deepEqual(found.notes, []);
  assert.deepEqual([found.state, found.intervals], ["ended", 7]);
  assert.deepEqual([found.captured, found.acknowledged], [60, 60]);
});

test("every interval whose record is missing is named, and no other", () => {
  fc.assert(
    fc.property(fc.subarray([1, 2, 3, 4, 5, 6, 7, 8], { minLength: 1 }), (missing) => {
      const records = runOf(8).records.filter(({ number }) => !missing.includes(number));
      const named = audit(records).gaps.flatMap(({ kind, intervals: [first, last] = [0, -1] }) => {
        assert.equal(kind, "intervals");
        return Array.from({ length: last - first + 1 }, (_, n) => first + n);
      });
      assert.deepEqual(named, missing);
    }),
  );
});

test("a ledger whose beginning is gone says so", () => {
  const gaps = audit(runOf(4).records.slice(2)).gaps;
  assert.deepEqual(
    gaps.map(({ kind, intervals }) => [kind, intervals]),
    [["beginning", [0, 1]]],
  );
});

test("a run without its last record is broken off, unless it may still be running", () => {
  const { records } = runOf(3);
  const open = records.slice(0, -1);
  const lastMs = Date.parse(open.at(-1)!.end);
  assert.equal(audit(open, undefined, lastMs + 5000).state, "running");
  assert.deepEqual(audit(open, undefined, lastMs + 5000).gaps, []);
  const late = audit(open, undefined, lastMs + 1e7);
  assert.equal(late.state, "broken off");
  assert.deepEqual(
    late.gaps.map(({ kind }) => kind),
    ["end"],
  );
  assert.match(late.gaps[0]!.text, /^broken off after interval 3: /);
  // Until when nobody captured is known once there is another run.
  const next = new BookedRun(5e7, 1000).end();
  const [first] = auditLedger([...open, ...next.records], topic(0, 1e6), NOW);
  assert.equal(first?.gaps[0]?.end, new Date(5e7).toISOString());
});

test("losses are named by interval, time and cause, neighbours together", () => {
  const run = new BookedRun().deliver().interval();
  run.summary.droppedByKernel! += 5;
  run.deliver().interval();
  run.summary.droppedByKernel! += 2;
  run.deliver().interval().deliver().interval();
  run.summary.failed += 3;
  run.summary.captured += 3;
  run.deliver().end();
  assert.deepEqual(
    audit(run.records).gaps.map(({ kind, intervals, frames, text }) => ({
      kind,
      intervals,
      frames,
      text,
    })),
    [
      {
        kind: "lost",
        intervals: [2, 3],
        frames: 7,
        text: "interval(s) 2-3: '7' frame(s) dropped by the kernel, whose ring was full",
      },
      {
        kind: "lost",
        intervals: [5, 5],
        frames: 3,
        text: "interval(s) 5: '3' frame(s) refused, or not acknowledged in time",
      },
    ],
  );
});

test("frames in the queue are a gap at the end of a run, and not in between", () => {
  const run = new BookedRun();
  run.summary.captured += 4;
  run.summary.queued = 4;
  run.interval();
  assert.deepEqual(audit(run.records, undefined, 2000).gaps, []);
  run.end("Lost the connection to Kafka");
  assert.deepEqual(
    audit(run.records).gaps.map(({ kind, frames }) => [kind, frames]),
    [
      ["failure", undefined],
      ["unacknowledged", 4],
    ],
  );
});

test("frames in the spool are a gap until a later run has found them there", () => {
  const run = runOf(1);
  const left = run.records.map((record) =>
    record.kind === "end" ? { ...record, waiting: { ...record.waiting, spool: 9 } } : record,
  );
  assert.deepEqual(
    audit(left).gaps.map(({ kind, frames }) => [kind, frames]),
    [["spooled", 9]],
  );
  const next = new BookedRun(5e7, 1000, { foundInSpool: 9, spooled: 9 }).end();
  const [first, second] = auditLedger([...left, ...next.records], topic(0, 1e6), NOW);
  assert.deepEqual([first?.gaps, first?.notes.length], [[], 1]);
  // It has not sent them either.
  assert.deepEqual(
    second?.gaps.map(({ kind }) => kind),
    ["spooled"],
  );
});

test("an engine that cannot tell what the kernel dropped is not complete", () => {
  const run = new BookedRun();
  run.summary.received = run.summary.droppedByKernel = run.summary.leftInRing = undefined;
  run.interval().end();
  assert.deepEqual(
    audit(run.records).gaps.map(({ kind }) => kind),
    ["untold"],
  );
});

test("what retention deleted, what is behind the end and what is claimed twice is named by offsets", () => {
  const { records } = runOf(3);
  const texts = (partitions: PartitionEnds): string[] =>
    audit(records, partitions).gaps.map(({ text }) => text);
  assert.deepEqual(texts(topic(0, 40)), []);
  assert.deepEqual(texts(topic(15, 40)), [
    "partition 0, offsets 0-14: '15' frame(s) deleted since, by retention or by hand",
  ]);
  assert.deepEqual(texts(topic(0, 35)), [
    "partition 0, offsets 35-39: '5' frame(s) not in the topic: was it made anew?",
  ]);
  assert.deepEqual(texts(new Map()), [
    "partition 0, offsets 0-39: '40' frame(s) not in the topic: was it made anew?",
  ]);
  const again = new BookedRun(5e7, 30).deliver().deliver().end();
  const both = auditLedger([...records, ...again.records], topic(0, 1000), NOW);
  for (const { gaps } of both) {
    assert.deepEqual(
      gaps.map(({ kind, frames }) => [kind, frames]),
      [["overlap", 10]],
    );
  }
});

test("offsets that do not make up what was acknowledged are named, those that are not known noted", () => {
  const { records } = runOf(2);
  const wrong = records.map((record) =>
    record.number === 1 ? { ...record, acknowledged: 11 } : record,
  );
  assert.deepEqual(
    audit(wrong).gaps.map(({ kind, intervals }) => [kind, intervals]),
    [["offsets", [1, 1]]],
  );
  const unplaced = records.map((record) => ({
    ...record,
    offsets: {},
    unplaced: record.acknowledged,
  }));
  assert.deepEqual(audit(unplaced).gaps, []);
  assert.equal(audit(unplaced).notes.length, 1);
});

test("frames that no interval counted are found by their numbers", () => {
  const { records } = runOf(3);
  const skipped = records.map((record) =>
    record.number === 2 ? { ...record, frames: { first: 13, last: 20 } } : record,
  );
  assert.deepEqual(
    audit(skipped).gaps.map(({ kind, intervals }) => [kind, intervals]),
    [["sequence", [2, 2]]],
  );
});

test("parseLedgerRecord() takes nothing that is no record of a ledger", () => {
  for (const text of ["", "{", "null", "3", "[]", "{}", '{"ledger":2}', '{"ledger":1,"run":"x"}']) {
    assert.equal(parseLedgerRecord(Buffer.from(text)), undefined, text);
  }
  const [record] = runOf(0).records;
  assert.deepEqual(parseLedgerRecord(Buffer.from(JSON.stringify(record))), record);
});

test("ranges of offsets are joined, cut and found twice", () => {
  assert.deepEqual(
    joinRanges([
      [5, 6],
      [0, 2],
      [3, 4],
      [9, 9],
    ]),
    [
      [0, 6],
      [9, 9],
    ],
  );
  assert.deepEqual(
    findOverlaps([
      [0, 4],
      [3, 8],
      [8, 9],
      [20, 30],
      [22, 23],
    ]),
    [
      [3, 4],
      [8, 8],
      [22, 23],
    ],
  );
  assert.deepEqual(
    rangesBelow(
      [
        [0, 4],
        [8, 9],
      ],
      3,
    ),
    [[0, 2]],
  );
  assert.deepEqual(
    rangesFrom(
      [
        [0, 4],
        [8, 9],
      ],
      3,
    ),
    [
      [3, 4],
      [8, 9],
    ],
  );
});
