import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { randomTopicName } from "../brokers.ts";
import { BrokerProcess } from "../embedded-broker.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { runPython } from "../integration/other-programs.ts";
import {
  eventually,
  readLedger,
  readLedgers,
  type RunningProcess,
  runPcapts,
  startPcapts,
  succeedPcapts,
} from "../integration/pcapts-process.ts";
import type { LedgerGap, RunAudit } from "../../src/pipeline/audit-ledger.ts";
import { createVethPair, type VethPair } from "./veth-pair.ts";

/* Books of real runs: what went wrong is named, and nothing else is. */

const LIMIT = { timeout: 180_000 };
/** For what takes a moment on a machine that has nothing else to do. */
const PATIENCE_MS = 40_000;
const FRAMES = 500;

let broker: BrokerProcess;
let veth: VethPair;
before(async () => {
  broker = await BrokerProcess.start();
  veth = await createVethPair();
});
after(async () => {
  await veth.remove();
  await broker.remove();
});

/** A producer on the interface that keeps its books, a record each 0.2 s. */
async function capture(topic: string, ...args: readonly string[]): Promise<RunningProcess> {
  const line = ["-p", "-i", veth.name, "-k", broker.bootstrap, "-t", topic, "--engine", "libpcap"];
  const books = ["--ledger-topic", `${topic}-ledger`, "--ledger-interval", "0.2"];
  const producer = startPcapts([...line, ...books, ...args]);
  await producer.says(/Starting packet capture/);
  return producer;
}

function send(loops = 1, options: readonly string[] = ["--pps=5000"]): Promise<void> {
  const frames = Array.from({ length: FRAMES }, (_, n) => ({ bytes: buildUdpFrame(n, 500) }));
  return veth.send(buildCapture({ frames }), [...options, `--loop=${loops}`]);
}

interface Audit {
  readonly status: number;
  readonly runs: readonly RunAudit[];
  readonly gaps: readonly LedgerGap[];
}

async function audit(topic: string, from = broker): Promise<Audit> {
  const line = ["audit", "-k", from.bootstrap, "-t", topic, "--ledger-topic", `${topic}-ledger`];
  const { status, stdout, stderr } = await runPcapts([...line, "--json"]);
  assert.ok(status === 0 || status === 1, stderr);
  const { complete, runs } = JSON.parse(stdout.toString()) as {
    complete: boolean;
    runs: readonly RunAudit[];
  };
  assert.equal(complete, status === 0);
  return { status, runs, gaps: runs.flatMap(({ gaps }) => gaps) };
}

/** Waits until a producer has captured and delivered so many frames. */
async function untilDelivered(producer: RunningProcess, wanted: number): Promise<void> {
  await eventually(
    "every frame is delivered",
    () => {
      const last = readLedgers(producer.stderr).at(-1);
      if (last?.acknowledged === wanted) return true;
      producer.child.kill("SIGUSR1");
      return false;
    },
    PATIENCE_MS,
  );
}

async function stop(producer: RunningProcess): Promise<void> {
  producer.child.kill("SIGTERM");
  const { status, stderr } = await producer.ended;
  assert.equal(status, 0, stderr);
}

test("a run without trouble is complete, while it runs and afterwards", LIMIT, async () => {
  const topic = randomTopicName("audit");
  const producer = await capture(topic);
  await send();
  await untilDelivered(producer, FRAMES);
  let during: Audit | undefined;
  await eventually(
    "the frames are in the books",
    async () => {
      during = await audit(topic);
      return during.runs[0]?.acknowledged === FRAMES;
    },
    PATIENCE_MS,
  );
  assert.deepEqual([during?.status, during?.runs[0]?.state], [0, "running"]);
  await stop(producer);
  const { status, runs } = await audit(topic);
  assert.equal(status, 0);
  assert.deepEqual(
    runs.map(({ state, captured, acknowledged, gaps }) => [state, captured, acknowledged, gaps]),
    [["ended", FRAMES, FRAMES, []]],
  );
  const line = ["audit", "-k", broker.bootstrap, "-t", topic, "--ledger-topic", `${topic}-ledger`];
  const { stdout } = await succeedPcapts(line);
  assert.match(
    stdout.toString(),
    new RegExp(`\\ncomplete: 1 run\\(s\\), '${FRAMES}' frame\\(s\\)\\n$`),
  );
});

test("a broker that is killed and comes back leaves no gap in the books", LIMIT, async () => {
  const topic = randomTopicName("audit");
  const producer = await capture(topic);
  await send();
  await untilDelivered(producer, FRAMES);
  await broker.kill();
  // Frames and records of the books wait for it.
  await send();
  await producer.says(/Cannot write to topic/, 30_000);
  await broker.start();
  await untilDelivered(producer, 2 * FRAMES);
  await stop(producer);
  const { status, runs, gaps } = await audit(topic);
  assert.deepEqual(gaps, []);
  assert.equal(status, 0);
  assert.equal(runs[0]?.acknowledged, 2 * FRAMES);
});

