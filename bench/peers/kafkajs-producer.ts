// kafkajs as its documentation shows it: kafkajs-producer.js BOOTSTRAP TOPIC FILE FRAMES
import { createReadStream } from "node:fs";
import { Kafka, logLevel, type Message } from "kafkajs";

const FRAMES_PER_SEND = 2_000;

const [bootstrap = "", topic = "", file = "", frames = "0"] = process.argv.slice(2);
const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.ERROR });
const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 5 });
await producer.connect();

let left = Number(frames);
let messages: Message[] = [];
let rest = Buffer.alloc(0);
let start = 24;
for await (const piece of createReadStream(file, { highWaterMark: 1 << 20 })) {
  const bytes = Buffer.concat([rest, piece as Buffer]);
  let at = start;
  while (left > 0 && at + 16 <= bytes.length) {
    const length = bytes.readUInt32LE(at + 8);
    if (at + 16 + length > bytes.length) break;
    const key = Buffer.alloc(8);
    const micros = BigInt(bytes.readUInt32LE(at)) * 1_000_000n + BigInt(bytes.readUInt32LE(at + 4));
    key.writeBigUInt64BE(micros);
    messages.push({ key, value: bytes.subarray(at + 16, at + 16 + length) });
    at += 16 + length;
    left--;
    if (messages.length === FRAMES_PER_SEND) {
      await producer.send({ topic, messages, acks: -1 });
      messages = [];
    }
  }
  rest = bytes.subarray(at);
  start = 0;
  if (left === 0) break;
}
if (messages.length > 0) await producer.send({ topic, messages, acks: -1 });
await producer.disconnect();
