import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAutostop } from "../../src/config/autostop.ts";
import { PcaptsError } from "../../src/errors.ts";

test("parseAutostop() reads dumpcap's words in dumpcap's units", () => {
  assert.deepEqual(parseAutostop([]), {});
  assert.deepEqual(parseAutostop(["duration:1.5"]), { durationMs: 1500 });
  assert.deepEqual(parseAutostop(["filesize:2", "packets:10", "duration:.25"]), {
    fileBytes: 2000,
    packets: 10,
    durationMs: 250,
  });
});

test("parseAutostop() lets the last of a repeated word count", () => {
  assert.deepEqual(parseAutostop(["packets:10", "packets:3"]), { packets: 3 });
});

test("parseAutostop() refuses everything else with the words that there are", () => {
  const wrong = [
    "",
    "5",
    "packets",
    "packets:",
    "packets:0",
    "packets:-1",
    "packets:1.5",
    "packets:1e3",
    "packets: 3",
    "Packets:3",
    "duration:x",
    "duration:0",
    "filesize:99999999999999999999",
    "files:2",
    "interval:2",
    "packets:3:4",
    "constructor:3",
  ];
  for (const text of wrong) {
    assert.throws(
      () => parseAutostop([text]),
      (error) =>
        error instanceof PcaptsError &&
        error.code === "USAGE" &&
        error.message.startsWith(
          "-a, --autostop expects duration:SECONDS, filesize:KB (of 1000 bytes) or packets:N, ",
        ) &&
        error.message.includes(`not "${text}"`),
      text,
    );
  }
});
