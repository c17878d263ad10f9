import assert from "node:assert/strict";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { openFileSources } from "../../src/capture/file-sequence.ts";
import type { FrameSource } from "../../src/capture/frame-source.ts";
import { type Logger, silentLogger } from "../../src/logger.ts";
import { buildCapture, framesOf } from "../fixtures/generate.ts";
import { PcapngBuilder } from "../fixtures/pcapng.ts";

const scratch = await mkdtemp(path.join(tmpdir(), "looped-source-"));
after(() => rm(scratch, { recursive: true }));

const said: string[] = [];
const logger: Logger = { ...silentLogger, warn: (line) => void said.push(line) };

/** What small files are and what is read anew each time. */
const LENGTHS = { kept: 9, "read again": 200_000 };

/** A capture whose frames are of these seconds. */
async function write(name: string, bytes: number, ...seconds: number[]): Promise<string> {
  const target = path.join(scratch, name);
  const frames = seconds.map((each) => ({ bytes: Buffer.alloc(bytes), seconds: each }));
  await writeFile(target, buildCapture({ frames }));
  return target;
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

async function secondsOf(source: FrameSource, into: number[] = []): Promise<number[]> {
  for await (const chunk of source.chunks()) {
    into.push(...framesOf(chunk).map(({ seconds }) => seconds));
  }
  return into;
}

for (const [kind, bytes] of Object.entries(LENGTHS)) {
  test(`files are read as often as asked for, each announced but the first: ${kind}`, async () => {
    const one = await write("one.pcap", bytes, ...numbers(50));
    const two = await write("two.pcap", bytes, 100, 101);
    const seen: number[] = [];
    const onNextFile = (): void => void seen.push(-1);
    const source = await openFileSources([one, two], { logger, loops: 3, onNextFile });
    assert.equal(source.name, `${one} and 1 more`);
    await secondsOf(source, seen);
    const loop = [...numbers(50), -1, 100, 101];
    assert.deepEqual(seen, [...loop, -1, ...loop, -1, ...loop]);
  });

  test(`files that are read for ever end with stop(): ${kind}`, async () => {
    const file = await write("ever.pcap", bytes, ...numbers(50));
    const source = await openFileSources([file], { logger, loops: Infinity });
    assert.equal(source.name, file);
    let frames = 0;
    for await (const { frameCount } of source.chunks()) {
      frames += frameCount;
      if (frames >= 1000) await source.stop();
    }
    assert.ok(frames >= 1000 && frames <= 1050, `${frames} frames`);
  });

  test(`a cut file is read again, its error is told once and thrown at the end: ${kind}`, async () => {
    const whole = await write("whole.pcap", bytes, ...numbers(50));
    const cut = await write("cut.pcap", bytes, 1, 2);
    await truncate(cut, 24 + 16 + bytes + 20);
    said.length = 0;
    const seen: number[] = [];
    const source = await openFileSources([cut, whole], { logger, loops: 3 });
    await assert.rejects(secondsOf(source, seen), { code: "FILE_CUT" });
    const loop = [1, ...numbers(50)];
    assert.deepEqual(seen, [...loop, ...loop, ...loop]);
    assert.equal(said.length, 1);
    assert.match(said[0]!, /in the middle of frame 2; .*; it is read again all the same/);
  });
}

test("frames of several interfaces are each of their own in every loop", async () => {
  const pcapng = new PcapngBuilder().section().interface({ name: "a" }).interface({ name: "b" });
  for (const n of numbers(10)) pcapng.enhancedPacket(n % 2, BigInt(n), Buffer.alloc(5));
  const file = path.join(scratch, "two.pcapng");
  await writeFile(file, pcapng.file);
  const source = await openFileSources([file], { logger, loops: 2 });
  const names: string[] = [];
  for await (const { frameCount, interfaces, interfaceOf } of source.chunks()) {
    for (let n = 0; n < frameCount; n++) names.push(interfaces[interfaceOf?.[n] ?? 0]!.name);
  }
  assert.equal(names.join(""), "ab".repeat(10));
});

test("a file without frames is not read for ever", async () => {
  const file = await write("none.pcap", 1);
  said.length = 0;
  const source = await openFileSources([file], { logger, loops: Infinity });
  assert.deepEqual(await secondsOf(source), []);
  assert.match(said[0] ?? "", /There is no frame in ".*none\.pcap": it is not read again/);
});

test("a file that is gone when it is to be read again ends the loops with an error", async () => {
  const file = await write("gone.pcap", LENGTHS["read again"], ...numbers(50));
  const source = await openFileSources([file], { logger, loops: Infinity });
  const reading = async (): Promise<void> => {
    for await (const _ of source.chunks()) await rm(file, { force: true });
  };
  await assert.rejects(reading(), { code: "FILE_NOT_READABLE", message: /no such file/ });
});
