import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdirSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { gzipSync } from "node:zlib";
import { openFolderSource } from "../../src/capture/folder-source.ts";
import type { FrameSource } from "../../src/capture/frame-source.ts";
import { buildCapture, framesOf } from "../fixtures/generate.ts";
import { PcapngBuilder } from "../fixtures/pcapng.ts";
import { NotingLogger } from "./noting-logger.ts";

const LIMIT = { timeout: 240_000 };
const HEADER_BYTES = 24;
const FRAME_BYTES = 16 + 50;

const scratch = mkdtempSync(path.join(tmpdir(), "folder-source-"));
const opened: FrameSource[] = [];
after(async () => {
  // A test that failed has not come to it, and would keep the process.
  await Promise.all(opened.map((source) => source.stop()));
  rmSync(scratch, { recursive: true });
});

/** A capture whose frames are of these seconds. */
function captureOf(...seconds: number[]): Buffer {
  return buildCapture({
    frames: seconds.map((each) => ({ bytes: Buffer.alloc(50), seconds: each })),
  });
}

/** The frames alone, as they are written behind others. */
function recordsOf(...seconds: number[]): Buffer {
  return captureOf(...seconds).subarray(HEADER_BYTES);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, n) => from + n);
}

/** A folder that is followed. */
class Followed {
  readonly directory: string;
  readonly logger = new NotingLogger();
  /** Seconds of the frames that came. */
  readonly seconds: number[] = [];
  #source: FrameSource | undefined;
  #reading: Promise<void> | undefined;
  #changed = (): void => {};

  constructor(name: string) {
    this.directory = path.join(scratch, name);
    mkdirSync(this.directory);
  }

  get source(): FrameSource {
    return this.#source!;
  }

  path(name: string): string {
    return path.join(this.directory, name);
  }

  write(name: string, bytes: Buffer): void {
    writeFileSync(this.path(name), bytes);
  }

  append(name: string, bytes: Buffer): void {
    appendFileSync(this.path(name), bytes);
  }

  /** As if nobody had written to it for a minute. */
  age(name: string): void {
    const then = Date.now() / 1000 - 60;
    utimesSync(this.path(name), then, then);
  }

  async begin(): Promise<void> {
    this.#source = await openFolderSource(this.directory, { logger: this.logger });
    opened.push(this.#source);
    this.#reading = this.#read();
  }

  /** Waits until as many frames have come, as long as any come. */
  async has(count: number): Promise<number[]> {
    let endMs = performance.now() + 40_000;
    for (let before = 0; this.seconds.length < count; before = this.seconds.length) {
      if (this.seconds.length > before) endMs = performance.now() + 40_000;
      const heard = `${this.seconds.join(" ")}\n${this.logger.messages.join("\n")}`;
      assert.ok(performance.now() < endMs, `${this.seconds.length} of ${count} came: ${heard}`);
      await Promise.race([
        new Promise<void>((resolve) => {
          this.#changed = resolve;
        }),
        new Promise((resolve) => setTimeout(resolve, 1000).unref()),
      ]);
    }
    return this.seconds;
  }

  async stop(): Promise<number[]> {
    await this.source.stop();
    await this.#reading;
    return this.seconds;
  }

  async #read(): Promise<void> {
    for await (const chunk of this.source.chunks()) {
      this.seconds.push(...framesOf(chunk).map(({ seconds }) => seconds));
      this.#changed();
    }
  }
}

/** How many files below a folder this process has open. */
function countOpen(directory: string): number {
  const links = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return [];
    }
  });
  return links.filter((link) => link.startsWith(`${directory}/`)).length;
}

test(
  "files that are there are read by their first frames, then those that come",
  LIMIT,
  async () => {
    const folder = new Followed("order");
    const pcapng = new PcapngBuilder().section().interface({ resolution: 6 });
    pcapng.enhancedPacket(0, 20_000_000n, Buffer.alloc(5));
    folder.write("a.pcap", captureOf(30, 31));
    folder.write("b.pcapng", pcapng.file);
    folder.write("c.pcap.gz", gzipSync(captureOf(10, 11)));
    // While it may still be written, the next is opened beside what is being decompressed.
    folder.age("c.pcap.gz");
    mkdirSync(folder.path("d"));
    await folder.begin();
    assert.equal(folder.source.kind, "feed");
    assert.deepEqual(await folder.has(5), [10, 11, 20, 30, 31]);
    folder.write("e.pcap", captureOf(40));
    await folder.has(6);
    folder.write("0.pcap", captureOf(50, 51));
    assert.deepEqual(await folder.has(8), [10, 11, 20, 30, 31, 40, 50, 51]);
    await folder.stop();
    assert.deepEqual(folder.logger.warnings, []);
    assert.equal(folder.source.counters().torn, 0);
  },
);

