import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { openLibpcapSource } from "../../src/capture/libpcap-engine.ts";
import type { LiveSource } from "../../src/capture/live-source.ts";
import { mergeLiveSources } from "../../src/capture/several-sources.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import {
  stoppedAtLast,
  stopOpened,
  keepLog,
  liveOptions,
  startReading,
  waitUntil,
} from "./live-capture.ts";
import { createVethPair, type VethPair } from "./veth-pair.ts";

/* However a capture ends: nothing hangs, nothing crashes, nothing that was captured is lost. */

const LIMIT = { timeout: 60_000 };
const engineUrl = new URL("../../src/capture/libpcap-engine.js", import.meta.url).href;
const FLOOD = buildCapture({
  frames: Array.from({ length: 1000 }, (_, n) => ({ bytes: buildUdpFrame(n, 200) })),
});

let veth: VethPair;
before(async () => {
  veth = await createVethPair();
});
after(async () => {
  await stopOpened();
  await veth.remove();
});

function open(interfaceName = veth.name): Promise<LiveSource> {
  return stoppedAtLast(openLibpcapSource(liveOptions(interfaceName), keepLog()));
}

test("stop() is safe in every state, repeatedly", LIMIT, async () => {
  const unread = await open();
  await unread.stop();
  await unread.stop();
  for await (const chunk of unread.chunks()) assert.fail(`${chunk.frameCount} frames`);
  assert.equal(await unread.exclude("tcp"), true);
  assert.equal(unread.counters().received, 0);

  const silent = await open();
  const reading = await startReading(silent);
  await silent.stop();
  await reading.ended;
  await silent.stop();
  assert.equal(await silent.exclude("tcp"), true);

  const broken = await open();
  const sending = veth.send(FLOOD, ["-t", "-K", "-l50"]);
  for await (const chunk of broken.chunks()) {
    if (chunk.frameCount > 0) break;
  }
  await broken.stop();
  await sending;
});

test(
  "stop() in the middle of a flood hands over what was captured, and counters stay",
  LIMIT,
  async () => {
    const source = await open();
    const sending = veth.send(FLOOD, ["-t", "-K", "-l300"]);
    let captured = 0;
    let last = -1;
    let stopping: Promise<void> | undefined;
    for await (const chunk of source.chunks()) {
      for (let at = 0; at < chunk.bytes.length; at += 216) {
        const sequence = chunk.bytes.readUInt32BE(at + 16 + 42);
        assert.equal(sequence, (last + 1) % 1000);
        last = sequence;
      }
      captured += chunk.frameCount;
      if (captured > 20_000) stopping ??= source.stop();
    }
    await stopping;
    await sending;
    const { received, droppedByKernel } = source.counters();
    assert.equal(droppedByKernel, 0);
    // The rest is what was left in the ring.
    assert.ok(received! >= captured && captured > 20_000, `${received}, ${captured}`);
  },
);

/** Runs a program that captures from the interface while it is flooded; returns its exit status and words. */
async function runWhileFlooded(
  script: string,
  signal?: NodeJS.Signals,
): Promise<{ status: number | NodeJS.Signals | null; words: string }> {
  const head = `
    import { openLibpcapSource } from ${JSON.stringify(engineUrl)};
    const options = ${JSON.stringify(liveOptions(veth.name))};
    const open = () => openLibpcapSource(options, console);`;
  const args = ["--expose-gc", "--input-type=module", "-e", head + script];
  const program = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let words = "";
  let captures = false;
  for (const output of [program.stdout, program.stderr]) {
    output.on("data", (bytes: Buffer) => {
      words += bytes.toString();
      captures ||= words.includes("captures");
    });
  }
  const ended = once(program, "close");
  const isOver = (): boolean => program.exitCode !== null || program.signalCode !== null;
  await waitUntil(() => captures || isOver());
  while (!isOver()) {
    await veth.send(FLOOD, ["-t", "-K", "-l20"]);
    if (signal !== undefined) program.kill(signal);
  }
  const [code, by] = (await ended) as [number | null, NodeJS.Signals | null];
  return { status: code ?? by, words };
}

