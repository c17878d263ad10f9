import assert from "node:assert/strict";
import { createServer } from "node:net";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { randomTopicName } from "../brokers.ts";
import { BrokerProcess } from "../embedded-broker.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import {
  eventually,
  publish,
  readLedger,
  type RunningProcess,
  runPcapts,
  startPcapts,
} from "../integration/pcapts-process.ts";
import { type Samples, StatusPages } from "./status-pages.ts";

/* What others see of a run by --metrics: numbers, health, readiness. */

const LIMIT = { timeout: 120_000 };
/** For what takes a moment on a machine that has nothing else to do. */
const PATIENCE_MS = 40_000;
const FRAMES = 500;
const capture = buildCapture({
  frames: Array.from({ length: FRAMES }, (_, n) => ({ bytes: buildUdpFrame(n, 200) })),
});

let broker: BrokerProcess;
before(async () => {
  broker = await BrokerProcess.start();
});
after(() => broker.remove());

/** A producer whose input stays open, so that it runs on. */
async function startProducer(...args: readonly string[]): Promise<[RunningProcess, StatusPages]> {
  const line = ["-p", "-r", "-", "-k", broker.bootstrap, "--metrics", "127.0.0.1:0"];
  const producer = startPcapts([...line, ...args]);
  return [producer, await StatusPages.of(producer)];
}

/** Asks for the metrics until they are as wanted. */
async function untilMetrics(
  pages: StatusPages,
  what: string,
  isWanted: (samples: Samples) => boolean,
): Promise<Samples> {
  let last: Samples = new Map();
  await eventually(what, async () => isWanted((last = await pages.metrics())), PATIENCE_MS);
  return last;
}

test("a producer's metrics are its ledger, and promtool takes them", LIMIT, async () => {
  const [producer, pages] = await startProducer("-t", randomTopicName());
  producer.child.stdin.write(capture);
  const samples = await untilMetrics(pages, "every frame is acknowledged", (now) => {
    return now.get("pcapts_acknowledged_frames_total") === FRAMES;
  });
  await pages.check();
  producer.child.stdin.end();
  const { status, stderr } = await producer.ended;
  assert.equal(status, 0, stderr);
  const ledger = readLedger(stderr);
  assert.equal(samples.get("pcapts_received_frames_total"), Number(ledger.received));
  assert.equal(samples.get("pcapts_captured_frames_total"), ledger.captured);
  assert.equal(samples.get("pcapts_filtered_frames_total"), 0);
  for (const cause of ["kernel", "interface", "failed", "unknown", "dropped_here"]) {
    assert.equal(samples.get(`pcapts_lost_frames_total{cause="${cause}"}`), 0, cause);
  }
  assert.equal(samples.get("pcapts_queue_frames"), 0);
  assert.equal(samples.get("pcapts_queue_bytes"), 0);
  assert.equal(samples.get(`pcapts_broker_connected{broker="${broker.bootstrap}"}`), 1);
  const batches = samples.get("pcapts_acknowledged_batches_total") ?? 0;
  assert.ok(batches >= 1);
  assert.equal(samples.get("pcapts_acknowledgement_seconds_count"), batches);
  assert.ok((samples.get("pcapts_acknowledged_bytes_total") ?? 0) > FRAMES * 200);
  assert.ok((samples.get("pcapts_produce_request_seconds_count") ?? 0) >= 1);
  assert.ok((samples.get("pcapts_last_acknowledgement_timestamp_seconds") ?? 0) > 1.7e9);
  assert.ok(samples.has("nodejs_eventloop_lag_p99_seconds"));
  assert.ok((samples.get("process_resident_memory_bytes") ?? 0) > 0);
});

test("a consumer's metrics are its counts, and say how far behind it is", LIMIT, async () => {
  const topic = randomTopicName();
  await publish(broker.bootstrap, topic, capture, "--partitions", "3");
  const line = ["-c", "-k", broker.bootstrap, "-t", topic, "-o", "begin", "-w", "/dev/null"];
  const consumer = startPcapts([...line, "--metrics", "127.0.0.1:0"]);
  const pages = await StatusPages.of(consumer);
  const samples = await untilMetrics(pages, "every frame is written", (now) => {
    return now.get("pcapts_written_frames_total") === FRAMES;
  });
  await pages.check();
  assert.equal(samples.get("pcapts_read_records_total"), FRAMES);
  for (const cause of ["foreign", "other_link_type", "filtered", "out_of_range"]) {
    assert.equal(samples.get(`pcapts_skipped_records_total{cause="${cause}"}`), 0, cause);
  }
  const lag = ["0", "1", "2"].map((id) => samples.get(`pcapts_lag_records{partition="${id}"}`));
  assert.deepEqual(lag, [0, 0, 0]);
  assert.ok((samples.get("pcapts_fetched_bytes_total") ?? 0) > FRAMES * 200);
  assert.equal((await pages.get("/readyz")).status, 200);
  // More comes: it is behind, and then it is not.
  const requests = samples.get("pcapts_fetch_request_seconds_count") ?? 0;
  await publish(broker.bootstrap, topic, capture);
  await untilMetrics(pages, "the rest is written", (now) => {
    return now.get("pcapts_written_frames_total") === 2 * FRAMES;
  });
  const later = await pages.metrics();
  assert.ok((later.get("pcapts_fetch_request_seconds_count") ?? 0) > requests);
  consumer.child.kill("SIGTERM");
  assert.equal((await consumer.ended).status, 0);
});