test(
  "a file is read as it is written, and half a frame at its end is waited for",
  LIMIT,
  async () => {
    const folder = new Followed("written");
    folder.write("a.pcap", Buffer.alloc(0));
    await folder.begin();
    const all = captureOf(1, 2, 3);
    folder.append("a.pcap", all.subarray(0, 10));
    folder.append("a.pcap", all.subarray(10, HEADER_BYTES + FRAME_BYTES + 20));
    assert.deepEqual(await folder.has(1), [1]);
    folder.append("a.pcap", all.subarray(HEADER_BYTES + FRAME_BYTES + 20));
    assert.deepEqual(await folder.has(3), [1, 2, 3]);
    // The writer's last bytes come when it closes the file, before the next is there.
    folder.append("a.pcap", recordsOf(4).subarray(0, 30));
    folder.append("a.pcap", recordsOf(4).subarray(30));
    folder.write("b.pcap", captureOf(5));
    assert.deepEqual(await folder.has(5), [1, 2, 3, 4, 5]);
    folder.append("b.pcap", recordsOf(6).subarray(0, 40));
    // What is half there when it is stopped is no loss: its writer has not written it yet.
    assert.deepEqual(await folder.stop(), [1, 2, 3, 4, 5]);
    assert.deepEqual(folder.logger.warnings, []);
    assert.equal(folder.source.counters().torn, 0);
  },
);

test(
  "half a frame is torn once a newer file is there, and is not when it comes whole after all",
  LIMIT,
  async () => {
    const folder = new Followed("torn");
    folder.write("a.pcap", captureOf(1, 2, 3).subarray(0, -10));
    folder.age("a.pcap");
    folder.write("b.pcap", captureOf(4));
    await folder.begin();
    assert.deepEqual(await folder.has(3), [1, 2, 4]);
    await folder.logger.says(
      /a\.pcap" to its end: it is cut at byte 212, in the middle of frame 3; .*; going on with other files/,
    );
    assert.equal(folder.source.counters().torn, 1);
    folder.append("a.pcap", captureOf(1, 2, 3).subarray(-10));
    assert.deepEqual(await folder.has(4), [1, 2, 4, 3]);
    assert.equal(folder.source.counters().torn, 0);
    assert.equal(folder.logger.warnings.length, 1);
    await folder.stop();
  },
);

test("two programs may write into one folder at a time", LIMIT, async () => {
  const folder = new Followed("two");
  folder.write("a.pcap", captureOf(1));
  folder.write("b.pcap", captureOf(2));
  await folder.begin();
  await folder.has(2);
  for (const n of range(0, 20)) {
    folder.append("a.pcap", recordsOf(10 + n));
    await folder.has(3 + 2 * n);
    folder.append("b.pcap", recordsOf(50 + n));
    await folder.has(4 + 2 * n);
  }
  assert.deepEqual(
    (await folder.stop()).toSorted((a, b) => a - b),
    [1, 2, ...range(10, 30), ...range(50, 70)],
  );
  assert.deepEqual(folder.logger.warnings, []);
});

