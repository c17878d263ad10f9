// cap and kafkajs as their documentation shows them: cap-kafkajs-producer.js BOOTSTRAP TOPIC INTERFACE
//
// Until SIGINT. cap has neither capture times nor counts, so the key is the time of the callback.
import { Kafka, logLevel, type Message } from "kafkajs";
import { loadCap } from "../../src/capture/cap-module.ts";

const RING_BYTES = 64 << 20;
const FRAMES_PER_SEND = 2_000;

const [bootstrap = "", topic = "", interfaceName = ""] = process.argv.slice(2);
const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.ERROR });
const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
await producer.connect();

let messages: Message[] = [];
const stopping = new AbortController();
const landing = Buffer.alloc(65_536);
const { Cap } = loadCap();
const capture = new Cap();
capture.open(interfaceName, "", RING_BYTES, landing);
capture.on("packet", (length) => {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(BigInt(Date.now()) * 1000n);
  messages.push({ key, value: Buffer.from(landing.subarray(0, length)) });
});
process.once("SIGINT", () => {
  stopping.abort();
  capture.close();
});
console.error("capturing");

while (!stopping.signal.aborted || messages.length > 0) {
  if (messages.length === 0) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    continue;
  }
  const taken = messages;
  messages = [];
  for (let from = 0; from < taken.length; from += FRAMES_PER_SEND) {
    const some = taken.slice(from, from + FRAMES_PER_SEND);
    await producer.send({ topic, messages: some, acks: -1 });
  }
}
await producer.disconnect();
