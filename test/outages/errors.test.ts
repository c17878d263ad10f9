import { after, before, test } from "node:test";
import type { Transport } from "../../src/kafka/transport.ts";
import { FaultyBroker } from "../kafka/faulty-broker.ts";
import { publishThroughErrors } from "./error-trouble.ts";

let broker: FaultyBroker;
let transport: Transport;
before(async () => {
  broker = await FaultyBroker.start();
  transport = await broker.connect();
});
after(() => broker.remove());

test("every frame is there once and in order, or counted, while a broker answers with each error in any order", async () => {
  const firstSeed = Math.floor(Math.random() * 2 ** 31);
  for (let seed = firstSeed; seed < firstSeed + 3; seed++) {
    await publishThroughErrors(broker, transport, seed);
  }
});
