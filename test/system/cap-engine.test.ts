import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { openCapSource } from "../../src/capture/cap-engine.ts";
import type { LiveSource, LiveSourceOptions } from "../../src/capture/live-source.ts";
import { buildCapture, buildUdpFrame, framesOf, type ReadFrame } from "../fixtures/generate.ts";
import {
  capCaptures,
  captureTimeUs,
  copyFrames,
  keepLog,
  type KeptLog,
  liveOptions,
  startReading,
  waitUntil,
} from "./live-capture.ts";
import { createVethPair, type VethPair } from "./veth-pair.ts";

const run = promisify(execFile);
const engineUrl = new URL("../../src/capture/cap-engine.js", import.meta.url).href;
const LIMIT = { timeout: 30_000 };

let veth: VethPair;
before(async () => {
  veth = await createVethPair();
});
after(() => veth.remove());

/** What the source that was opened last has said. */
let log: KeptLog;

function open(options: Partial<LiveSourceOptions> = {}): Promise<LiveSource> {
  log = keepLog();
  return openCapSource(liveOptions(veth.name, options), log);
}

/** Process id of the capture process that `parent` started last. */
async function captureProcessOf(parent: number): Promise<number> {
  const children = await readFile(`/proc/${parent}/task/${parent}/children`, "ascii");
  let found: number | undefined;
  for (const pid of children.split(" ").filter(Boolean)) {
    const commandLine = await readFile(`/proc/${pid}/cmdline`, "ascii").catch(() => "");
    if (commandLine.includes("cap-child")) found = Number(pid);
  }
  assert.ok(found !== undefined, `no capture process among ${children}`);
  return found;
}

async function hasEnded(pid: number): Promise<boolean> {
  for (let waits = 0; waits < 100; waits++) {
    // A zombie that its new parent has not reaped yet has ended as well.
    const state = await readFile(`/proc/${pid}/stat`, "ascii").catch(() => ") X");
    if (/\) [ZX]/.test(state)) return true;
    await sleep(50);
  }
  return false;
}

test(
  "frames of every length arrive in order with their bytes, and times never go back",
  LIMIT,
  async () => {
    const sent = [14, 15, 42, 60, 1514, 9014, 65_014].flatMap((length) =>
      Array.from({ length: 20 }, (_, n) => {
        const frame = Buffer.alloc(length, n);
        buildUdpFrame(n, 60).copy(frame);
        return { bytes: frame };
      }),
    );
    const source = await open();
    assert.equal(source.kind, "live");
    assert.deepEqual(source.interfaces, [
      { sensor: "probe", name: veth.name, linkType: 1, snapLengthBytes: 65_535 },
    ]);
    const reading = await startReading(source, log);
    const startUs = Date.now() * 1000;
    await veth.send(buildCapture({ frames: sent }), ["--pps=2000"]);
    const received = await reading.stopAfter(sent.length);
    const endUs = (Date.now() + 1) * 1000;

    assert.equal(received.length, sent.length);
    let lastUs = startUs;
    for (const [n, frame] of received.entries()) {
      assert.ok(frame.bytes.equals(sent[n]!.bytes), `frame ${n}`);
      assert.equal(frame.wireLength, frame.bytes.length);
      assert.ok(captureTimeUs(frame) >= lastUs, `time of frame ${n} goes back`);
      lastUs = captureTimeUs(frame);
    }
    assert.ok(lastUs <= endUs, "the last time is not in the future");
    assert.ok(lastUs > captureTimeUs(received[0]!), "times differ");
    assert.deepEqual(source.counters(), {
      received: undefined,
      droppedByKernel: undefined,
      droppedByInterface: undefined,
      filtered: 0,
    });
  },
);

test("a single frame arrives within half a second", LIMIT, async () => {
  const source = await open();
  const reading = await startReading(source, log);
  await veth.send(buildCapture({ frames: [{ bytes: buildUdpFrame(1, 60) }] }));
  await sleep(500);
  assert.equal(reading.frames.length, 1);
  await source.stop();
  await reading.ended;
});

test("a snaplen cuts frames and keeps their wire length", LIMIT, async () => {
  const source = await open({ snapLengthBytes: 50 });
  assert.equal(source.interfaces[0]!.snapLengthBytes, 50);
  const bytes = buildUdpFrame(7, 1000);
  const reading = await startReading(source, log);
  await veth.send(buildCapture({ frames: [{ bytes }] }));
  const received = await reading.stopAfter(1);
  assert.deepEqual(received[0]!.bytes, bytes.subarray(0, 50));
  assert.equal(received[0]!.wireLength, 1000);
});

