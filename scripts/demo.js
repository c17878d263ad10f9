// npm run demo: a broker, a capture into it, the same capture out of it. See scripts/demo.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { generateCapture } from "../dist/bench/generate-capture.js";

const FRAMES = 100_000;
const PCAPTS = fileURLToPath(new URL("../bin/pcapts.js", import.meta.url));
const OUT = process.argv[2] ?? "out.pcap";

const directory = mkdtempSync(path.join(tmpdir(), "pcapts-demo-"));
const sample = path.join(directory, "sample.pcap");
const running = new Set();

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    for (const child of running) child.kill("SIGTERM");
    process.exitCode = 130;
  });
}

try {
  await demonstrate();
} catch (error) {
  console.error(`demo: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode ||= 1;
} finally {
  await Promise.all([...running].map((child) => stop(child)));
  rmSync(directory, { recursive: true, force: true });
}

async function demonstrate() {
  say(`making a capture of ${FRAMES} frames`);
  generateCapture(sample, { frames: FRAMES, flows: 200 });

  say("starting a broker: pcapts broker --listen 127.0.0.1:0");
  const broker = start(["broker", "--listen", "127.0.0.1:0", "--data-dir", `${directory}/broker`]);
  const [, address] = await says(broker, /listens at (\S+?),/);

  say(`publishing it: pcapts -p -r sample.pcap -k ${address}`);
  const published = await run(["-p", "-r", sample, "-k", address, "-ll", "WARN"]);
  say(`streaming it out again: pcapts -c -o begin -e -w ${OUT} -k ${address}`);
  const read = await run(["-c", "-o", "begin", "-e", "-w", OUT, "-k", address, "-ll", "WARN"]);

  const sent = summarise(sample);
  const arrived = summarise(OUT);
  console.log(`
             frames      bytes   conversations   seconds
  published  ${cell(sent.frames, 6)} ${cell(sent.bytes, 10)} ${cell(sent.conversations, 15)} ${cell(published, 9)}
  read       ${cell(arrived.frames, 6)} ${cell(arrived.bytes, 10)} ${cell(arrived.conversations, 15)} ${cell(read, 9)}
`);
  if (arrived.frames !== sent.frames || arrived.bytes !== sent.bytes) {
    throw new Error(`${OUT} is not what was published`);
  }
  console.log(`${OUT} has what arrived; the broker is gone again. Next:

  bin/pcapts.js broker                                 a broker that stays, at localhost:9092
  sudo bin/pcapts.js -p -i eth0                        capture an interface into topic "pcap"
  bin/pcapts.js -c | tshark -r -                       watch frames as they come in
  bin/pcapts.js -p -r in.pcap -k kafka1:9092 -t pcap   the same with a real cluster
`);
}

function say(text) {
  console.log(`demo: ${text}`);
}

function cell(value, width) {
  return String(value).padStart(width);
}

function start(args) {
  const child = spawn(process.execPath, [PCAPTS, ...args], { stdio: ["ignore", "ignore", "pipe"] });
  child.said = "";
  child.stderr.on("data", (bytes) => {
    child.said += bytes;
  });
  child.closed = once(child, "close").then(([status]) => {
    running.delete(child);
    return status;
  });
  running.add(child);
  return child;
}

/** Waits for a message; fails when the program ends without it. */
async function says(child, pattern) {
  let isOver = false;
  void child.closed.then(() => {
    isOver = true;
  });
  for (;;) {
    const found = pattern.exec(child.said);
    if (found !== null) return found;
    if (isOver) throw new Error(`the broker did not start:\n${child.said}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}

/** Runs pcapts to its end; returns how many seconds it took. */
async function run(args) {
  const began = performance.now();
  const child = start(args);
  const status = await child.closed;
  if (status !== 0)
    throw new Error(`pcapts ${args.join(" ")} ended with ${status}:\n${child.said}`);
  return ((performance.now() - began) / 1000).toFixed(1);
}

async function stop(child) {
  child.kill("SIGTERM");
  await child.closed;
}

/** Counts frames, their bytes and the pairs of addresses in a capture file of this machine's byte order. */
function summarise(file) {
  const bytes = readFileSync(file);
  const pairs = new Set();
  let frames = 0;
  let total = 0;
  for (let at = 24; at + 16 <= bytes.length; frames++) {
    const length = bytes.readUInt32LE(at + 8);
    const frame = at + 16;
    const ends = [bytes.readUInt32BE(frame + 26), bytes.readUInt32BE(frame + 30)];
    const ports = [bytes.readUInt16BE(frame + 34), bytes.readUInt16BE(frame + 36)];
    pairs.add(
      ends
        .map((end, side) => `${end}:${ports[side]}`)
        .toSorted()
        .join(" "),
    );
    total += length;
    at = frame + length;
  }
  return { frames, bytes: total, conversations: pairs.size };
}