test("process.exit() in the middle of a batch ends the process at once", LIMIT, async () => {
  const { status, words } = await runWhileFlooded(`
    const source = await open();
    setTimeout(() => console.log("captures"), 10);
    for await (const chunk of source.chunks()) if (chunk.frameCount > 100) process.exit(7);`);
  assert.equal(status, 7, words);
});

test("an exception in the reader ends the capture and comes through", LIMIT, async () => {
  const thrown = await runWhileFlooded(`
    const source = await open();
    setTimeout(() => console.log("captures"), 10);
    for await (const chunk of source.chunks()) throw new Error("enough");`);
  assert.equal(thrown.status, 1);
  assert.match(thrown.words, /Error: enough/);
});

test(
  "a signal in the middle of a batch reaches the program, which stops in order",
  LIMIT,
  async () => {
    const { status, words } = await runWhileFlooded(
      `
    const source = await open();
    process.on("SIGTERM", () => void source.stop());
    setTimeout(() => console.log("captures"), 10);
    let captured = 0;
    for await (const chunk of source.chunks()) captured += chunk.frameCount;
    const { received, droppedByKernel } = source.counters();
    console.log("ended", captured > 0 && captured <= received - droppedByKernel);`,
      "SIGTERM",
    );
    assert.equal(status, 0, words);
    assert.match(words, /ended true/);
  },
);

test("a worker that is terminated while it captures takes nothing else along", LIMIT, async () => {
  const { status, words } = await runWhileFlooded(`
    import { Worker } from "node:worker_threads";
    const script = \`
      import { openLibpcapSource } from ${JSON.stringify(engineUrl)};
      import { parentPort } from "node:worker_threads";
      const source = await openLibpcapSource(\${JSON.stringify(options)}, console);
      setTimeout(() => parentPort.postMessage("captures"), 10);
      for await (const chunk of source.chunks()) parentPort.postMessage(chunk.frameCount);\`;
    for (let round = 0; round < 8; round++) {
      const worker = new Worker(new URL("data:text/javascript," + encodeURIComponent(script)));
      await new Promise((resolve) => worker.on("message", (message) => {
        if (message === "captures") console.log("captures");
        else resolve();
      }));
      await worker.terminate();
    }
    const source = await open();
    for await (const chunk of source.chunks()) break;
    console.log("still works");`);
  assert.equal(status, 0, words);
  assert.match(words, /still works/);
});

/** Packet sockets among what `ls -l /proc/…/fd` lists, which fails when one is closed meanwhile. */
const PACKET_SOCKETS = `
    import { spawnSync } from "node:child_process";
    import { readFileSync } from "node:fs";
    const packetSockets = (pid) => {
      const open = spawnSync("ls", ["-l", "/proc/" + pid + "/fd"], { encoding: "utf8" }).stdout;
      const lines = readFileSync("/proc/net/packet", "ascii").trim().split("\\n");
      const inodes = lines.map((line) => line.trim().split(/\\s+/).at(-1));
      return inodes.filter((inode) => open.includes("socket:[" + inode + "]")).length;
    };`;

test(
  "sources that are forgotten without stop() are closed by garbage collection",
  LIMIT,
  async () => {
    const { status, words } = await runWhileFlooded(`${PACKET_SOCKETS}
    console.log("captures");
    // 20 rings of the usual size would be 1.3 GB.
    options.bufferBytes = 1024 * 1024;
    for (let round = 0; round < 20; round++) await open();
    console.log("open:", packetSockets(process.pid) > 0);
    for (let round = 0; round < 10; round++) {
      global.gc();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    console.log("left:", packetSockets(process.pid));`);
    assert.equal(status, 0, words);
    assert.match(words, /open: true\nleft: 0/);
  },
);

// The buffers stayed with the source, 4 MiB of each that was kept for its counters.
test("a source that is stopped gives its ring and its buffers back at once", LIMIT, async () => {
  const { status, words } = await runWhileFlooded(`
    console.log("captures");
    const { arrayBuffers, rss } = process.memoryUsage();
    const sources = [];
    for (let round = 0; round < 10; round++) {
      const source = await open();
      sources.push(source);
      for await (const { frameCount } of source.chunks()) if (frameCount > 0) void source.stop();
    }
    global.gc();
    await new Promise((resolve) => setTimeout(resolve, 10));
    global.gc();
    const now = process.memoryUsage();
    const MIB = 1024 * 1024;
    console.log("kept:", now.arrayBuffers - arrayBuffers < 4 * MIB, now.rss - rss < 200 * MIB);
    console.log("counted:", sources.every((source) => source.counters().received > 0));`);
  assert.equal(status, 0, words);
  assert.match(words, /kept: true true\ncounted: true/);
});

