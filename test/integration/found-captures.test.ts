import assert from "node:assert/strict";
import { execFileSync, type StdioOptions } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { createTopic, randomTopicName, sharedBroker } from "../brokers.ts";
import {
  carryFractions,
  findCaptures,
  mergeCaptures,
  type FoundCaptures,
} from "../fixtures/found-captures.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { makeRareCaptures } from "../fixtures/make-captures.ts";
import { PcapngBuilder } from "../fixtures/pcapng.ts";
import { consume, publish, readLedger, runPcapts } from "./pcapts-process.ts";
import { assertSameFrames, readFrames } from "./tshark-frames.ts";

let bootstrap: string;
let scratch: string;
let found: FoundCaptures;
before(async () => {
  found = findCaptures();
  ({ bootstrap } = await sharedBroker());
  scratch = mkdtempSync(path.join(tmpdir(), "pcapts-found-"));
});
after(() => rmSync(scratch, { recursive: true, force: true }));

async function newTopic(): Promise<string> {
  const topic = randomTopicName();
  await createTopic(bootstrap, topic, { partitions: 3 });
  return topic;
}

/** What tcpdump reads of a capture: its link type, and of each frame times, lengths and bytes. */
function readWithTcpdump(capture: Buffer): { linkType: number; frames: string[] } {
  const input = Buffer.from(capture);
  // libpcap cuts frames that are longer than the file says; 0 is no limit.
  input.fill(0, 16, 20);
  const stdio: StdioOptions = ["pipe", "pipe", "ignore"];
  const written = execFileSync("tcpdump", ["-r", "-", "-w", "-"], { input, stdio });
  const file = carryFractions(written) ?? written;
  const frames: string[] = [];
  for (let at = 24; at < file.length;) {
    const end = at + 16 + file.readUInt32LE(at + 8);
    frames.push(file.toString("hex", at, end));
    at = end;
  }
  return { linkType: file.readUInt16LE(20), frames };
}

/**
 * For tshark a fraction of a second or more is no time; here it is carried into the seconds.
 *
 * @returns the file, or one in its place
 */
function withRightTimes(file: string): string {
  const carried = carryFractions(readFileSync(file));
  if (carried === undefined) return file;
  const copy = path.join(mkdtempSync(path.join(scratch, "carried-")), path.basename(file));
  writeFileSync(copy, carried);
  return copy;
}

/** A time after 2106 comes back as the last that there is. */
function clampTime(line: string): string {
  return Number(line.split(".")[0]) > 0xffff_ffff
    ? line.replace(/^\S+/, "4294967295.999999000")
    : line;
}

test(
  "a folder of captures that other projects test with comes back frame by frame as tshark reads them",
  { timeout: 240_000 },
  async (t) => {
    assert.ok(found.whole.length >= 5, `captures were found: ${found.whole.length}`);
    const folder = path.join(scratch, "folder");
    mkdirSync(folder);
    for (const [n, file] of found.whole.entries()) {
      symlinkSync(file, path.join(folder, `${n}-${path.basename(file)}`));
    }
    const merged = path.join(scratch, "merged.pcapng");
    mergeCaptures(found.whole.map(withRightTimes), merged);
    const expected = (await readFrames(merged)).map(clampTime);

    const topic = await newTopic();
    const { stderr } = await publish(bootstrap, topic, folder);
    assert.equal(readLedger(stderr).acknowledged, expected.length);
    assert.match(stderr, new RegExp(`Reading ${found.whole.length} files`));
    const output = path.join(scratch, "folder.out.pcapng");
    writeFileSync(output, await consume(bootstrap, topic, "-F", "pcapng", "-w", "-"));
    t.diagnostic(`${found.whole.length} captures, ${expected.length} frames`);
    assertSameFrames(await readFrames(output), expected);
  },
);

test(
  "captures that tcpdump reads and tshark does not come back as tcpdump reads them",
  { timeout: 120_000 },
  async () => {
    const ofType = new Map<number, { files: string[]; frames: string[] }>();
    for (const file of [...makeRareCaptures(path.join(scratch, "rare")), ...found.unknown]) {
      const { linkType, frames } = readWithTcpdump(readFileSync(file));
      assert.ok(frames.length > 0, file);
      const known = ofType.get(linkType) ?? { files: [], frames: [] };
      known.files.push(file);
      known.frames.push(...frames);
      ofType.set(linkType, known);
    }
    assert.ok(ofType.size >= 2);
    for (const [linkType, { files, frames }] of ofType) {
      const topic = await newTopic();
      const [first = "", ...others] = files;
      await publish(bootstrap, topic, first, ...others.flatMap((file) => ["-r", file]));
      const actual = readWithTcpdump(await consume(bootstrap, topic));
      assert.equal(actual.linkType, linkType);
      assertSameFrames(actual.frames, frames);
    }
  },
);

test(
  "broken captures give the frames before the place, and each a line that names it",
  { timeout: 120_000 },
  async () => {
    // Whole ones of both formats, cut at places that are no frame's end.
    const frames = Array.from({ length: 50 }, (_, n) => ({ bytes: buildUdpFrame(n, 60 + n) }));
    const pcap = buildCapture({ frames, nanosecond: true });
    const builder = new PcapngBuilder().section().interface();
    frames.forEach(({ bytes }, n) =>
      builder.enhancedPacket(0, 1_700_000_000_000_000n + BigInt(n), bytes),
    );
    const cut = [pcap, builder.file].map((bytes, n) => {
      const file = path.join(scratch, n === 0 ? "cut.pcap" : "cut.pcapng");
      writeFileSync(file, bytes.subarray(0, Math.floor(bytes.length / 2) | 1));
      return file;
    });
    const files = [...cut, ...found.broken];
    const topic = await newTopic();
    const line = ["-p", "-k", bootstrap, "-t", topic];
    for (const file of files) line.push("-r", file);
    const { status, stderr } = await runPcapts(line);
    assert.equal(status, 1, stderr);
    for (const file of files) {
      assert.ok(stderr.includes(`ERROR: Cannot read "${file}"`), `${file} in:\n${stderr}`);
    }
    for (const file of cut) {
      assert.match(
        stderr,
        new RegExp(`"${file}" to its end: it is cut at byte ${readFileSync(file).length}`),
      );
    }
    const expected: string[] = [];
    for (const file of files) expected.push(...(await readFrames(withRightTimes(file))));
    assert.ok(expected.length > 0);
    const output = path.join(scratch, "broken.out.pcapng");
    writeFileSync(output, await consume(bootstrap, topic, "-F", "pcapng"));
    assertSameFrames(await readFrames(output), expected);
  },
);
