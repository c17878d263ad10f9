import assert from "node:assert/strict";
import { test } from "node:test";
import { nearestName } from "../../src/config/nearest-name.ts";

const NAMES = ["linger.ms", "batch.size", "client.id"];

test("nearestName() forgives a letter missing, added, changed, swapped, or in another case", () => {
  for (const wanted of ["liger.ms", "lingger.ms", "lunger.ms", "ilnger.ms", "LINGER.MS"]) {
    assert.equal(nearestName(wanted, NAMES), "linger.ms", wanted);
  }
});

test("nearestName() suggests nothing that is far away", () => {
  assert.equal(nearestName("retries", NAMES), undefined);
  assert.equal(nearestName("x", []), undefined);
});
