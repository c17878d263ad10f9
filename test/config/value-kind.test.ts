import assert from "node:assert/strict";
import { test } from "node:test";
import { parseValue, type ValueKind } from "../../src/config/value-kind.ts";
import { PcaptsError } from "../../src/errors.ts";

const refused = (kind: ValueKind, text: string, message: string): void => {
  assert.throws(
    () => parseValue(kind, text, "-x"),
    (error) => error instanceof PcaptsError && error.code === "USAGE" && error.message === message,
    text,
  );
};

test("parseValue() reads whole numbers within their range and says the range otherwise", () => {
  const kind: ValueKind = { type: "integer", min: 0, max: 100, unit: "bytes" };
  assert.equal(parseValue(kind, "0", "-x"), 0);
  assert.equal(parseValue(kind, "+100", "-x"), 100);
  for (const text of ["-1", "101", "1.5", "1e2", "0x10", "", " 1", "ten", "99999999999999999999"]) {
    refused(kind, text, `-x expects a whole number of bytes from 0 to 100, not "${text}"`);
  }
});

test("parseValue() names no upper bound where there is none", () => {
  const kind: ValueKind = { type: "integer", min: 0, max: Number.MAX_SAFE_INTEGER };
  refused(kind, "-1", '-x expects a whole number, 0 or more, not "-1"');
});

test("parseValue() reads decimals where they are accepted", () => {
  const kind: ValueKind = { type: "decimal", min: 0.1, max: 10, unit: "seconds" };
  assert.equal(parseValue(kind, "2.5", "-x"), 2.5);
  assert.equal(parseValue(kind, ".5", "-x"), 0.5);
  refused(kind, "0", '-x expects a number of seconds from 0.1 to 10, not "0"');
  refused(kind, "Infinity", '-x expects a number of seconds from 0.1 to 10, not "Infinity"');
});

test("parseValue() reads choices in any case, by their other spellings too", () => {
  const kind: ValueKind = {
    type: "choice",
    choices: ["WARN", "ERROR"],
    aliases: { warning: "WARN" },
    later: { trace: "say DEBUG" },
  };
  assert.equal(parseValue(kind, "warn", "-x"), "WARN");
  assert.equal(parseValue(kind, "Warning", "-x"), "WARN");
  refused(kind, "loud", '-x expects WARN or ERROR, not "loud"');
  refused(kind, "Trace", '-x "Trace" is not there yet: say DEBUG');
});

test("parseValue() does not take names of Object.prototype for choices", () => {
  const kind: ValueKind = { type: "choice", choices: ["a"], aliases: {}, later: {} };
  refused(kind, "constructor", '-x expects a, not "constructor"');
  refused({ type: "boolean" }, "__proto__", '-x expects true or false, not "__proto__"');
});

test("parseValue() accepts the topic names that Kafka accepts", () => {
  assert.equal(parseValue({ type: "topic" }, "a.B_c-9", "-t"), "a.B_c-9");
  for (const text of ["", ".", "..", "a b", "a/b", "ü", "x".repeat(250)]) {
    assert.throws(() => parseValue({ type: "topic" }, text, "-t"), /-t expects a topic name/);
  }
});

test("parseValue() refuses an empty text", () => {
  refused({ type: "text" }, "", '-x expects a value, not ""');
});
