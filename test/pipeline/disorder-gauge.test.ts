import assert from "node:assert/strict";
import { test } from "node:test";
import { DisorderGauge } from "../../src/pipeline/disorder-gauge.ts";

test("a gauge says half as much again as the worst it met, within its bounds", () => {
  const gauge = new DisorderGauge({ leastMs: 10, mostMs: 100 });
  assert.equal(gauge.waitMs(0), 10);
  gauge.note(20);
  gauge.note(4);
  assert.equal(gauge.waitMs(1), 30);
  gauge.note(1000);
  assert.equal(gauge.waitMs(2), 100);
});

test("a gauge forgets what it met after half a minute to a minute", () => {
  const gauge = new DisorderGauge({ leastMs: 0, mostMs: 100 });
  assert.equal(gauge.waitMs(0), 0);
  gauge.note(20);
  assert.equal(gauge.waitMs(29_999), 30);
  assert.equal(gauge.waitMs(30_000), 30);
  gauge.note(2);
  assert.equal(gauge.waitMs(59_999), 30);
  assert.equal(gauge.waitMs(60_000), 3);
  assert.equal(gauge.waitMs(90_000), 0);
});
