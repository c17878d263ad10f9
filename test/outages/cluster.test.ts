import assert from "node:assert/strict";
import { test } from "node:test";
import { publishThroughTroubles } from "./cluster-trouble.ts";

test("three brokers: every frame is there once and in order while leaders die and hang", async () => {
  const { lines } = await publishThroughTroubles(["kill", "hang"]);
  const warnings = lines.filter((line) => line.startsWith("WARN"));
  assert.ok(warnings.length <= 8, lines.join("\n"));
});
