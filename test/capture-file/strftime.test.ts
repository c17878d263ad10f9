import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { formatTimeName } from "../../src/capture-file/strftime.ts";

test("formatTimeName() writes what date writes", () => {
  for (const time of [0, 1_700_000_000, 1_709_164_799, 1_735_689_599, 4_000_000_000]) {
    for (const letter of "aAbBCdeFHIjmMpRsSTuwyYz%") {
      const expected = execFileSync("date", ["-d", `@${time}`, `+x%${letter}y`], {
        encoding: "utf8",
        env: { ...process.env, LC_ALL: "C" },
      });
      const name = formatTimeName(`x%${letter}y`, new Date(time * 1000));
      assert.equal(name, expected.trimEnd(), `%${letter} of ${time}`);
    }
  }
});

test("formatTimeName() refuses other letters", () => {
  for (const template of ["%Q", "x%", "%\u00e9"]) {
    assert.throws(() => formatTimeName(template, new Date()), { code: "USAGE" });
  }
});
