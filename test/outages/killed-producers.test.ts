import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { BrokerProcess } from "../embedded-broker.ts";
import { killProducers } from "./producer-kill.ts";

const directory = mkdtempSync(path.join(tmpdir(), "pcapts-killed-"));
let broker: BrokerProcess;
before(async () => {
  broker = await BrokerProcess.start();
});
after(async () => {
  await broker.remove();
  rmSync(directory, { recursive: true, force: true });
});

test("producers that are killed leave their spool to the next: each frame of it is there once, in order", async () => {
  const firstSeed = Math.floor(Math.random() * 2 ** 31);
  let drained = 0;
  // Until a spool was in use when they were killed.
  for (let seed = firstSeed; seed < firstSeed + 30 && drained === 0; seed++) {
    drained += (await killProducers(broker, path.join(directory, String(seed)), seed)).drained;
  }
  assert.ok(drained > 0);
});

test("without a spool a producer that is killed costs what it had not sent yet, and nothing before that", async () => {
  await killProducers(broker, undefined, Math.floor(Math.random() * 2 ** 31));
});
