import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { randomTopicName, sharedBroker } from "../brokers.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { countRecords } from "../integration/other-programs.ts";
import {
  type Ended,
  eventually,
  readLedger,
  readLedgers,
  type RunningProcess,
  startPcapts,
} from "../integration/pcapts-process.ts";
import { createVethPair, type VethPair } from "./veth-pair.ts";

/* Each frame that is sent into an interface is in one row of the ledger, whatever happens to it. */

const LIMIT = { timeout: 60_000 };
const FRAMES = 1000;

let bootstrap: string;
let veth: VethPair;
before(async () => {
  ({ bootstrap } = await sharedBroker());
  veth = await createVethPair();
});
after(() => veth.remove());

/** Sends 1,000 frames of 1,000 bytes as often as wanted. */
function flood(loops: number, options: readonly string[] = ["--topspeed"]): Promise<void> {
  const frames = Array.from({ length: FRAMES }, (_, n) => ({ bytes: buildUdpFrame(n, 1000) }));
  return veth.send(buildCapture({ frames }), [...options, `--loop=${loops}`]);
}

async function capture(topic: string, ...args: readonly string[]): Promise<RunningProcess> {
  const line = ["-p", "-k", bootstrap, "-t", topic, "-i", veth.name, "--engine", "libpcap"];
  const producer = startPcapts([...line, ...args]);
  await producer.says(/Starting packet capture/);
  return producer;
}

async function succeed(producer: RunningProcess): Promise<Ended> {
  const ended = await producer.ended;
  assert.equal(ended.status, 0, ended.stderr);
  return ended;
}

/** Asks for the counters until the last ones are as wanted. */
async function untilLedger(
  producer: RunningProcess,
  what: string,
  isWanted: (ledger: ReturnType<typeof readLedger>) => boolean,
): Promise<void> {
  await eventually(what, () => {
    const last = readLedgers(producer.stderr).at(-1);
    if (last !== undefined && isWanted(last)) return true;
    producer.child.kill("SIGUSR1");
    return false;
  });
}

test("counters on SIGUSR1 and every --stats-interval add up all the time", LIMIT, async () => {
  const topic = randomTopicName("ledger");
  const producer = await capture(topic, "--stats-interval", "0.02");
  const asking = setInterval(() => producer.child.kill("SIGUSR1"), 7);
  await flood(200);
  await untilLedger(producer, "the whole flood", ({ received, queued, leftInRing }) => {
    return received === String(200 * FRAMES) && leftInRing === "0" && queued === 0;
  });
  clearInterval(asking);
  producer.child.kill("SIGTERM");
  const { stderr } = await succeed(producer);
  const ledgers = readLedgers(stderr);
  // Some of them were printed in the middle of it.
  const during = ledgers.filter(({ captured, acknowledged }) => captured > acknowledged);
  assert.ok(during.length > 0, `${ledgers.length} lines, none during the flood`);
  const last = ledgers.at(-1)!;
  assert.equal(Number(last.received), 200 * FRAMES);
  assert.equal(last.captured + Number(last.droppedByKernel), 200 * FRAMES);
  assert.equal(await countRecords(bootstrap, topic), last.acknowledged);
});

test("a signal in the middle of a flood loses no frame without a row for it", LIMIT, async () => {
  const topic = randomTopicName("ledger");
  const producer = await capture(topic);
  const sending = flood(300);
  await untilLedger(producer, "a beginning", ({ captured }) => captured > 1000);
  producer.child.kill("SIGTERM");
  const { stderr } = await succeed(producer);
  await sending;
  const { received, captured, acknowledged } = readLedger(stderr);
  assert.ok(Number(received) <= 300 * FRAMES, `received ${received}`);
  assert.equal(acknowledged, captured);
  assert.equal(await countRecords(bootstrap, topic), acknowledged);
});

test(
  "a signal that finds frames in the ring accounts for every frame that was sent",
  LIMIT,
  async () => {
    const topic = randomTopicName("ledger");
    const producer = await capture(topic);
    producer.child.kill("SIGSTOP");
    await flood(20);
    producer.child.kill("SIGTERM");
    producer.child.kill("SIGCONT");
    const { stderr } = await succeed(producer);
    const { received, acknowledged, captured } = readLedger(stderr);
    assert.equal(Number(received), 20 * FRAMES);
    assert.equal(acknowledged, captured);
    assert.equal(await countRecords(bootstrap, topic), acknowledged);
  },
);

test(
  "what a ring that is too small drops is counted and warned about, and is no failure",
  LIMIT,
  async () => {
    const topic = randomTopicName("ledger");
    const producer = await capture(topic, "-B", "256");
    producer.child.kill("SIGSTOP");
    await flood(20);
    producer.child.kill("SIGCONT");
    await untilLedger(producer, "the whole flood", ({ received, queued, leftInRing }) => {
      return received === String(20 * FRAMES) && leftInRing === "0" && queued === 0;
    });
    // It goes on as if nothing had happened.
    await flood(1, ["--pps=2000"]);
    await untilLedger(producer, "more frames", ({ received, queued, leftInRing }) => {
      return received === String(21 * FRAMES) && leftInRing === "0" && queued === 0;
    });
    producer.child.kill("SIGTERM");
    const { stderr } = await succeed(producer);
    const { captured, acknowledged, droppedByKernel } = readLedger(stderr);
    assert.ok(Number(droppedByKernel) > 0, stderr);
    assert.equal(captured + Number(droppedByKernel), 21 * FRAMES);
    assert.equal(await countRecords(bootstrap, topic), acknowledged);
    assert.match(
      stderr,
      new RegExp(
        `WARN: '${droppedByKernel}' frame\\(s\\) were dropped .* a larger -B, --buffer-size`,
      ),
    );
  },
);

test("with --log-format json the counters are fields that add up", LIMIT, async () => {
  const topic = randomTopicName("ledger");
  const producer = await capture(topic, "--log-format", "json", "-m", "10");
  await flood(1, ["--pps=2000"]);
  const { stderr } = await succeed(producer);
  const last = stderr
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, number>)
    .findLast(({ captured }) => captured !== undefined)!;
  const sum = (...names: string[]): number =>
    names.reduce((total, name) => total + (last[name] ?? Number.NaN), 0);
  assert.equal(last["captured"], 10);
  assert.equal(last["acknowledged"], 10);
  assert.equal(last["received"], sum("droppedByKernel", "filtered", "captured", "leftInRing"));
  assert.equal(last["captured"], sum("acknowledged", "failed", "unknown", "droppedHere", "queued"));
});