test(
  "a filter lets through what it says, and one that does not compile is refused",
  LIMIT,
  async () => {
    const source = await open({ filter: "udp src port 1026" });
    const frames = [0, 1, 2, 3].map((n) => ({ bytes: buildUdpFrame(n, 60) }));
    const reading = await startReading(source, log);
    await veth.send(buildCapture({ frames }));
    const received = await reading.stopAfter(1);
    assert.deepEqual(
      received.map((frame) => frame.bytes),
      [frames[2]!.bytes],
    );
    await assert.rejects(open({ filter: "tcp port port" }), {
      code: "FILTER_INVALID",
      message: /^Cannot compile filter "tcp port port": .*syntax error/,
    });
  },
);

test(
  "stop() in the middle of a flood hands over what was captured and ends in order",
  LIMIT,
  async () => {
    const frames = Array.from({ length: 1000 }, (_, n) => ({ bytes: buildUdpFrame(n, 200) }));
    const source = await open();
    const child = await captureProcessOf(process.pid);
    const sending = veth.send(buildCapture({ frames }), ["--topspeed", "--loop=300"]);
    let received = 0;
    let stopping: Promise<void> | undefined;
    for await (const chunk of source.chunks()) {
      received += framesOf(chunk).length;
      if (received > 2000) stopping ??= source.stop();
    }
    assert.ok(stopping !== undefined && received > 2000, `${received} frames`);
    await stopping;
    await source.stop();
    assert.ok(await hasEnded(child));
    await sending;
  },
);

test(
  "stop() resolves although nobody reads, and what was captured can be read after it",
  LIMIT,
  async () => {
    const frames = Array.from({ length: 5000 }, (_, n) => ({ bytes: buildUdpFrame(n, 1000) }));
    const source = await open();
    const chunks = source.chunks()[Symbol.asyncIterator]();
    const first = chunks.next();
    await capCaptures(log);
    await veth.send(buildCapture({ frames }));
    await source.stop();
    const received: ReadFrame[] = [];
    for (let next = await first; next.done !== true; next = await chunks.next()) {
      received.push(...copyFrames(next.value));
    }
    assert.ok(received.length > 0, "the pipe held some");
    // The ring was full at times, so there are gaps; buildUdpFrame() puts the number at byte 42.
    let last = -1;
    for (const { bytes } of received) {
      const sequence = bytes.readUInt32BE(42);
      assert.ok(sequence > last, `${sequence} after ${last}`);
      assert.ok(bytes.equals(frames[sequence]!.bytes), `frame ${sequence}`);
      last = sequence;
    }
  },
);

test("signals to the capture process alone do not end it", LIMIT, async () => {
  const source = await open();
  const child = await captureProcessOf(process.pid);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"] as const) {
    process.kill(child, signal);
  }
  const frames = [1, 2, 3].map((n) => ({ bytes: buildUdpFrame(n, 60) }));
  const reading = await startReading(source, log);
  await veth.send(buildCapture({ frames }), ["--pps=100"]);
  assert.equal((await reading.stopAfter(3)).length, 3);
});

test("a capture process that is killed is CAPTURE_FAILED", LIMIT, async () => {
  const source = await open();
  const child = await captureProcessOf(process.pid);
  const reading = await startReading(source, log);
  process.kill(child, "SIGKILL");
  await assert.rejects(reading.ended, {
    code: "CAPTURE_FAILED",
    message: `Cannot capture on interface "${veth.name}": its capture process ended (SIGKILL)`,
  });
});

test("the capture process ends when its parent is killed", LIMIT, async () => {
  const script = `
    import { openCapSource } from ${JSON.stringify(engineUrl)};
    const silent = { debug() {}, info() {}, warn() {}, error() {}, isDebugEnabled: () => false };
    await openCapSource(${JSON.stringify(liveOptions(veth.name))}, silent);
    console.log("open");`;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(parent.stdout, "data");
  const child = await captureProcessOf(parent.pid!);
  parent.kill("SIGKILL");
  assert.ok(await hasEnded(child));
});

for (const [how, takeAway] of [
  ["is deleted", (pair: VethPair) => pair.remove()],
  ["goes down", (pair: VethPair) => pair.down()],
] as const) {
  test(
    `when the interface ${how}, its frames come first and then INTERFACE_GONE`,
    LIMIT,
    async () => {
      const pair = await createVethPair();
      try {
        const source = await open({ interfaceName: pair.name });
        const reading = await startReading(source, log);
        const frames = Array.from({ length: 500 }, (_, n) => ({ bytes: buildUdpFrame(n, 200) }));
        await pair.send(buildCapture({ frames }), ["--pps=5000"]);
        await takeAway(pair);
        await assert.rejects(reading.ended, {
          code: "INTERFACE_GONE",
          message: `Cannot capture on interface "${pair.name}" any longer: it went down or was removed`,
        });
        assert.equal(reading.frames.length, 500);
        await source.stop();
        // What the process said while aborting is for DEBUG only.
        assert.ok(
          log.lines.debug.some((line) => /^cap: .*assert/i.test(line)),
          log.lines.debug.join("\n"),
        );
      } finally {
        await pair.remove();
      }
    },
  );
}

