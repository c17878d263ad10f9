import { test } from "node:test";
import { killOverAndOver } from "./kill-rounds.ts";

for (const args of [[], ["--fsync", "every"], ["--segment-bytes", "100000"]]) {
  test(`every frame is there once and in order after 8 kills at random moments, ${args.join(" ") || "as by default"}`, async () => {
    await killOverAndOver(8, args);
  });
}
