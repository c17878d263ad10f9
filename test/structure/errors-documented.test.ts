import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { ERROR_TABLE } from "../../src/errors.ts";
import { projectRoot } from "../brokers.ts";

test("docs/errors.md has the rows of ERROR_TABLE, in its order, and no others", () => {
  const page = readFileSync(path.join(projectRoot, "docs/errors.md"), "utf8");
  const documented = page
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => {
      const cells = line.split("|").map((cell) => cell.trim());
      assert.equal(cells.length, 7, line);
      const [, code, exitCode, retriable, meaning, remedy] = cells;
      assert.ok(meaning && remedy, `meaning and remedy of ${code}`);
      return `${code} ${exitCode} ${retriable}`;
    });
  const expected = Object.entries(ERROR_TABLE).map(
    ([code, row]) => `\`${code}\` ${row.exitCode} ${row.retriable ? "yes" : "no"}`,
  );
  assert.deepEqual(documented, expected);
});
