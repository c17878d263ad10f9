import assert from "node:assert/strict";
import { test } from "node:test";
import { OPTION_TABLE, type OptionRow } from "../../src/config/option-table.ts";
import { parseValue } from "../../src/config/value-kind.ts";

const rows: readonly OptionRow[] = OPTION_TABLE;

test("OPTION_TABLE gives every flag names of its own", () => {
  const names = rows.flatMap((row) => [`--${row.long}`, ...(row.short ? [row.short] : [])]);
  assert.deepEqual(
    names.filter((name, index) => names.indexOf(name) !== index),
    [],
  );
});

test("OPTION_TABLE has no short name that begins with a digit, so that -5m is a value", () => {
  assert.deepEqual(
    rows.filter((row) => /^-\d/.test(row.short ?? "")),
    [],
  );
});

test("OPTION_TABLE has defaults that its own kinds accept", () => {
  for (const row of rows) {
    if (row.default === undefined) continue;
    assert.doesNotThrow(() => parseValue(row.value, row.default ?? "", row.long), row.long);
  }
});

test("OPTION_TABLE names the value of every flag that takes one, and of no other", () => {
  for (const row of rows) {
    assert.equal(row.valueName !== undefined, row.value.type !== "switch", row.long);
  }
});

test("OPTION_TABLE has every flag of Pycapa under both of its names", () => {
  const known = new Map(rows.map((row) => [row.long, row.short]));
  const pycapa = {
    help: "-h",
    producer: "-p",
    consumer: "-c",
    "kafka-broker": "-k",
    "kafka-topic": "-t",
    "kafka-offset": "-o",
    interface: "-i",
    "max-packets": "-m",
    "pretty-print": "-pp",
    "log-level": "-ll",
    snaplen: "-s",
  };
  for (const [long, short] of Object.entries(pycapa)) assert.equal(known.get(long), short);
});
