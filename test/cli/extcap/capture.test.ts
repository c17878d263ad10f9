import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  constants,
  createReadStream,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  CONTROL,
  type ControlMessage,
  ControlReader,
  encodeControl,
} from "../../../src/cli/extcap/control-message.ts";
import { LOG_CONTROL, TOOLBAR_ROWS } from "../../../src/cli/extcap/sentences.ts";
import { type EmbeddedBroker, startEmbeddedBroker } from "../../embedded-broker.ts";
import { buildCapture, buildUdpFrame } from "../../fixtures/generate.ts";
import { type PcaptsProcess, startPcapts } from "../pcapts-process.ts";

/*
 * What Wireshark does without tshark doing it, too: the tool bar, and how a capture ends. Named pipes
 * stand for Wireshark here, opened as it does.
 */

const FRAMES = 300;

let broker: EmbeddedBroker;
let scratch: string;
before(async () => {
  scratch = mkdtempSync(path.join(tmpdir(), "pcapts-extcap-"));
  broker = await startEmbeddedBroker();
  await publish("frames", FRAMES);
});
after(async () => {
  rmSync(scratch, { recursive: true, force: true });
  await broker.remove();
});

async function publish(topic: string, frames: number): Promise<void> {
  const producer = startPcapts(["-p", "-r", "-", "-k", broker.bootstrap, "-t", topic]);
  const all = Array.from({ length: frames }, (_, n) => ({ bytes: buildUdpFrame(n, 100) }));
  producer.child.stdin.end(buildCapture({ frames: all }));
  const { status, stderr } = await producer.ended;
  assert.equal(status, 0, stderr);
}

function makePipe(): string {
  const pipe = path.join(mkdtempSync(path.join(scratch, "pipe-")), "pipe");
  execFileSync("mkfifo", [pipe]);
  return pipe;
}

function startCapture(fifo: string, ...args: string[]): PcaptsProcess {
  const launcher = ["extcap", "--kafka-broker", broker.bootstrap];
  const wireshark = ["--capture", "--extcap-interface", "pcapts:frames", "--fifo", fifo];
  return startPcapts([...launcher, ...wireshark, ...args]);
}

/** What comes out of the pipe, all of it so far. */
class PipeReader {
  readonly ended: Promise<unknown>;
  readonly #parts: Buffer[] = [];

