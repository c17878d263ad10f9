// kafkajs as its documentation shows it: kafkajs-consumer.js BOOTSTRAP TOPIC FRAMES > FILE
import { once } from "node:events";
import { Kafka, logLevel } from "kafkajs";

const [bootstrap = "", topic = "", frames = "0"] = process.argv.slice(2);
const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING });
const consumer = kafka.consumer({ groupId: `kafkajs-${topic}`, maxWaitTimeInMs: 500 });
let left = Number(frames);
let reachedEnd: () => void = () => {};
const end = new Promise<void>((resolve) => {
  reachedEnd = resolve;
});

const header = Buffer.alloc(24);
header.writeUInt32LE(0xa1b2c3d4, 0);
header.writeUInt16LE(2, 4);
header.writeUInt16LE(4, 6);
header.writeUInt32LE(65_535, 16);
header.writeUInt32LE(1, 20);
process.stdout.write(header);

await consumer.connect();
await consumer.subscribe({ topics: [topic], fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachBatch: async ({ batch }) => {
    const pieces: Buffer[] = [];
    for (const { key, value } of batch.messages) {
      if (key === null || value === null) continue;
      const micros = key.readBigUInt64BE();
      const record = Buffer.alloc(16);
      record.writeUInt32LE(Number(micros / 1_000_000n), 0);
      record.writeUInt32LE(Number(micros % 1_000_000n), 4);
      record.writeUInt32LE(value.length, 8);
      record.writeUInt32LE(value.length, 12);
      pieces.push(record, value);
    }
    if (!process.stdout.write(Buffer.concat(pieces))) await once(process.stdout, "drain");
    left -= batch.messages.length;
    if (left <= 0) reachedEnd();
  },
});
await end;
await consumer.disconnect();
