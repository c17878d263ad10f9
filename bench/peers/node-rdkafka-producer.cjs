// node-rdkafka as its documentation shows it: node-rdkafka-producer.cjs PACKAGE BOOTSTRAP TOPIC FILE
//
// One produce() a frame, which copies it; a full queue is waited for. PACKAGE is the folder of the
// package, which is installed aside and is no dependency. Delivery reports are asked for where a frame failed only.
const { createReadStream } = require("node:fs");
const { setTimeout: sleep } = require("node:timers/promises");

const [packageFolder, bootstrap, topic, file] = process.argv.slice(2);
const rdkafka = require(packageFolder);

async function main() {
  const producer = new rdkafka.Producer({
    "bootstrap.servers": bootstrap,
    acks: "all",
    "enable.idempotence": true,
    dr_cb: true,
    "delivery.report.only.error": true,
  });
  let failed = 0;
  producer.on("delivery-report", (error) => {
    if (error) failed++;
  });
  await new Promise((resolve, reject) => {
    producer.connect({}, (error) => (error ? reject(error) : resolve()));
  });
  producer.setPollInterval(100);

  let rest = Buffer.alloc(0);
  let start = 24;
  for await (const piece of createReadStream(file, { highWaterMark: 1 << 20 })) {
    const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    let at = start;
    while (at + 16 <= bytes.length) {
      const length = bytes.readUInt32LE(at + 8);
      if (at + 16 + length > bytes.length) break;
      // Exact up to the year 2255.
      const micros = bytes.readUInt32LE(at) * 1e6 + bytes.readUInt32LE(at + 4);
      const key = Buffer.allocUnsafe(8);
      key.writeUInt32BE(Math.floor(micros / 2 ** 32), 0);
      key.writeUInt32BE(micros % 2 ** 32, 4);
      const frame = bytes.subarray(at + 16, at + 16 + length);
      while (!produced(producer, topic, frame, key)) await sleep(1);
      at += 16 + length;
    }
    rest = bytes.subarray(at);
    start = 0;
  }
  await new Promise((resolve, reject) => {
    producer.flush(600_000, (error) => (error ? reject(error) : resolve()));
  });
  await new Promise((resolve) => {
    producer.disconnect(resolve);
  });
  return failed;
}

/** False when librdkafka's queue is full. */
function produced(producer, name, frame, key) {
  try {
    producer.produce(name, null, frame, key);
    return true;
  } catch (error) {
    if (error.code !== rdkafka.CODES.ERRORS.ERR__QUEUE_FULL) throw error;
    producer.poll();
    return false;
  }
}

main().then(
  (failed) => process.exit(failed === 0 ? 0 : 1),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