test(
  "a consumer waits for its topic: it is healthy, and /readyz says what it lacks",
  LIMIT,
  async () => {
    const topic = randomTopicName();
    const line = ["-c", "-k", broker.bootstrap, "-t", topic, "-w", "/dev/null"];
    const consumer = startPcapts([...line, "--metrics", "127.0.0.1:0"]);
    const pages = await StatusPages.of(consumer);
    await consumer.says(/does not exist; waiting for it/);
    assert.deepEqual(await pages.get("/healthz"), {
      status: 200,
      contentType: "text/plain; charset=utf-8",
      text: "healthy\n",
    });
    const waiting = await pages.get("/readyz");
    assert.equal(waiting.status, 503);
    assert.match(waiting.text, /^the topic does not exist yet, or was not asked for$/m);
    await publish(broker.bootstrap, topic, capture);
    await eventually("ready", async () => (await pages.get("/readyz")).status === 200, PATIENCE_MS);
    consumer.child.kill("SIGTERM");
    await consumer.ended;
  },
);

test(
  "a producer without a broker answers from the start, and says what it waits for",
  LIMIT,
  async () => {
    const own = await BrokerProcess.start();
    await own.kill();
    try {
      const line = ["-p", "-r", "-", "-k", own.bootstrap, "--metrics", "127.0.0.1:0"];
      const producer = startPcapts(line);
      const pages = await StatusPages.of(producer);
      producer.child.stdin.write(capture);
      await producer.says(/Cannot reach Kafka/);
      const { status, text } = await pages.get("/readyz");
      assert.equal(status, 503);
      assert.match(text, /^not connected to Kafka/m);
      assert.match(text, /^the topic is not known to be there yet$/m);
      assert.equal((await pages.get("/healthz")).status, 200);
      await own.start();
      await eventually(
        "ready",
        async () => (await pages.get("/readyz")).text === "ready\n",
        PATIENCE_MS,
      );
      producer.child.stdin.end();
      assert.equal((await producer.ended).status, 0);
    } finally {
      await own.remove();
    }
  },
);

test(
  "frames that Kafka does not acknowledge make a producer not ready, and healthy all the same",
  LIMIT,
  async () => {
    const own = await BrokerProcess.start();
    try {
      const line = ["-p", "-r", "-", "-k", own.bootstrap, "--metrics", "127.0.0.1:0"];
      const producer = startPcapts([...line, "--stall-timeout", "0.5"]);
      const pages = await StatusPages.of(producer);
      producer.child.stdin.write(capture.subarray(0, 24));
      await eventually(
        "ready",
        async () => (await pages.get("/readyz")).status === 200,
        PATIENCE_MS,
      );
      await own.kill();
      producer.child.stdin.write(capture.subarray(24));
      let said = "";
      await eventually("the reason", async () => {
        said = (await pages.get("/readyz")).text;
        return said.includes("acknowledged none for");
      });
      assert.match(said, /^not connected to Kafka \(127\.0\.0\.1:\d+\)$/m);
      assert.match(said, /^\d+ frame\(s\) are queued, and Kafka has acknowledged none for \d+ s$/m);
      assert.equal((await pages.get("/healthz")).status, 200);
      const samples = await pages.metrics();
      assert.equal(samples.get("pcapts_ready"), 0);
      assert.equal(samples.get("pcapts_healthy"), 1);
      assert.ok((samples.get("pcapts_queue_bytes") ?? 0) > 0);
      await own.start();
      await eventually(
        "ready again",
        async () => (await pages.get("/readyz")).status === 200,
        PATIENCE_MS,
      );
      producer.child.stdin.end();
      assert.equal((await producer.ended).status, 0);
    } finally {
      await own.remove();
    }
  },
);

test("other pages and other methods are refused, and HEAD has no body", LIMIT, async () => {
  const [producer, pages] = await startProducer("-t", randomTopicName());
  assert.equal((await pages.get("/")).status, 404);
  assert.equal((await pages.get("/metrics", "POST")).status, 405);
  assert.deepEqual((await pages.get("/metrics", "HEAD")).text, "");
  assert.match(
    (await pages.get("/metrics?x=1")).contentType ?? "",
    /^text\/plain; version=0\.0\.4/,
  );
  producer.child.stdin.end(capture);
  assert.equal((await producer.ended).status, 0);
});

test("an address that is taken or no address keeps a run from starting", LIMIT, async () => {
  const other = createServer();
  other.listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as { port: number };
  const line = ["-p", "-r", "/dev/null", "-k", broker.bootstrap, "--metrics"];
  const taken = await runPcapts([...line, `127.0.0.1:${port}`]);
  other.close();
  assert.equal(taken.status, 1);
  assert.match(
    taken.stderr,
    /Cannot serve metrics at ".*": another program listens there; choose another/,
  );
  for (const wrong of ["9464", "localhost", "::1", "127.0.0.1:x", "127.0.0.1:70000"]) {
    const ended = await runPcapts([...line.slice(0, -1), `--metrics=${wrong}`]);
    assert.equal(ended.status, 2, wrong);
    assert.match(ended.stderr, /--metrics expects HOST:PORT/, wrong);
  }
});
