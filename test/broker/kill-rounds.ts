import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runPcapts, startPcapts } from "../cli/pcapts-process.ts";
import { readCapture } from "../capture-frames.ts";
import { BrokerProcess } from "../embedded-broker.ts";
import { buildCapture } from "../fixtures/generate.ts";

const FRAMES_AT_ONCE = 400;
const FRAME_BYTES = 120;

/**
 * Publishes without a pause (acks=all, idempotent) to a broker that is killed
 * over and over at random moments, at times while it recovers, and then reads
 * everything: each acknowledged frame has to be there once and in order.
 *
 * @param rounds how often it is killed
 * @param args more flags of `pcapts broker`
 * @returns frames that were published
 */
export async function killOverAndOver(
  rounds: number,
  args: readonly string[] = [],
): Promise<number> {
  const broker = await BrokerProcess.start(args);
  try {
    const producer = startPcapts(
      ["-p", "-r", "-", "-k", broker.bootstrap, "-t", "frames", "--partitions", "2"].concat([
        "-X",
        "retry.backoff.max.ms=100",
        "-X",
        "linger.ms=1",
        "-X",
        "batch.size=20000",
      ]),
    );
    let published = 0;
    const ending = new AbortController();
    const feeding = (async (): Promise<void> => {
      producer.child.stdin.write(buildCapture({ frames: [] }));
      while (!ending.signal.aborted) {
        if (!producer.child.stdin.write(numberedRecords(published))) {
          await Promise.race([
            new Promise((resolve) => producer.child.stdin.once("drain", resolve)),
            producer.ended,
          ]);
        }
        published += FRAMES_AT_ONCE;
        await sleep(2);
      }
      producer.child.stdin.end();
    })();
    for (let round = 0; round < rounds; round++) {
      await sleep(Math.random() * 250);
      await broker.kill();
      if (Math.random() < 0.2) {
        // Killed again before it is ready.
        broker.launch();
        await sleep(Math.random() * 400);
        await broker.kill();
      }
      await broker.start();
    }
    ending.abort();
    await feeding;
    const { status, stderr } = await producer.ended;
    assert.equal(status, 0, stderr);
    assert.match(stderr, new RegExp(`captured ${published} = acknowledged ${published} \\+`));
    await checkAllThere(broker.bootstrap, published);
    return published;
  } catch (error) {
    throw new Error(`The broker said:\n${broker.log.slice(-4000)}`, { cause: error });
  } finally {
    await broker.remove();
  }
}

function numberedRecords(first: number): Buffer {
  const frames = Array.from({ length: FRAMES_AT_ONCE }, (_, index) => {
    const bytes = Buffer.alloc(FRAME_BYTES);
    // Four conversations, each of one partition.
    bytes.writeUInt16BE(0x0800, 12);
    bytes[14] = 0x45;
    bytes.writeUInt16BE(FRAME_BYTES - 14, 16);
    bytes[23] = 17;
    bytes.writeUInt32BE(0x0a000001, 26);
    bytes.writeUInt32BE(0x0a000002, 30);
    bytes.writeUInt16BE(1000 + ((first + index) % 4), 34);
    bytes.writeUInt16BE(53, 36);
    bytes.writeUInt32BE(first + index, FRAME_BYTES - 4);
    return { bytes };
  });
  return buildCapture({ frames }).subarray(24);
}

async function checkAllThere(bootstrap: string, published: number): Promise<void> {
  const scratch = mkdtempSync(path.join(tmpdir(), "kill-rounds-"));
  // What 200 rounds publish is longer than a string may be.
  const output = path.join(scratch, "out.pcap");
  const { status, stderr } = await runPcapts(
    "-c",
    "-w",
    output,
    "--unordered",
    "-o",
    "begin",
    "-e",
    "-k",
    bootstrap,
    "-t",
    "frames",
  );
  assert.equal(status, 0, stderr);
  const capture = readFileSync(output);
  rmSync(scratch, { recursive: true });
  const numbers = readCapture(capture).frames.map(({ bytes }) =>
    bytes.readUInt32BE(FRAME_BYTES - 4),
  );
  const last = [-1, -1, -1, -1];
  for (const number of numbers) {
    const conversation = number % 4;
    // In order and once means: one step of four each time.
    assert.equal(number, last[conversation]! < 0 ? conversation : last[conversation]! + 4);
    last[conversation] = number;
  }
  assert.equal(numbers.length, published);
}
