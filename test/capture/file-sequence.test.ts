import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { after, test } from "node:test";
import { gzipSync } from "node:zlib";
import { openFileSources } from "../../src/capture/file-sequence.ts";
import type { FrameSource } from "../../src/capture/frame-source.ts";
import { PcaptsError } from "../../src/errors.ts";
import type { Logger } from "../../src/logger.ts";
import { buildCapture, framesOf } from "../fixtures/generate.ts";
import { PcapngBuilder } from "../fixtures/pcapng.ts";

const scratch = await mkdtemp(path.join(tmpdir(), "file-sequence-"));
after(() => rm(scratch, { recursive: true }));

const said: string[] = [];
const note = (text: string): void => void said.push(text);
const logger: Logger = {
  debug: note,
  info: note,
  warn: note,
  error: note,
  isDebugEnabled: () => false,
};

/** A capture whose frames are of these seconds. */
function captureOf(...seconds: number[]): Buffer {
  return buildCapture({
    frames: seconds.map((each) => ({ bytes: Buffer.alloc(9), seconds: each })),
  });
}

async function write(name: string, file: Buffer): Promise<string> {
  const target = path.join(scratch, name);
  await mkdir(path.dirname(target), { recursive: true });
  await writeFile(target, file);
  return target;
}

async function secondsOf(source: FrameSource, into: number[] = []): Promise<number[]> {
  for await (const chunk of source.chunks()) {
    into.push(...framesOf(chunk).map(({ seconds }) => seconds));
  }
  return into;
}

test("files are read one after the other in the order given, standard input among them", async () => {
  const one = await write("one.pcap", captureOf(30, 31));
  const two = await write("two.pcap.gz", gzipSync(captureOf(10)));
  const stdin = Readable.from([captureOf(20)]);
  const source = await openFileSources([one, "-", two], { stdin, logger });
  assert.equal(source.name, `${one} and 2 more`);
  assert.deepEqual(await secondsOf(source), [30, 31, 20, 10]);
});

test("the captures of a directory are read by their first frames, whatever their names and formats", async () => {
  const pcapng = new PcapngBuilder().section().interface({ resolution: 9 });
  pcapng.enhancedPacket(0, 200_000_000_001n, Buffer.alloc(5));
  await write("ring/a.pcap", captureOf(300, 301));
  await write("ring/b.pcapng", pcapng.file);
  await write("ring/c.pcap", captureOf(200));
  await write("ring/d.pcap.gz", gzipSync(captureOf(100)));
  await write("ring/empty.pcap", captureOf());
  await write("ring/below/e.pcap", captureOf(1));
  await write("ring/notes.txt", Buffer.from("what is in these files, in words"));
  said.length = 0;
  const source = await openFileSources([path.join(scratch, "ring")], { logger });
  assert.deepEqual(await secondsOf(source), [100, 200, 200, 300, 301]);
  assert.match(said[0] ?? "", /notes\.txt": not a capture file .*; it is passed over/);
});

test("a directory without captures is refused", async () => {
  await write("nothing/notes.txt", Buffer.from("nothing here but these words"));
  await assert.rejects(openFileSources([path.join(scratch, "nothing")], { logger }), {
    code: "FILE_NOT_READABLE",
    message: /there is no capture in this directory/,
  });
});

test("a cut file keeps nobody from reading the others, and is the error of the end", async () => {
  const cut = await write("cut.pcap", captureOf(1, 2, 3).subarray(0, -4));
  const text = await write("text.pcap", Buffer.from("no capture at all, only these words"));
  const whole = await write("whole.pcap", captureOf(7));
  const source = await openFileSources([cut, text, whole], { logger });
  const seconds: number[] = [];
  said.length = 0;
  await assert.rejects(secondsOf(source, seconds), (error) => {
    return error instanceof PcaptsError && error.code === "FILE_CUT";
  });
  assert.deepEqual(seconds, [1, 2, 7]);
  assert.match(said[0] ?? "", /text\.pcap": not a capture/);
});

test("a file of a directory that cannot be opened keeps nobody from reading the others", async () => {
  // Its header never comes out of the compression. It used to refuse the whole directory.
  await write("mixed/a.pcap.gz", gzipSync(captureOf(1)).subarray(0, 14));
  await write("mixed/b.pcap", captureOf(8));
  await write("mixed/c.pcap", captureOf(7));
  const source = await openFileSources([path.join(scratch, "mixed")], { logger });
  const seconds: number[] = [];
  await assert.rejects(secondsOf(source, seconds), {
    code: "FILE_CUT",
    message: /a\.pcap\.gz" to its end: it is compressed by gzip/,
  });
  assert.deepEqual(seconds, [7, 8]);
});

test("a first file that is wrong is refused while opening", async () => {
  const whole = await write("good.pcap", captureOf(7));
  const missing = path.join(scratch, "missing.pcap");
  await assert.rejects(openFileSources([missing, whole], { logger }), {
    code: "FILE_NOT_READABLE",
    message: `Cannot read "${missing}": no such file`,
  });
});

test("stop() ends the sequence", async () => {
  const files = await Promise.all([1, 2, 3].map((n) => write(`s${n}.pcap`, captureOf(n))));
  const source = await openFileSources(files, { logger });
  const seconds: number[] = [];
  for await (const chunk of source.chunks()) {
    seconds.push(...framesOf(chunk).map((frame) => frame.seconds));
    await source.stop();
  }
  assert.deepEqual(seconds, [1]);
});

test("what can be read once only is not read several times", async () => {
  const fifo = path.join(scratch, "fifo");
  execFileSync("mkfifo", [fifo]);
  for (const once of [fifo, "-", "/dev/null"]) {
    await assert.rejects(openFileSources([once], { logger, loops: 2 }), {
      code: "USAGE",
      message: `--loop needs files, which can be read again: "${once}" is none (-r, --read)`,
    });
  }
});
