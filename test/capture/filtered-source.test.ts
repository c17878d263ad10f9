import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { openFileSource } from "../../src/capture/file-source.ts";
import { openFilteredSource } from "../../src/capture/filtered-source.ts";
import type { FrameSource } from "../../src/capture/frame-source.ts";
import { silentLogger } from "../../src/logger.ts";
import type { FrameChunk } from "../../src/packet/frame-chunk.ts";
import { readCapture } from "../capture-frames.ts";
import { buildCapture, buildChunk, buildUdpFrame, framesOf } from "../fixtures/generate.ts";

const run = promisify(execFile);

/** buildUdpFrame() has 1024 and the frame's number as its source port. */
const EVERY_TENTH = "udp[0:2] % 10 = 4";

let directory: string;
before(() => {
  directory = mkdtempSync(path.join(tmpdir(), "pcapts-filtered-"));
});
after(() => rmSync(directory, { recursive: true }));

const frames = Array.from({ length: 5000 }, (_, n) => ({
  bytes: buildUdpFrame(n, 60 + (n % 400)),
  seconds: 1_700_000_000 + n,
  nanoseconds: n * 1000,
}));

async function readAll(source: FrameSource): Promise<ReturnType<typeof framesOf>> {
  const read: ReturnType<typeof framesOf> = [];
  for await (const chunk of source.chunks()) read.push(...framesOf(chunk));
  return read;
}

for (const bigEndian of [false, true]) {
  for (const nanosecond of [false, true]) {
    const kind = `${bigEndian ? "big" : "little"}-endian ${nanosecond ? "nano" : "micro"}seconds`;
    test(`a filtered file gives the frames that tcpdump gives: ${kind}`, async () => {
      const file = path.join(directory, "in.pcap");
      writeFileSync(file, buildCapture({ frames, bigEndian, nanosecond }));
      const out = path.join(directory, "out.pcap");
      for (const expression of [
        EVERY_TENTH,
        "less 100",
        "host 10.0.0.7 or host 10.0.3.9",
        "tcp",
        "",
      ]) {
        await run("tcpdump", ["-r", file, "-w", out, expression]);
        const expected = readCapture(readFileSync(out)).frames.map(({ bytes }) => bytes);
        const options = { expression, maxPackets: Infinity };
        const whole = await openFileSource(file);
        const source = openFilteredSource(whole, options, silentLogger);
        assert.equal(source.kind, "file");
        assert.equal(source.name, file);
        assert.deepEqual(source.interfaces, whole.interfaces);
        const kept = await readAll(source);
        assert.deepEqual(
          kept.map(({ bytes }) => bytes),
          expected,
          expression,
        );
        assert.equal(source.counters().filtered, frames.length - expected.length);
      }
    });
  }
}

test("a filtered source that needs no more frames counts none behind the last", async () => {
  const file = path.join(directory, "some.pcap");
  writeFileSync(file, buildCapture({ frames }));
  const options = { expression: EVERY_TENTH, maxPackets: 3 };
  const source = openFilteredSource(await openFileSource(file), options, silentLogger);
  assert.equal((await readAll(source)).length, 3);
  // 1024, 1034 and 1044 match: 18 frames stand before the last of them.
  assert.equal(source.counters().filtered, 18);
});

/** A source of chunks that were made here. */
function sourceOf(...chunks: FrameChunk[]): FrameSource {
  return {
    kind: "file",
    name: "made here",
    interfaces: chunks[0]!.interfaces,
    async *chunks() {
      yield* chunks;
    },
    counters: () => ({
      received: undefined,
      droppedByKernel: undefined,
      droppedByInterface: undefined,
      filtered: 5,
    }),
    stop: async () => {},
  };
}

test("frames of several link types are each judged as what they are", async () => {
  const said: string[] = [];
  const logger = { ...silentLogger, warn: (line: string) => said.push(line) };
  const ethernet = buildUdpFrame(1, 60);
  const raw = ethernet.subarray(14);
  const chunk: FrameChunk = {
    ...buildChunk({ frames: [ethernet, raw, ethernet, raw, raw].map((bytes) => ({ bytes })) }),
    interfaces: [1, 101, 147].map((linkType) => ({
      sensor: "",
      name: `of ${linkType}`,
      linkType,
      snapLengthBytes: 262_144,
    })),
    // The second is of raw IP; the last two are, but the table says something else of them.
    interfaceOf: Uint16Array.from([0, 1, 0, 2, 0]),
  };
  const options = { expression: "udp port 1025", maxPackets: Infinity };
  const source = openFilteredSource(sourceOf(chunk, chunk), options, logger);
  const kept: FrameChunk[] = [];
  for await (const each of source.chunks()) kept.push(each);
  assert.deepEqual(
    kept.map(({ interfaceOf }) => [...interfaceOf!]),
    [
      [0, 1, 0],
      [0, 1, 0],
    ],
  );
  assert.deepEqual(
    framesOf(kept[0]!).map(({ bytes }) => bytes),
    [ethernet, raw, ethernet],
  );
  // What the source itself has left out is counted, too.
  assert.equal(source.counters().filtered, 5 + 4);
});

test("a link type that appears later and that the filter is not for is said once", async () => {
  const said: string[] = [];
  const logger = { ...silentLogger, warn: (line: string) => said.push(line) };
  const first = buildChunk({ frames: [{ bytes: buildUdpFrame(1, 60) }] });
  const later = buildChunk({ frames: [{ bytes: buildUdpFrame(1, 60) }], linkType: 147 });
  const options = { expression: "udp", maxPackets: Infinity };
  const source = openFilteredSource(sourceOf(first, later, later), options, logger);
  assert.equal((await readAll(source)).length, 1);
  assert.equal(said.length, 1);
  assert.match(said[0]!, /^Frames of link type USER0 are left out: Cannot compile filter "udp"/);
});

test("a filter that compiles for no link type of the source is refused at once", async () => {
  const chunk = buildChunk({ frames: [{ bytes: buildUdpFrame(1, 60) }] });
  for (const [linkType, expression] of [
    [1, "udp port port"],
    [147, "udp"],
  ] as const) {
    const source = sourceOf({ ...chunk, interfaces: [{ ...chunk.interfaces[0]!, linkType }] });
    assert.throws(
      () => openFilteredSource(source, { expression, maxPackets: Infinity }, silentLogger),
      { code: "FILTER_INVALID" },
    );
  }
});
