import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { type EmbeddedBroker, startEmbeddedBroker } from "../embedded-broker.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { PCAPTS, runPcapts } from "./pcapts-process.ts";

const scratch = mkdtempSync(path.join(tmpdir(), "pcapts-terminal-"));
let embedded: EmbeddedBroker;
before(async () => {
  embedded = await startEmbeddedBroker();
});
after(async () => {
  await embedded.remove();
  rmSync(scratch, { recursive: true });
});

/** Where a progress line begins. */
const REWRITE = "\r\u001B[K";

/** Runs pcapts with a terminal as standard input, output and error. */
async function runInTerminal(
  line: string,
  onScreen: (screen: string) => void = () => {},
): Promise<{ status: number; screen: string }> {
  const command = `"${process.execPath}" "${PCAPTS}" ${line}`;
  const child = spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, TERM: "xterm", NO_COLOR: "1" },
  });
  let screen = "";
  child.stdout.on("data", (bytes: Buffer) => {
    screen += bytes.toString();
    onScreen(screen);
  });
  const [status] = (await once(child, "close")) as [number];
  return { status, screen };
}

/** A capture whose frames are a ms apart. */
function write(name: string, frameCount: number, frameBytes: number): string {
  const file = path.join(scratch, name);
  const frames = Array.from({ length: frameCount }, (_, n) => ({
    bytes: buildUdpFrame(n, frameBytes),
    seconds: 1_700_000_000 + Math.floor(n / 1000),
    nanoseconds: (n % 1000) * 1_000_000,
  }));
  writeFileSync(file, buildCapture({ frames }));
  return file;
}

/** What is left on a screen at the end. */
function linesLeftOn(screen: string): string[] {
  return screen.split("\r\n").map((line) => line.split(REWRITE).at(-1) ?? "");
}

test("pcap to a terminal is refused with what to do instead", async () => {
  const { status, screen } = await runInTerminal("-c -k 127.0.0.1:1");
  assert.equal(status, 2);
  assert.match(
    screen,
    /Standard output is a terminal, .* say -w FILE, a pipe .* or -pp 1 for text/,
  );
});

test("a replay shows its progress on a terminal, and its messages stay whole", async () => {
  const file = write("replay.pcap", 3000, 100);
  const line = `-p -k ${embedded.bootstrap} -t replay -r ${file} --pps 1000 --stats-interval 0.4`;
  const { status, screen } = await runInTerminal(line);
  assert.equal(status, 0, screen);
  const drawn = screen.split(REWRITE).slice(1);
  assert.ok(
    drawn.some((text) =>
      /^\d+ %, \d+ frames, [\d.]+ k?B, \d+ frames\/s, [\d.]+ k?B\/s(, \d:\d\d left)?$/.test(text),
    ),
    screen,
  );
  const lines = linesLeftOn(screen);
  assert.equal(lines.pop(), "", "the line is taken away at the end");
  assert.ok(lines.length > 8);
  for (const each of lines) assert.match(each, /^\d{4}-\d\d-\d\d [\d:.]+ (INFO|WARN): [^%]*$/);
  // More messages than one were written over a line that was there.
  assert.ok(drawn.filter((text) => /^\d{4}-/.test(text)).length > 1, screen);
});

test("a consumer that will end shows its progress on a terminal", async () => {
  const file = write("consume.pcap", 5000, 1000);
  const published = await runPcapts("-p", "-k", embedded.bootstrap, "-t", "out", "-r", file);
  assert.equal(published.status, 0, published.stderr);
  const pipe = path.join(scratch, "pipe");
  execFileSync("mkfifo", [pipe]);
  // Reads nothing until it is told to.
  const reader = spawn("sh", ["-c", `exec 3< "${pipe}"; read go; exec cat <&3 > /dev/null`], {
    stdio: ["pipe", "ignore", "inherit"],
  });
  const line = `-c -k ${embedded.bootstrap} -t out -o begin -e -w ${pipe}`;
  const { status, screen } = await runInTerminal(line, (text) => {
    if (text.includes("left") || text.includes("frames/s")) reader.stdin.end("go\n");
  });
  assert.equal(status, 0, screen);
  assert.match(screen, /\[K\d+ %, \d+ frames, [\d.]+ [kM]?B, \d+ frames\/s, [\d.]+ [kM]?B\/s/);
  assert.match(linesLeftOn(screen).at(-2) ?? "", /INFO: read 5000 record\(s\): written 5000 frame/);
});

test("no progress is shown to whoever does not want it, nor where it would be in the way", async () => {
  const file = write("quiet.pcap", 1600, 60);
  const line = `-p -k ${embedded.bootstrap} -r ${file} --pps 1000`;
  const quiet = ["-q", "-ll WARN", "--log-format json", "-pp 500"];
  const screens = await Promise.all(
    quiet.map((flags, n) => runInTerminal(`${line} -t quiet${n} ${flags}`)),
  );
  for (const { status, screen } of screens) {
    assert.equal(status, 0, screen);
    assert.ok(!screen.includes("frames/s,"), screen);
    assert.ok(!screen.includes(REWRITE), screen);
  }
});

test("no progress is written where standard error is no terminal", async () => {
  const file = write("file.pcap", 1600, 60);
  const line = `-p -k ${embedded.bootstrap} -t file -r ${file} --pps 1000`;
  const { status, stderr } = await runPcapts(...line.split(" "));
  assert.equal(status, 0, stderr);
  assert.ok(!stderr.includes("\r"), stderr);
});
