import assert from "node:assert/strict";
import { test } from "node:test";
import { exitStatusOf, formatError, isCausedBy } from "../../src/cli/error-text.ts";
import { PcaptsError } from "../../src/errors.ts";

const broken = Object.assign(new Error("write EPIPE"), { code: "EPIPE" });
const error = new PcaptsError("OUTPUT_NOT_WRITABLE", "Cannot write: broken pipe", {
  cause: broken,
});

test("formatError() prints the message of a PcaptsError and no stack trace", () => {
  assert.equal(formatError(error, false), "Cannot write: broken pipe");
});

test("formatError() adds the stacks of the error and its causes when asked", () => {
  const text = formatError(error, true);
  assert.match(text, /^Cannot write: broken pipe\nPcaptsError: Cannot write: broken pipe\n\s+at /);
  assert.match(text, /\ncaused by Error: write EPIPE\n\s+at /);
});

test("formatError() says of any other error that it is a mistake in the program", () => {
  assert.match(
    formatError(new TypeError("x is not a function"), false),
    /^Internal error, .*: x is not a function$/,
  );
});

test("exitStatusOf() follows the error table, and is 1 for anything else", () => {
  assert.equal(exitStatusOf(new PcaptsError("USAGE", "")), 2);
  assert.equal(exitStatusOf(error), 1);
  assert.equal(exitStatusOf("thrown text"), 1);
});

test("isCausedBy() looks through causes", () => {
  assert.equal(isCausedBy(error, "EPIPE"), true);
  assert.equal(isCausedBy(error, "ENOENT"), false);
  assert.equal(isCausedBy(undefined, "EPIPE"), false);
});
