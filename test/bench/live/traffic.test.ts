import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { droppedByKernel } from "../../../bench/live/programs.ts";
import { Traffic, parseSent } from "../../../bench/live/traffic.ts";

test("Traffic sends exactly as many frames as asked for, and takes its interface away", async () => {
  const scratch = mkdtempSync(path.join(tmpdir(), "pcapts-traffic-"));
  const traffic = await Traffic.create(scratch);
  const device = `/sys/class/net/${traffic.interfaceName}`;
  try {
    for (const [frames, rate] of [
      [2_000, 10_000],
      [150_000, undefined],
    ] as const) {
      const before = traffic.arrivedFrames();
      const sent = await traffic.replay(frames, rate);
      assert.equal(sent.frames, frames);
      assert.ok(sent.framesPerSecond > 0);
      assert.equal(traffic.arrivedFrames() - before, frames);
    }
    assert.ok(existsSync(device));
  } finally {
    await traffic.remove();
    rmSync(scratch, { recursive: true });
  }
  assert.ok(!existsSync(device));
});

test("parseSent() refuses text without tcpreplay's counts", () => {
  assert.throws(() => parseSent("Fatal Error: no such device"), /what tcpreplay sent: Fatal Error/);
});

test("droppedByKernel() takes the last count of pcapts and of the peers, and knows when there is none", () => {
  assert.equal(
    droppedByKernel("received 5, dropped by the kernel 2, dropped by the interface 0"),
    2,
  );
  const ledgers =
    "received 9 = dropped by the kernel 1 + captured 8\nreceived 20 = dropped by the kernel 7 + captured 13";
  assert.equal(droppedByKernel(ledgers), 7);
  assert.equal(droppedByKernel("dropped by the kernel unknown + captured 3"), undefined);
});
