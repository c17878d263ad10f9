import { after, before, test } from "node:test";
import { sharedBroker } from "../brokers.ts";
import { LossyPath, PACKET_TROUBLES, publishThroughDrops } from "./packet-trouble.ts";

let path: LossyPath;
before(async () => {
  path = await LossyPath.create((await sharedBroker()).bootstrap);
});
after(() => path.remove());

test("every frame is there once and in order when packets are dropped or held up on the way", async () => {
  await publishThroughDrops(path, PACKET_TROUBLES, Math.floor(Math.random() * 2 ** 31));
});