  constructor(pipe: string) {
    const stream = createReadStream(pipe);
    stream.on("data", (bytes) => this.#parts.push(bytes as Buffer));
    this.ended = once(stream, "close");
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

/** Frame numbers and UDP ports, by tshark. */
function dissect(capture: Buffer): string[] {
  const file = path.join(scratch, "dissected");
  writeFileSync(file, capture);
  const fields = ["-T", "fields", "-e", "frame.number", "-e", "udp.srcport"];
  const text = execFileSync("tshark", ["-n", "-r", file, ...fields], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return text.split("\n").filter((line) => line !== "");
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}

test("SIGTERM ends a capture with 0, nothing on standard error, and a whole file in the pipe", async () => {
  const fifo = makePipe();
  const { child, ended } = startCapture(fifo, "--kafka-offset", "begin");
  const reader = new PipeReader(fifo);
  await until(() => reader.bytes.length > FRAMES * 100);
  child.kill("SIGTERM");
  const { status, stdout, stderr } = await ended;
  await reader.ended;
  assert.deepEqual([status, stdout, stderr], [0, "", ""]);
  assert.equal(dissect(reader.bytes).length, FRAMES);
});

test("a pipe that Wireshark closes ends a capture with 0, while frames come", async () => {
  const fifo = makePipe();
  const { ended } = startCapture(fifo, "--kafka-offset", "begin");
  const reading = await open(fifo);
  await reading.read(Buffer.alloc(100));
  await reading.close();
  const more = publish("frames", FRAMES);
  const { status, stderr } = await ended;
  await more;
  assert.deepEqual([status, stderr], [0, ""]);
});

test("a signal before Wireshark has opened its pipe ends the capture", async () => {
  const { child, ended } = startCapture(makePipe());
  // Signals are taken by now; whether the pipe is looked at already makes no difference.
  await until(() => {
    const status = readFileSync(`/proc/${child.pid}/status`, "ascii");
    // SIGHUP: Node itself takes the others while it starts.
    return (BigInt(`0x${/^SigCgt:\s*(\w+)/m.exec(status)![1]}`) & 1n) !== 0n;
  });
  child.kill("SIGTERM");
  const { status, signal } = await ended;
  assert.deepEqual([status, signal], [0, null]);
});

test("what is wrong is said on standard error alone, in a line, and the pipe is closed unwritten", async () => {
  for (const [args, expected] of [
    [["--topic-name", "nowhere"], 'Cannot read topic "nowhere": it does not exist (-t)\n'],
    [["--filter", "bad filter"], /^Cannot compile filter "bad filter" .*\n$/],
    [["--kafka-offset", "soon"], /^-o, --kafka-offset expects begin.*\n$/],
    [["--kafka-broker", "127.0.0.1:1", "--connect-timeout", "0.5"], /^Cannot reach Kafka.*\n$/],
  ] as const) {
    const fifo = makePipe();
    const { ended } = startCapture(fifo, ...args);
    const reader = new PipeReader(fifo);
    const { status, stdout, stderr } = await ended;
    await reader.ended;
    assert.notEqual(status, 0);
    assert.equal(stdout, "");
    if (typeof expected === "string") assert.equal(stderr, expected);
    else assert.match(stderr, expected);
    assert.equal(reader.bytes.length, 0);
  }
});

test("--log-file has the messages that Wireshark would show as errors", async () => {
  const fifo = makePipe();
  const log = path.join(scratch, "log");
  const { child, ended } = startCapture(fifo, "--kafka-offset", "begin", "--log-file", log);
  const reader = new PipeReader(fifo);
  await until(() => reader.bytes.length > FRAMES * 100);
  child.kill("SIGTERM");
  const { stderr } = await ended;
  assert.equal(stderr, "");
  assert.match(readFileSync(log, "utf8"), /INFO: read \d+ record\(s\): written \d+ frame\(s\)/);
});

/** Wireshark's end of the tool bar. */
class WiresharkToolbar {
  readonly messages: ControlMessage[] = [];
  readonly #input: FileHandle;

  private constructor(input: FileHandle, output: string) {
    this.#input = input;
    const reader = new ControlReader();
    createReadStream(output).on("data", (bytes) => {
      this.messages.push(...reader.read(bytes as Buffer));
    });
  }

  static async open(input: string, output: string): Promise<WiresharkToolbar> {
    return new WiresharkToolbar(await open(input, constants.O_RDWR), output);
  }

  async set(flag: string, text: string): Promise<void> {
    const control = TOOLBAR_ROWS.findIndex(({ long }) => long === flag);
    await this.#input.write(encodeControl(control, CONTROL.SET, text));
  }

  async isReady(): Promise<void> {
    await this.#input.write(encodeControl(0, CONTROL.INITIALIZED, ""));
  }

  textsOf(command: number, control = 0): string[] {
    return this.messages
      .filter((message) => message.command === command && message.control === control)
      .map(({ payload }) => payload);
  }
}

test(
  "the tool bar sets what a capture begins with, and changes it while it runs",
  { timeout: 120_000 },
  async () => {
    const [fifo, input, output] = [makePipe(), makePipe(), makePipe()];
    await publish("other", 20);
    const pipes = ["--extcap-control-in", input, "--extcap-control-out", output];
    const { child, ended } = startCapture(fifo, ...pipes);
    const reader = new PipeReader(fifo);
    const toolbar = await WiresharkToolbar.open(input, output);
    await toolbar.set("kafka-offset", "begin");
    await toolbar.set("topic-name", "other");
    await toolbar.isReady();
    await until(() => countFrames(reader.bytes) === 20);

    // What is wrong is said there, and the capture goes on as it was.
    await toolbar.set("filter", "bad filter");
    await until(() => toolbar.textsOf(CONTROL.WARNING).length === 1);
    assert.match(toolbar.textsOf(CONTROL.WARNING)[0]!, /^Cannot compile filter "bad filter"/);
    await publish("other", 5);
    await until(() => countFrames(reader.bytes) === 25);

    // Another reading begins, in a section of its own.
    const [, port] = dissect(reader.bytes)[3]!.split("\t");
    await toolbar.set("filter", `udp src port ${port}`);
    await until(() => countFrames(reader.bytes) > 25);
    child.kill("SIGTERM");
    const { status, stderr } = await ended;
    await reader.ended;
    assert.deepEqual([status, stderr], [0, ""]);
    const again = dissect(reader.bytes).slice(25);
    assert.ok(again.length > 0 && again.every((line) => line.endsWith(`\t${port}`)), again.join());
    const log = toolbar.textsOf(CONTROL.ADD, LOG_CONTROL);
    assert.match(log.join(""), /^INFO: read 25 record\(s\): written 25 frame\(s\)/m);
  },
);

/** Enhanced packet blocks of a pcapng file, as far as it is there. */
function countFrames(file: Buffer): number {
  let frames = 0;
  for (let at = 0; at + 12 <= file.length;) {
    const end = at + file.readUInt32LE(at + 4);
    if (end > file.length) break;
    if (file.readUInt32LE(at) === 6) frames++;
    at = end;
  }
  return frames;
}
