import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { projectRoot } from "../brokers.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { liveOptions } from "../system/live-capture.ts";
import { createVethPair, type VethPair } from "../system/veth-pair.ts";

/* The C code of the capture engine, run by a program in C under the compiler's sanitizers. */

const run = promisify(execFile);
const LIMIT = { timeout: 180_000 };
const SOURCES = ["capture.c", "filter.c", "interfaces.c", "pcap-library.c"];
const FLOOD = buildCapture({
  frames: Array.from({ length: 1000 }, (_, n) => ({ bytes: buildUdpFrame(n, 200) })),
});

let directory: string;
let veth: VethPair;
before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "pcapts-native-"));
  veth = await createVethPair();
});
after(async () => {
  await veth.remove();
  await rm(directory, { recursive: true });
});

for (const sanitizers of ["address,undefined", "thread"]) {
  test(`the capture code has no fault that -fsanitize=${sanitizers} finds`, LIMIT, async () => {
    const program = path.join(directory, sanitizers);
    const native = path.join(projectRoot, "native");
    const { stderr: warnings } = await run("gcc", [
      "-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Wshadow", "-Wconversion",
      `-fsanitize=${sanitizers}`, "-fno-sanitize-recover=all", `-I${native}`,
      ...SOURCES.map((name) => path.join(native, name)),
      path.join(projectRoot, "test/native/harness.c"),
      "-ldl", "-lpthread", "-o", program,
    ]);
    assert.equal(warnings, "");

    const { stdout, stderr } = await whileFlooded(run(program, [veth.name, "6"]));
    assert.equal(stderr, "");
    assert.equal(stdout, "done\n");
  });
}

/** Captures while the interface is flooded: closed, forgotten, broken off, in a worker. */
const ADDON_SCRIPT = `
  import { createRequire } from "node:module";
  import { Worker, isMainThread, parentPort } from "node:worker_threads";
  const [addonFile, built, options, file] = process.argv.slice(2, 6);
  const { openLibpcapSource } = await import(built + "/capture/libpcap-engine.js");
  const { compilePacketFilter } = await import(built + "/capture/packet-filter.js");
  const addon = createRequire(import.meta.url)(addonFile);
  const open = () => openLibpcapSource(JSON.parse(options), console, addon);
  for (let round = 0; round < 6; round++) {
    const source = await open();
    if (round % 3 === 0) await source.exclude("udp src port 1024");
    const filter = compilePacketFilter(1, "udp src portrange 1024-1500", addon);
    let chunks = 0;
    for await (const { bytes, frameCount, bigEndian } of source.chunks()) {
      const verdicts = new Uint8Array(frameCount);
      const matching = filter.match(bytes, frameCount, bigEndian, verdicts);
      if (matching !== verdicts.reduce((sum, one) => sum + one, 0)) throw new Error("verdicts");
      source.counters();
      if (chunks++ === 3) await source.exclude("udp src port 1025");
      if (chunks === 8) {
        if (round % 2 === 0) break;
        await source.stop();
      }
    }
    await open();
    globalThis.gc();
  }
  if (isMainThread) {
    for (let round = 0; round < 2; round++) {
      const worker = new Worker(file, { argv: process.argv.slice(2) });
      await new Promise((resolve, reject) => worker.on("message", resolve).on("error", reject));
      await worker.terminate();
    }
    console.log("done");
    const source = await open();
    for await (const chunk of source.chunks()) process.exit(chunk.frameCount > 0 ? 0 : 1);
  }
  parentPort.postMessage("ready");
  const source = await open();
  for await (const chunk of source.chunks()) parentPort.postMessage(chunk.frameCount);
`;

test("the addon has no fault that -fsanitize=address finds within Node", LIMIT, async () => {
  const native = path.join(projectRoot, "native");
  const addon = path.join(directory, "addon.node");
  const headers = path.resolve(process.execPath, "../../include/node");
  const { stderr: warnings } = await run("gcc", [
    "-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-fsanitize=address", "-shared", "-fPIC",
    ...["addon.c", ...SOURCES].map((name) => path.join(native, name)),
    `-I${headers}`, "-o", addon,
  ]);
  assert.equal(warnings, "");

  const script = path.join(directory, "addon.mjs");
  await writeFile(script, ADDON_SCRIPT);
  const built = path.join(projectRoot, "dist/src");
  const options = JSON.stringify(liveOptions(veth.name));
  const { stdout: preload } = await run("gcc", ["-print-file-name=libasan.so"]);
  const env = {
    ...process.env,
    LD_PRELOAD: preload.trim(),
    // Node itself leaves memory to the end of the process.
    ASAN_OPTIONS: "detect_leaks=0",
  };
  const args = ["--expose-gc", script, addon, built, options, script];
  const { stdout, stderr } = await whileFlooded(run(process.execPath, args, { env }));
  assert.equal(stderr, "");
  assert.equal(stdout, "done\n");
});

/** Floods the interface until a program has ended. */
async function whileFlooded<T>(program: Promise<T>): Promise<T> {
  const ended = new AbortController();
  const over = program.finally(() => ended.abort());
  over.catch(() => {});
  while (!ended.signal.aborted) await veth.send(FLOOD, ["--pps=50000", "--loop=10"]);
  return over;
}