test(
  "a file is read once: renamed, by a second name, compressed behind the run",
  LIMIT,
  async () => {
    const folder = new Followed("once");
    folder.write("a.pcap", captureOf(1, 2));
    await folder.begin();
    await folder.has(2);
    renameSync(folder.path("a.pcap"), folder.path("a.old"));
    await folder.logger.says(/a\.pcap" is called "a\.old" now/);
    folder.write("b.pcap", captureOf(3));
    await folder.has(3);
    linkSync(folder.path("b.pcap"), folder.path("link.pcap"));
    folder.write("b.pcap.gz", gzipSync(captureOf(3)));
    rmSync(folder.path("b.pcap"));
    folder.write("c.pcap", captureOf(4));
    await folder.has(4);
    folder.write("c.pcap.gz", gzipSync(captureOf(4)));
    rmSync(folder.path("c.pcap"));
    folder.append("a.old", recordsOf(5));
    assert.deepEqual(await folder.has(5), [1, 2, 3, 4, 5]);
    folder.write("d.pcap", captureOf(6));
    assert.deepEqual(await folder.has(6), [1, 2, 3, 4, 5, 6]);
    assert.deepEqual(await folder.stop(), [1, 2, 3, 4, 5, 6]);
    assert.deepEqual(folder.logger.warnings, []);
  },
);

test("a ring that is written anew is read anew", LIMIT, async () => {
  const folder = new Followed("ring");
  await folder.begin();
  const expected: number[] = [];
  for (const n of range(0, 12)) {
    const name = `ring${n % 3}.pcap`;
    // As tcpdump -W does: the same file, from its begin.
    writeFileSync(folder.path(name), captureOf(100 + n, 200 + n));
    expected.push(100 + n, 200 + n);
    assert.deepEqual(await folder.has(expected.length), expected);
  }
  await folder.stop();
  assert.deepEqual(folder.logger.warnings, []);
});

test("what goes before it is read is named, unless it is there compressed", LIMIT, async () => {
  const folder = new Followed("deleted");
  const big = buildCapture({
    frames: range(0, 100).map((n) => ({ bytes: Buffer.alloc(200_000), seconds: n })),
  });
  folder.write("a.pcap", big);
  folder.write("b.pcap", captureOf(200));
  folder.write("c.pcap", captureOf(300));
  folder.write("d.pcap", captureOf(400));
  const source = await openFolderSource(folder.directory, { logger: folder.logger });
  opened.push(source);
  const seconds: number[] = [];
  for await (const chunk of source.chunks()) {
    if (seconds.length === 0) {
      // The reader of the frames is busy: Kafka is slow.
      rmSync(folder.path("b.pcap"));
      writeFileSync(folder.path("c.pcap.gz"), gzipSync(captureOf(300)));
      rmSync(folder.path("c.pcap"));
      truncateSync(folder.path("d.pcap"));
      appendFileSync(folder.path("d.pcap"), captureOf(500));
      await folder.logger.says(/b\.pcap" was deleted before it was read: its frames are missing/);
      await folder.logger.says(
        /d\.pcap" was overwritten before it was read: its frames are missing/,
      );
    }
    seconds.push(...framesOf(chunk).map((frame) => frame.seconds));
    if (seconds.length === 102) await source.stop();
  }
  // Which of the two was found first is chance.
  assert.deepEqual(
    seconds.toSorted((a, b) => a - b),
    [...range(0, 100), 300, 500],
  );
  assert.equal(folder.logger.warnings.length, 2);
});

test("what is no capture, or damaged, is said once and passed over", LIMIT, async () => {
  const folder = new Followed("strange");
  const damaged = captureOf(1, 2, 3);
  damaged.writeUInt32LE(0xffff_ffff, HEADER_BYTES + FRAME_BYTES + 8);
  folder.write("a.pcap", damaged);
  folder.write("notes.txt", Buffer.from("what is in these files, in words"));
  folder.write("z.pcap", captureOf(9));
  await folder.begin();
  assert.deepEqual(await folder.has(2), [1, 9]);
  folder.append("notes.txt", Buffer.from(" and more words"));
  folder.append("a.pcap", recordsOf(4));
  folder.append("z.pcap", recordsOf(10));
  assert.deepEqual(await folder.has(3), [1, 9, 10]);
  await folder.logger.says(
    /a\.pcap" to its end: it is damaged at byte 90,.* going on with other files/,
  );
  await folder.logger.says(/notes\.txt": not a capture file .*; going on with other files/);
  await folder.stop();
  assert.equal(folder.logger.warnings.length, 2);
});

test("hundreds of files leave no descriptor open", LIMIT, async () => {
  const folder = new Followed("many");
  const FILES = 300;
  const THERE = 200;
  for (const n of range(0, THERE)) {
    folder.write(`${n}.pcap`, captureOf(n));
    folder.age(`${n}.pcap`);
  }
  await folder.begin();
  for (const n of range(THERE, FILES)) {
    folder.write(`${n}.pcap`, captureOf(n));
    // The last ones may still be written, as far as one can tell.
    if (n < FILES - 50) folder.age(`${n}.pcap`);
    if (n % 50 === 49) await folder.has(n + 1);
    assert.ok(countOpen(folder.directory) <= 20, `${countOpen(folder.directory)} are open`);
  }
  assert.deepEqual(
    (await folder.has(FILES)).toSorted((a, b) => a - b),
    range(0, FILES),
  );
  await folder.stop();
  assert.equal(countOpen(folder.directory), 0);
  assert.deepEqual(folder.logger.warnings, []);
});

test("a folder that is not there is refused, one that goes is waited for", LIMIT, async () => {
  const logger = new NotingLogger();
  await assert.rejects(openFolderSource(path.join(scratch, "nowhere"), { logger }), {
    code: "FILE_NOT_READABLE",
    message: /Cannot follow ".*nowhere": no such file/,
  });
  const file = path.join(scratch, "file.pcap");
  writeFileSync(file, captureOf(1));
  await assert.rejects(openFolderSource(file, { logger }), { code: "USAGE" });

  const folder = new Followed("going");
  folder.write("a.pcap", captureOf(1));
  await folder.begin();
  await folder.has(1);
  rmSync(folder.directory, { recursive: true });
  await folder.logger.says(/Cannot look into ".*going": no such file; trying again/);
  mkdirSync(folder.directory);
  folder.write("b.pcap", captureOf(2));
  assert.deepEqual(await folder.has(2), [1, 2]);
  await folder.stop();
  assert.equal(folder.logger.warnings.length, 1);
});
