import { test } from "node:test";
import { publishToMocks } from "./mock-trouble.ts";

const newSeed = (): number => Math.floor(Math.random() * 2 ** 31);

test("librdkafka's mock cluster: each frame is there once and in order through refusals and moving leaders", async () => {
  await publishToMocks("refusals", newSeed());
});

test("librdkafka's mock cluster: no frame is lost when its brokers lose their connections", async () => {
  await publishToMocks("lost connections", newSeed());
});
