import assert from "node:assert/strict";
import { test } from "node:test";
import {
  formatConsumeSummary,
  formatInterfaceCounters,
  formatProduceSummary,
} from "../../src/cli/summary-text.ts";

const ledger = {
  received: 116,
  filtered: 6,
  droppedByKernel: 7,
  droppedByInterface: 0,
  leftInRing: 3,
  captured: 100,
  acknowledged: 90,
  failed: 4,
  unknown: 3,
  droppedHere: 2,
  queued: 1,
  torn: 0,
};

test("formatProduceSummary() is a ledger that adds up", () => {
  const text = formatProduceSummary(ledger);
  assert.equal(
    text,
    "received 116 = dropped by the kernel 7 + filtered 6 + captured 100 + left in the ring 3; " +
      "captured 100 = acknowledged 90 + failed 4 + unknown 3 + dropped here 2 + queued 1",
  );
});

test("formatProduceSummary() says unknown for what an engine cannot tell", () => {
  const text = formatProduceSummary({
    ...ledger,
    received: undefined,
    droppedByKernel: undefined,
    leftInRing: undefined,
    droppedByInterface: 5,
  });
  assert.match(
    text,
    /^received unknown = dropped by the kernel unknown \+ filtered 6 \+ captured 100 \+ left in the ring unknown;/,
  );
  assert.match(text, /; the interface dropped 5 before that$/);
});

test("formatProduceSummary() names frames that never came whole", () => {
  assert.match(formatProduceSummary({ ...ledger, torn: 2 }), /; torn 2, which never came whole$/);
});

test("formatInterfaceCounters() says what an interface counted", () => {
  const counters = { received: 9, droppedByKernel: 2, droppedByInterface: 1, filtered: 3 };
  assert.equal(
    formatInterfaceCounters("eth0", counters),
    "eth0: received 9, dropped by the kernel 2, filtered 3; the interface dropped 1 before that",
  );
  assert.equal(
    formatInterfaceCounters("eth1", {
      received: undefined,
      droppedByKernel: undefined,
      droppedByInterface: undefined,
      filtered: 0,
    }),
    "eth1: received unknown, dropped by the kernel unknown, filtered 0",
  );
});

test("formatConsumeSummary() counts what was written and what was left out", () => {
  const plain = {
    received: 10,
    written: 7,
    foreign: 2,
    otherLinkType: 1,
    filtered: 0,
    notFilterable: 0,
    outOfRange: 0,
    late: 0,
    missed: 0,
  };
  assert.equal(
    formatConsumeSummary(plain),
    "read 10 record(s): written 7 frame(s), not frames 2, of another link type 1",
  );
  assert.equal(
    formatConsumeSummary({
      ...plain,
      filtered: 5,
      notFilterable: 4,
      outOfRange: 3,
      late: 2,
      missed: 1,
    }),
    "read 10 record(s): written 7 frame(s), not frames 2, of another link type 1, " +
      "not matching the filter 5, captured outside of --from and --to 3; " +
      "the filter does not fit the link type of 4 of them; 2 came too late to be put in order; " +
      "1 record(s) were deleted before they were read",
  );
});
