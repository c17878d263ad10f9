import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { openLibpcapSource } from "../../src/capture/libpcap-engine.ts";
import type { LiveSource, LiveSourceOptions } from "../../src/capture/live-source.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import {
  stoppedAtLast,
  stopOpened,
  OWN_ADDRESS,
  toOwnAddress,
  keepLog,
  liveOptions,
  startReading,
  waitUntil,
} from "./live-capture.ts";
import { createVethPair, type VethPair } from "./veth-pair.ts";

/* Counters, filters and ends of the libpcap engine. */

const run = promisify(execFile);
const LIMIT = { timeout: 60_000 };
/** buildUdpFrame() has 1024 and the frame's number as its source port. */
const FIRST_PORT = 1024;

let veth: VethPair;
before(async () => {
  veth = await createVethPair();
});
after(async () => {
  await stopOpened();
  await veth.remove();
});

function open(options: Partial<LiveSourceOptions> = {}): Promise<LiveSource> {
  const { interfaceName = veth.name } = options;
  return stoppedAtLast(openLibpcapSource(liveOptions(interfaceName, options), keepLog()));
}

function udpFrames(count: number, length = 200): { bytes: Buffer }[] {
  return Array.from({ length: count }, (_, n) => ({ bytes: buildUdpFrame(n, length) }));
}

/** Sends 1,000 frames as often as wanted, as fast as tcpreplay can. */
function flood(loops: number, length = 200): Promise<void> {
  return veth.send(buildCapture({ frames: udpFrames(1000, length) }), ["-K", "-t", `-l${loops}`]);
}

function macOf(n: number): string {
  return `02:00:00:00:${[n >> 8, n & 255].map((byte) => byte.toString(16).padStart(2, "0")).join(":")}`;
}

async function countFrames(source: LiveSource): Promise<number> {
  let count = 0;
  for await (const chunk of source.chunks()) count += chunk.frameCount;
  return count;
}

test(
  "while nobody reads, the ring holds what fits and each frame it cannot is counted",
  LIMIT,
  async () => {
    const source = await open({ bufferBytes: 1024 * 1024 });
    const chunks = source.chunks()[Symbol.asyncIterator]();
    const first = chunks.next();
    await flood(100);
    assert.equal(source.counters().received, 100_000);
    const { droppedByKernel } = source.counters();
    assert.ok(droppedByKernel! > 10_000, `${droppedByKernel} dropped`);

    let captured = 0;
    for (let next = await first; next.done !== true; next = await chunks.next()) {
      captured += next.value.frameCount;
      if (captured === 100_000 - droppedByKernel!) void source.stop();
    }
    assert.deepEqual(source.counters(), {
      received: 100_000,
      droppedByKernel,
      droppedByInterface: 0,
      filtered: 0,
    });
    assert.equal(captured, 100_000 - droppedByKernel!);
  },
);

test(
  "frames before the first chunk is asked for are not captured and not counted",
  LIMIT,
  async () => {
    const source = await open();
    await flood(3);
    const reading = await startReading(source);
    await flood(2);
    assert.equal((await reading.stopAfter(2000)).length, 2000);
    assert.equal(source.counters().received, 2000);
  },
);

test(
  "a filter that the kernel cannot take runs here and counts what it leaves out",
  LIMIT,
  async () => {
    // Over the 4,096 instructions of a kernel filter: each station costs two.
    const stations = Array.from({ length: 2500 }, (_, n) => `ether src ${macOf(3 * n)}`);
    const source = await open({ filter: `udp and (${stations.join(" or ")})` });
    const sent = udpFrames(1000);
    for (const [n, { bytes }] of sent.entries())
      bytes.write(macOf(n).replaceAll(":", ""), 6, "hex");
    const reading = await startReading(source);
    await veth.send(buildCapture({ frames: sent }), ["-K", "-t", "-l5"]);
    const frames = await reading.stopAfter(5 * 334);
    assert.equal(frames.length, 5 * 334);
    assert.ok(frames.every(({ bytes }) => bytes.readUInt32BE(42) % 3 === 0));
    const { received, filtered, droppedByKernel } = source.counters();
    assert.deepEqual([received, filtered, droppedByKernel], [5000, 5000 - 5 * 334, 0]);
  },
);