test("programs that are started later do not inherit the capture", LIMIT, async () => {
  const { status, words } = await runWhileFlooded(`${PACKET_SOCKETS}
    const source = await open();
    console.log("captures");
    console.log("own:", packetSockets(process.pid), "inherited:", packetSockets("self"));
    await source.stop();`);
  assert.equal(status, 0, words);
  assert.match(words, /own: 1 inherited: 0/);
});

test("an interface that goes before the capture starts ends it", LIMIT, async () => {
  for (const go of ["down", "remove"] as const) {
    const other = await createVethPair();
    try {
      const source = await open(other.name);
      await other[go]();
      const reading = await startReading(source);
      await assert.rejects(reading.ended, { code: "INTERFACE_GONE" });
    } finally {
      await other.remove();
    }
  }
});

test("an interface that goes down in a flood ends the capture", LIMIT, async () => {
  const other = await createVethPair();
  try {
    const reading = await startReading(await open(other.name));
    const sending = other.send(FLOOD, ["-t", "-K", "-l50"]).catch(() => {});
    await waitUntil(() => reading.frames.length > 5000);
    await other.down();
    await assert.rejects(reading.ended, { code: "INTERFACE_GONE" });
    await sending;
  } finally {
    await other.remove();
  }
});

// Its read says EAGAIN, which libpcap hands on as an error: the capture ended with the first look.
test("a device of netfilter that has nothing to read yet goes on", LIMIT, async () => {
  const source = await open("nflog");
  const reading = await startReading(source);
  let isOver = false;
  reading.ended.finally(() => (isOver = true)).catch(() => {});
  await veth.send(FLOOD, ["--pps=5000"]);
  assert.equal(isOver, false);
  await source.stop();
  await reading.ended;
});

test("several interfaces make one source, each frame with its interface", LIMIT, async () => {
  const other = await createVethPair();
  try {
    const source = mergeLiveSources([await open(), await open(other.name)]);
    assert.deepEqual(
      source.interfaces.map(({ name }) => name),
      [veth.name, other.name],
    );
    assert.equal(await source.exclude("src port 1024"), true);
    const counts = new Map<string, number>();
    let all = 0;
    const reading = (async () => {
      for await (const chunk of source.chunks()) {
        assert.equal(chunk.interfaces.length, 1);
        const { name } = chunk.interfaces[0]!;
        counts.set(name, (counts.get(name) ?? 0) + chunk.frameCount);
        all += chunk.frameCount;
        if (all === 29_970) void source.stop();
      }
    })();
    await Promise.all([veth.send(FLOOD, ["-l20"]), other.send(FLOOD, ["-l10"])]);
    await reading;
    assert.deepEqual(Object.fromEntries(counts), { [veth.name]: 19_980, [other.name]: 9990 });
    assert.deepEqual(source.counters(), {
      received: 29_970,
      droppedByKernel: 0,
      droppedByInterface: 0,
      filtered: 0,
      torn: 0,
    });
  } finally {
    await other.remove();
  }
});

test(
  "when one of several interfaces is gone, frames of all come before its error",
  LIMIT,
  async () => {
    const other = await createVethPair();
    try {
      const source = mergeLiveSources([await open(), await open(other.name)]);
      const reading = await startReading(source);
      await Promise.all([veth.send(FLOOD), other.send(FLOOD)]);
      await waitUntil(() => reading.frames.length === 2000);
      await veth.send(FLOOD);
      await other.remove();
      await assert.rejects(reading.ended, {
        code: "INTERFACE_GONE",
        message: `Cannot capture on interface "${other.name}" any longer: it went down or was removed`,
      });
      assert.equal(reading.frames.length, 3000);
    } finally {
      await other.remove();
    }
  },
);
