import assert from "node:assert/strict";
import { before, test } from "node:test";
import { createTopic, randomTopicName, sharedBroker } from "../brokers.ts";
import { readCapture } from "../capture-frames.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { consume, publish, readLedger, runPcapts } from "./pcapts-process.ts";

let bootstrap: string;
before(async () => {
  ({ bootstrap } = await sharedBroker());
});

const capture = buildCapture({
  frames: Array.from({ length: 1000 }, (_, n) => ({ bytes: buildUdpFrame(n, 60) })),
});

test("a filter publishes the frames of a file that match, and the others are a row of the ledger", async () => {
  for (const filter of [["-f", "udp[0:2] % 10 = 4"], "udp[0:2] % 10 = 4".split(" ")]) {
    const topic = randomTopicName("filtered");
    await createTopic(bootstrap, topic);
    const ledger = readLedger((await publish(bootstrap, topic, capture, ...filter)).stderr);
    assert.deepEqual([ledger.received, ledger.filtered, ledger.captured], ["1000", 900, 100]);
    const { frames } = readCapture(await consume(bootstrap, topic));
    assert.deepEqual(
      frames.map(({ bytes }) => bytes.readUInt16BE(34)),
      Array.from({ length: 100 }, (_, n) => 1024 + 10 * n),
    );
  }
});

test("-m and -a packets: count the frames that match", async () => {
  for (const limit of [
    ["-m", "3", "-a", "packets:5"],
    ["-m", "5", "-a", "packets:3"],
  ]) {
    const topic = randomTopicName("filtered");
    const ended = await publish(bootstrap, topic, capture, ...limit, "udp[0:2] % 10 = 4");
    const { received, filtered, captured } = readLedger(ended.stderr);
    assert.deepEqual([received, filtered, captured], ["21", 18, 3]);
  }
});

test("a filter that does not compile is refused in libpcap's words, and Kafka is left alone", async () => {
  const { status, stderr } = await runPcapts(["-p", "-r", "-", "tcp", "port", "port"], {
    input: capture,
  });
  assert.equal(status, 2);
  assert.match(
    stderr,
    /Cannot compile filter "tcp port port" for frames of type EN10MB: .*syntax error/,
  );
  assert.doesNotMatch(stderr, /Connecting to Kafka/);
});