test("a filter on what the kernel does not see runs here", LIMIT, async () => {
  // The type of the device stands in the cooked header alone.
  const source = await open({
    interfaceName: "any",
    filter: `link[2:2] = 1 and dst host ${OWN_ADDRESS}`,
  });
  const reading = await startReading(source);
  await veth.send(buildCapture({ frames: udpFrames(500).map(toOwnAddress) }));
  assert.equal((await reading.stopAfter(500)).length, 500);
  const { received, droppedByKernel, filtered } = source.counters();
  assert.ok(received! - droppedByKernel! >= 500 + filtered);
});

test("a filter on the direction of frames has the first ones, too", LIMIT, async () => {
  // pcap_setfilter() would run it again over the first block, where it matches nothing.
  const source = await open({ filter: "inbound" });
  const reading = await startReading(source);
  await flood(1);
  assert.equal((await reading.stopAfter(1000)).length, 1000);
});

test("what is excluded before the start, the kernel leaves out", LIMIT, async () => {
  const source = await open({ filter: `udp src portrange ${FIRST_PORT}-${FIRST_PORT + 99}` });
  assert.equal(await source.exclude(`src port ${FIRST_PORT}`), true);
  assert.equal(
    await source.exclude(`src port ${FIRST_PORT + 1} or src port ${FIRST_PORT + 2}`),
    true,
  );
  const reading = await startReading(source);
  await flood(1);
  const frames = await reading.stopAfter(98);
  assert.deepEqual(
    frames.map(({ bytes }) => bytes.readUInt32BE(42)),
    [0, ...Array.from({ length: 97 }, (_, n) => n + 3)],
  );
  assert.equal(source.counters().received, 98);
});

test("a change of what is excluded loses no frame of the others", LIMIT, async () => {
  const source = await open({ filter: "udp" });
  const reading = await startReading(source);
  const sending = flood(150);
  // Each time another tenth; frames of the others have to be there without a gap.
  for (let round = 0; round < 40; round++) {
    await sleep(10);
    const first = FIRST_PORT + 500 + (round % 5) * 100;
    assert.equal(await source.exclude(`udp src portrange ${first}-${first + 99}`), true);
  }
  assert.equal(await source.exclude(""), true);
  await sending;
  await flood(1);
  const isLast = (): boolean => reading.frames.length > 1000;
  await waitUntil(isLast);
  await sleep(200);
  await source.stop();
  await reading.ended;

  const counts = new Uint32Array(1000);
  for (const { bytes } of reading.frames) counts[bytes.readUInt32BE(42)]!++;
  assert.deepEqual(
    counts.subarray(0, 500).filter((count) => count !== 151),
    new Uint32Array(0),
    "each frame that was never excluded came each time",
  );
  assert.ok(counts.subarray(500).some((count) => count < 151));
  const { received, droppedByKernel, filtered } = source.counters();
  assert.equal(droppedByKernel, 0);
  assert.equal(received, reading.frames.length + filtered);
});

test(
  "an exclusion that no frame of the link type can match is said, a wrong one refused",
  LIMIT,
  async () => {
    const source = await open();
    await assert.rejects(source.exclude("tcp port port"), {
      code: "FILTER_INVALID",
      message: /^Cannot compile filter "tcp port port" .*syntax error/,
    });
    const reading = await startReading(source);
    assert.equal(await source.exclude("tcp port 80"), true);
    await assert.rejects(source.exclude("tcp port port"), {
      code: "FILTER_INVALID",
      message: /^Cannot compile filter "tcp port port": .*syntax error/,
    });
    await source.stop();
    await reading.ended;
  },
);