test("an interface that does not exist is refused with those that do", LIMIT, async () => {
  await assert.rejects(open({ interfaceName: "eth99" }), (error: Error & { code?: string }) => {
    assert.equal(error.code, "INTERFACE_NOT_FOUND");
    assert.match(
      error.message,
      /^Cannot open interface "eth99": no such device; there are .*\blo\b/,
    );
    assert.match(error.message, /\(pcapts -D lists them\)$/);
    return true;
  });
});

test("an interface that is down is refused with the command that helps", LIMIT, async () => {
  const pair = await createVethPair();
  try {
    await pair.down();
    await assert.rejects(open({ interfaceName: pair.name }), {
      code: "CAPTURE_FAILED",
      message: `Cannot open interface "${pair.name}": it is down (ip link set dev ${pair.name} up)`,
    });
  } finally {
    await pair.remove();
  }
});

test("without CAP_NET_RAW the message names it and how to grant it", LIMIT, async () => {
  const script = `
    import { openCapSource } from ${JSON.stringify(engineUrl)};
    const silent = { debug() {}, info() {}, warn() {}, error() {}, isDebugEnabled: () => false };
    await openCapSource(${JSON.stringify(liveOptions(veth.name))}, silent).catch((error) => {
      console.log(JSON.stringify({ code: error.code, message: error.message }));
    });`;
  const { stdout, stderr } = await run("setpriv", [
    "--bounding-set=-net_raw,-net_admin",
    "--inh-caps=-all",
    process.execPath,
    "--input-type=module",
    "-e",
    script,
  ]);
  const { code, message } = JSON.parse(stdout) as { code: string; message: string };
  assert.equal(code, "INTERFACE_PERMISSION");
  assert.match(message, /needs the capability CAP_NET_RAW/);
  assert.match(message, /sudo.*AmbientCapabilities=CAP_NET_RAW.*setpriv.*Do not setcap/);
  assert.equal(stderr, "");
});

test("the loopback interface and any give their own link types", LIMIT, async () => {
  for (const [interfaceName, linkType] of [
    ["lo", 1],
    ["any", 113],
  ] as const) {
    const source = await open({ interfaceName, sensor: hostname() });
    assert.equal(source.interfaces[0]!.linkType, linkType);
    assert.equal(source.interfaces[0]!.sensor, hostname());
    await source.stop();
  }
});

test("what cannot be honoured is said", LIMIT, async () => {
  const source = await open({ promiscuous: false, nanosecond: true });
  await source.stop();
  assert.equal(log.lines.warn.length, 2);
  assert.match(log.lines.warn[0]!, /--no-promiscuous-mode/);
  assert.equal(log.lines.warn[1], "Engine cap gives capture times in microseconds only");
});

test(
  "what is excluded is left out from the first frame on, and may change while frames come",
  LIMIT,
  async () => {
    const source = await open({ filter: "udp" });
    assert.equal(await source.exclude("udp src port 1024"), true);
    const reading = await startReading(source, log);
    // Source ports are 1024 to 1027.
    const frames = [0, 1, 2, 3].map((n) => ({ bytes: buildUdpFrame(n, 60) }));
    await veth.send(buildCapture({ frames }));
    await waitUntil(() => reading.frames.length === 3);
    assert.deepEqual(
      reading.frames.map(({ bytes }) => bytes),
      [1, 2, 3].map((n) => frames[n]!.bytes),
    );
    assert.deepEqual(log.lines.info, []);

    assert.equal(await source.exclude("udp src port 1025"), true);
    assert.match(log.lines.info.join("\n"), /opens interface .* again .* may be missing/);
    await capCaptures(log, 2);
    await veth.send(buildCapture({ frames }));
    const received = await reading.stopAfter(6);
    assert.deepEqual(
      received.slice(3).map(({ bytes }) => bytes),
      [0, 2, 3].map((n) => frames[n]!.bytes),
    );
  },
);

test("what only libpcap itself can give is refused or said", LIMIT, async () => {
  await assert.rejects(open({ linkType: 143 }), {
    code: "CAPTURE_FAILED",
    message: /with link type "DOCSIS": engine cap opens it with its default, EN10MB/,
  });
  await assert.rejects(open({ timeStampType: "host" }), {
    code: "CAPTURE_FAILED",
    message: /with time stamp type "host": engine cap has no time stamps/,
  });
});
