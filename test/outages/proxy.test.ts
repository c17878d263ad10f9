import { after, before, test } from "node:test";
import { NETWORK_TROUBLES, ProxiedKafka, publishThroughProxy } from "./proxy-trouble.ts";

let kafka: ProxiedKafka;
before(async () => {
  kafka = await ProxiedKafka.start();
});
after(() => kafka.remove());

test("every acknowledged frame is there once and in order, the others are counted, when connections are reset, cut, late and dead", async () => {
  const firstSeed = Math.floor(Math.random() * 2 ** 31);
  for (let seed = firstSeed; seed < firstSeed + 6; seed++) {
    await publishThroughProxy(kafka, seed, NETWORK_TROUBLES);
  }
});
