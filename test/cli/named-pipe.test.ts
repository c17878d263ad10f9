import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { startEmbeddedBroker, type EmbeddedBroker } from "../embedded-broker.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { startPcapts } from "./pcapts-process.ts";

let broker: EmbeddedBroker;
let scratch: string;
before(async () => {
  scratch = mkdtempSync(path.join(tmpdir(), "pcapts-pipe-"));
  broker = await startEmbeddedBroker();
  const frames = Array.from({ length: 20_000 }, (_, n) => ({ bytes: buildUdpFrame(n % 50, 200) }));
  const producer = startPcapts(["-p", "-r", "-", "-k", broker.bootstrap]);
  producer.child.stdin.end(buildCapture({ frames }));
  assert.equal((await producer.ended).status, 0);
});
after(async () => {
  rmSync(scratch, { recursive: true, force: true });
  await broker.remove();
});

function makePipe(name: string): string {
  const pipe = path.join(scratch, name);
  execFileSync("mkfifo", [pipe]);
  return pipe;
}

function consumer(pipe: string): string[] {
  return ["-c", "-k", broker.bootstrap, "-o", "begin", "-w", pipe];
}

test("a named pipe takes the whole topic, and its reader may come later", async () => {
  const pipe = makePipe("whole");
  const { child, ended } = startPcapts([...consumer(pipe), "-e", "-ll", "DEBUG", "-s", "100"]);
  // Said before the pipe is opened.
  while (!(await nextText(child.stderr)).includes("--snaplen: accepted"));
  const reader = spawn("tcpdump", ["-n", "-r", pipe, "-w", "/dev/null", "--count"]);
  const [{ status, stderr }, [readerStatus]] = await Promise.all([ended, once(reader, "close")]);
  assert.equal(status, 0, stderr);
  assert.equal(readerStatus, 0);
  assert.match(stderr, /written 20000 frame\(s\)/);
});

test("a consumer that waits for the reader of its pipe ends with a signal", async () => {
  const args = [...consumer(makePipe("unread")), "-ll", "DEBUG", "-s", "100"];
  const { child, ended } = startPcapts(args);
  while (!(await nextText(child.stderr)).includes("--snaplen: accepted"));
  // A blocking open used to keep the process, deaf to everything but SIGKILL.
  child.kill("SIGTERM");
  const { status, signal, stderr } = await ended;
  assert.deepEqual([status, signal], [0, null], stderr);
});

test("a reader of a pipe that has enough ends the consumer with 0 and without a word", async () => {
  const pipe = makePipe("enough");
  const { ended } = startPcapts(consumer(pipe));
  await once(spawn("head", ["-c", "1000", pipe], { stdio: "ignore" }), "close");
  const { status, stderr } = await ended;
  assert.equal(status, 0, stderr);
  assert.equal(stderr, "");
});

async function nextText(stream: NodeJS.ReadableStream): Promise<string> {
  const [bytes] = (await once(stream, "data")) as [Buffer];
  return bytes.toString();
}
