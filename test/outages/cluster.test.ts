import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { TestBroker } from "../brokers.ts";
import { publishThroughTroubles, startTroubledCluster } from "./cluster-trouble.ts";

let brokers: readonly TestBroker[];
before(async () => {
  brokers = await startTroubledCluster();
});
after(() => Promise.all(brokers.map((broker) => broker.remove())));

test("three brokers: every frame is there once and in order while leaders are restarted, die and hang", async () => {
  const { lines } = await publishThroughTroubles(brokers, ["restart", "kill", "hang"]);
  const warnings = lines.filter((line) => line.startsWith("WARN"));
  assert.ok(warnings.length <= 12, lines.join("\n"));
});
