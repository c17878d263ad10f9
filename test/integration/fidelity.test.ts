import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { createTopic, randomTopicName, sharedBroker } from "../brokers.ts";
import { mergeCaptures } from "../fixtures/found-captures.ts";
import {
  makeFormatCaptures,
  makeLinkTypeCaptures,
  SCAPY_LINK_TYPES,
} from "../fixtures/make-captures.ts";
import { runProgram } from "./other-programs.ts";
import { consume, publish, readLedger } from "./pcapts-process.ts";
import { assertSameFrames, isInOrder, readFrames } from "./tshark-frames.ts";

let bootstrap: string;
let scratch: string;
before(async () => {
  ({ bootstrap } = await sharedBroker());
  scratch = mkdtempSync(path.join(tmpdir(), "pcapts-fidelity-"));
});
after(() => rmSync(scratch, { recursive: true, force: true }));

/** Publishes files to a new topic and reads it as pcapng. */
async function sendThrough(files: readonly string[], name: string): Promise<string> {
  const topic = randomTopicName();
  await createTopic(bootstrap, topic, { partitions: 3 });
  const [first = "", ...others] = files;
  const produced = await publish(
    bootstrap,
    topic,
    first,
    ...others.flatMap((file) => ["-r", file]),
  );
  const { captured, acknowledged } = readLedger(produced.stderr);
  assert.equal(acknowledged, captured);
  const output = path.join(scratch, `${name}.out.pcapng`);
  writeFileSync(output, await consume(bootstrap, topic, "-F", "pcapng"));
  return output;
}

/** tshark does not read lz4 everywhere: its own program takes it off. */
function readable(file: string): string {
  if (!file.endsWith(".lz4")) return file;
  const plain = path.join(scratch, path.basename(file, ".lz4"));
  writeFileSync(plain, execFileSync("lz4", ["-dc", file], { maxBuffer: 1 << 28 }));
  return plain;
}

test(
  "a folder of captures of every format comes back frame by frame as tshark reads the originals",
  { timeout: 600_000 },
  async (t) => {
    const files = makeFormatCaptures(path.join(scratch, "formats"));
    assert.ok(files.length >= 15);
    for (const file of files) {
      await t.test(path.basename(file), async () => {
        const output = await sendThrough([file], path.basename(file));
        const original = readable(file);
        const [expected, actual] = await Promise.all([readFrames(original), readFrames(output)]);
        assert.ok(expected.length > 0);
        assertSameFrames(actual, expected);
        if (await isInOrder(original)) assert.ok(await isInOrder(output), "in order, as it was");
      });
    }
  },
);

test(
  "captures of more than 20 link types, all in one topic, come back each under its own",
  { timeout: 300_000 },
  async () => {
    assert.ok(SCAPY_LINK_TYPES.length >= 20);
    const files = makeLinkTypeCaptures(path.join(scratch, "types"));
    const output = await sendThrough(files, "types");
    const merged = path.join(scratch, "types.merged.pcapng");
    mergeCaptures(files, merged);
    const [expected, actual] = await Promise.all([readFrames(merged), readFrames(output)]);
    // Some have the same name in Wireshark.
    assert.ok(new Set(expected.map((line) => line.split(" ")[3])).size >= 30);
    assertSameFrames(actual, expected);
    assert.ok(await isInOrder(output));
  },
);

test(
  "names of interfaces come back in a pcapng file, with a block and its statistics for each",
  { timeout: 60_000 },
  async () => {
    const files = makeFormatCaptures(path.join(scratch, "names"));
    const file = files.find((each) => each.endsWith("rare.pcapng"))!;
    const output = await sendThrough([file], "names");
    const { stdout } = await runProgram(["capinfos", output]);
    const info = stdout.toString();
    for (const [name, linkType] of [
      ["eth0", "Ethernet"],
      ["wlan0", "IEEE 802.11 plus radiotap radio header"],
      ["dummy0", "Raw IP"],
    ]) {
      assert.match(info, new RegExp(`Name = ${name}[^#]*Encapsulation = ${linkType}`));
    }
    assert.match(info, /Capture application:\s+pcapts \d/);
    assert.equal([...info.matchAll(/Number of stat entries = 1/g)].length, 3);
  },
);

test(
  "a directory is published in the order of its files' first frames",
  { timeout: 60_000 },
  async () => {
    const folder = path.join(scratch, "ring");
    const files = makeLinkTypeCaptures(folder);
    const topic = randomTopicName();
    await createTopic(bootstrap, topic, { partitions: 1 });
    await publish(bootstrap, topic, folder);
    const output = path.join(scratch, "ring.pcapng");
    writeFileSync(output, await consume(bootstrap, topic, "-F", "pcapng"));
    const merged = path.join(scratch, "ring.merged.pcapng");
    mergeCaptures(files, merged);
    assert.deepEqual(await readFrames(output), await readFrames(merged));
    assert.equal(readdirSync(folder).length, readFileSync(output).length > 0 ? files.length : -1);
  },
);