test("a filter that does not compile is refused when the interface is opened", LIMIT, async () => {
  await assert.rejects(open({ filter: "tcp port port" }), {
    code: "FILTER_INVALID",
    message: /^Cannot compile filter "tcp port port": .*syntax error/,
  });
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
        const reading = await startReading(source);
        // The last frames are still with the kernel then.
        await pair.send(buildCapture({ frames: udpFrames(3000) }));
        await takeAway(pair);
        await assert.rejects(reading.ended, {
          code: "INTERFACE_GONE",
          message: `Cannot capture on interface "${pair.name}" any longer: it went down or was removed`,
        });
        assert.equal(reading.frames.length, 3000);
        assert.equal(source.counters().received, 3000);
        await source.stop();
      } finally {
        await pair.remove();
      }
    },
  );

  test(`an interface that ${how} before the first chunk is INTERFACE_GONE`, LIMIT, async () => {
    const pair = await createVethPair();
    try {
      const source = await open({ interfaceName: pair.name });
      await takeAway(pair);
      await assert.rejects(countFrames(source), { code: "INTERFACE_GONE" });
    } finally {
      await pair.remove();
    }
  });
}

test("any goes on when one of the interfaces is deleted", LIMIT, async () => {
  const pair = await createVethPair();
  const source = await open({ interfaceName: "any", filter: `dst host ${OWN_ADDRESS}` });
  const reading = await startReading(source);
  const capture = buildCapture({ frames: udpFrames(10).map(toOwnAddress) });
  await pair.send(capture);
  await pair.remove();
  await veth.send(capture);
  assert.equal((await reading.stopAfter(20)).length, 20);
});

test("what cannot be opened is refused with what helps", LIMIT, async () => {
  await assert.rejects(open({ interfaceName: "eth99" }), (error: Error & { code?: string }) => {
    assert.equal(error.code, "INTERFACE_NOT_FOUND");
    assert.match(
      error.message,
      /^Cannot open interface "eth99": no such device; there are .*\blo\b.*\(pcapts -D lists them\)$/,
    );
    return true;
  });
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
  await assert.rejects(open({ linkType: 105 }), {
    code: "USAGE",
    message: new RegExp(
      `^Cannot open interface "${veth.name}" with link type "IEEE802_11": .*; it has EN10MB, DOCSIS ` +
        `\\(pcapts -L -i ${veth.name} lists them\\)$`,
    ),
  });
  await assert.rejects(open({ timeStampType: "sundial" }), {
    code: "USAGE",
    message: /with time stamp type "sundial": .*; it has host \(pcapts -J -i .* lists them\)$/,
  });
  await assert.rejects(open({ timeStampType: "adapter" }), { code: "USAGE" });
});

test("without CAP_NET_RAW the message names it and how to grant it", LIMIT, async () => {
  const engineUrl = new URL("../../src/capture/libpcap-engine.js", import.meta.url).href;
  const script = `
    import { openLibpcapSource } from ${JSON.stringify(engineUrl)};
    await openLibpcapSource(${JSON.stringify(liveOptions(veth.name))}, console).catch((error) => {
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

test(
  "CAP_NET_RAW alone is enough, and the description says what the engine gives",
  LIMIT,
  async () => {
    const engineUrl = new URL("../../src/capture/libpcap-engine.js", import.meta.url).href;
    const script = `
    import { openLibpcapSource } from ${JSON.stringify(engineUrl)};
    const source = await openLibpcapSource(${JSON.stringify(liveOptions(veth.name))}, console);
    console.log(source.description);
    await source.stop();`;
    const { stdout } = await run("setpriv", [
      "--reuid=65534",
      "--regid=65534",
      "--clear-groups",
      "--inh-caps=+net_raw",
      "--ambient-caps=+net_raw",
      "--bounding-set=-all,+net_raw",
      process.execPath,
      "--input-type=module",
      "-e",
      script,
    ]);
    assert.match(
      stdout,
      /^libpcap \d+\.\d+\.\d+: capture times and drops by the kernel, wire lengths\n$/,
    );
  },
);