test(
  "a producer that is killed is named, with the time from which nothing is known",
  LIMIT,
  async () => {
    const topic = randomTopicName("audit");
    const killed = await capture(topic);
    await send();
    await untilDelivered(killed, FRAMES);
    await eventually("the frames are in the books", async () => {
      return (await audit(topic)).runs[0]?.acknowledged === FRAMES;
    });
    killed.child.kill("SIGKILL");
    await killed.ended;
    const next = await capture(topic);
    await send();
    await untilDelivered(next, FRAMES);
    await stop(next);
    // Until then it may be late, for all that an audit knows.
    let found: Audit | undefined;
    await eventually(
      "the run counts as broken off",
      async () => (found = await audit(topic)).status === 1,
      60_000,
    );
    assert.deepEqual(
      found?.runs.map(({ state, gaps }) => [state, gaps.map(({ kind }) => kind)]),
      [
        ["broken off", ["end"]],
        ["ended", []],
      ],
    );
    const [gap] = found?.gaps ?? [];
    assert.equal(gap?.end, found?.runs[1]?.begin);
    assert.ok(Date.parse(gap?.begin ?? "") <= Date.parse(gap?.end ?? ""));
  },
);

test(
  "a ring that runs over is named: how many frames, in which intervals, and no others",
  LIMIT,
  async () => {
    const topic = randomTopicName("audit");
    const producer = await capture(topic, "-B", "2048");
    await send();
    await untilDelivered(producer, FRAMES);
    producer.child.kill("SIGSTOP");
    const begin = Date.now();
    await send(40, ["--topspeed"]);
    producer.child.kill("SIGCONT");
    await eventually("the flood is over", () => {
      const last = readLedgers(producer.stderr).at(-1);
      if (last?.received === String(41 * FRAMES) && last.leftInRing === "0") return true;
      producer.child.kill("SIGUSR1");
      return false;
    });
    const end = Date.now();
    await send();
    await eventually("the last frames", () => {
      const last = readLedgers(producer.stderr).at(-1);
      if (last?.received === String(42 * FRAMES) && last.queued === 0) return true;
      producer.child.kill("SIGUSR1");
      return false;
    });
    await stop(producer);
    const dropped = Number(readLedger(producer.stderr).droppedByKernel);
    assert.ok(dropped > 0, "the ring was not overrun");
    const { status, gaps } = await audit(topic);
    assert.equal(status, 1);
    assert.deepEqual(new Set(gaps.map(({ kind }) => kind)), new Set(["lost"]));
    assert.equal(
      gaps.reduce((sum, { frames = 0 }) => sum + frames, 0),
      dropped,
    );
    // Each of these intervals has a part of the time in which the ring was full.
    for (const gap of gaps) {
      assert.match(gap.text, /dropped by the kernel/);
      assert.ok(Date.parse(gap.begin) <= end && Date.parse(gap.end) >= begin, gap.text);
    }
  },
);

test("a topic that is deleted, and one that is made anew, is noticed", LIMIT, async () => {
  const topic = randomTopicName("audit");
  const run = async (): Promise<void> => {
    const producer = await capture(topic);
    await send();
    await untilDelivered(producer, FRAMES);
    await stop(producer);
  };
  await run();
  await runPython(
    `
import sys
from confluent_kafka.admin import AdminClient
admin = AdminClient({"bootstrap.servers": sys.argv[1]})
for future in admin.delete_topics([sys.argv[2]]).values():
    future.result()
`,
    broker.bootstrap,
    topic,
  );
  const gone = await audit(topic);
  assert.equal(gone.status, 1);
  assert.deepEqual(new Set(gone.gaps.map(({ kind }) => kind)), new Set(["beyond-end"]));
  assert.equal(
    gone.gaps.reduce((sum, { frames = 0 }) => sum + frames, 0),
    FRAMES,
  );
  await run();
  const anew = await audit(topic);
  assert.equal(anew.status, 1);
  assert.deepEqual(new Set(anew.gaps.map(({ kind }) => kind)), new Set(["overlap"]));
});

test(
  "an audit without a ledger, and of a topic that it does not have, is not complete",
  LIMIT,
  async () => {
    const topic = randomTopicName("audit");
    const line = ["audit", "-k", broker.bootstrap, "-t", topic, "--ledger-topic"];
    const missing = await runPcapts([...line, `${topic}-ledger`]);
    assert.equal(missing.status, 1);
    assert.match(
      missing.stderr,
      /Cannot audit by topic ".*-ledger": it does not exist \(--ledger-topic\)/,
    );
    await stop(await capture(`${topic}-other`));
    const other = await runPcapts([...line, `${topic}-other-ledger`]);
    assert.equal(other.status, 1);
    assert.match(other.stdout.toString(), /^not complete: the ledger has no run of topic/);
  },
);
