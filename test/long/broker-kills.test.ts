import { test } from "node:test";
import { killOverAndOver } from "../broker/kill-rounds.ts";

test("every frame is there once and in order after 200 kills of the embedded broker", async (context) => {
  const published = await killOverAndOver(200);
  context.diagnostic(`${published} frames were published meanwhile`);
});

test("and after 50 kills with small segments", async () => {
  await killOverAndOver(50, ["--segment-bytes", "100000"]);
});
