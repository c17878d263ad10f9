import assert from "node:assert/strict";
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { GroupOffsets, type OffsetEntry } from "../../src/broker/group-offsets.ts";
import { newDataDirectory, startEmbeddedBroker } from "../embedded-broker.ts";

let directory = "";
let file = "";
beforeEach(() => {
  directory = newDataDirectory();
  file = path.join(directory, "group-offsets.log");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function entry(offset: number, metadata: string | null = null): OffsetEntry {
  return { topic: "t", partition: 0, offset, leaderEpoch: 0, metadata };
}

/** Commits until the file has been written anew, or would have been. */
async function commitMany(offsets: GroupOffsets, count: number): Promise<void> {
  const metadata = "m".repeat(4000);
  for (let n = 1; n <= count; n++) await offsets.commit("g", [entry(n, metadata)]);
}

test("the log is written anew when it is large, and what is committed then is in it", async () => {
  const offsets = await GroupOffsets.open(file, false);
  await commitMany(offsets, 300);
  assert.ok(statSync(file).size < 1024 * 1024);
  assert.deepEqual(readdirSync(directory), ["group-offsets.log"]);
  const again = await GroupOffsets.open(file, false);
  assert.equal(again.find("g", "t", 0)?.offset, 300);
  await again.close();
  await offsets.close();
});

test("when it cannot be written anew, the old one goes on", async () => {
  const inTheWay = `${file}.new`;
  mkdirSync(inTheWay);
  const offsets = await GroupOffsets.open(file, false);
  await commitMany(offsets, 300);
  assert.ok(statSync(file).size > 1024 * 1024);
  const again = await GroupOffsets.open(file, false);
  assert.equal(again.find("g", "t", 0)?.offset, 300);
  await again.close();
  await offsets.close();
});

test("what was committed before its topic is deleted goes with it, however late it is written", async () => {
  const offsets = await GroupOffsets.open(file, false);
  await Promise.all([offsets.commit("g", [entry(5)]), offsets.deleteTopic("t")]);
  assert.equal(offsets.find("g", "t", 0), undefined);
  await Promise.all([offsets.commit("g", [entry(5)]), offsets.deleteGroup("g")]);
  assert.deepEqual(offsets.groups(), []);
  await offsets.close();
});

test("a line of nothing but a checksum is cut off as what is torn", async () => {
  writeFileSync(file, "00000000 \n");
  const offsets = await GroupOffsets.open(file, false);
  assert.equal(statSync(file).size, 0);
  await offsets.close();
});

test("offsets of a topic that is no more are forgotten when the broker starts", async () => {
  const offsets = await GroupOffsets.open(file, false);
  await offsets.commit("g", [entry(5)]);
  await offsets.close();
  const { broker } = await startEmbeddedBroker({ dataDirectory: directory });
  await broker.close();
  const again = await GroupOffsets.open(file, false);
  assert.deepEqual(again.groups(), []);
  await again.close();
});
