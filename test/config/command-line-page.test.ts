import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { format, resolveConfig } from "prettier";
import { formatCommandLinePage } from "../../src/config/command-line-page.ts";

test("docs/command-line.md is what scripts/make-docs.js makes of the tables", async () => {
  const page = fileURLToPath(new URL("../../../docs/command-line.md", import.meta.url));
  const style = await resolveConfig(page);
  const made = await format(formatCommandLinePage(), { ...style, filepath: page });
  assert.equal(await readFile(page, "utf8"), made);
});
