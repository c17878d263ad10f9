import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import { test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import {
  decompressBatch,
  decompressRecords,
  loadCodec,
  MAX_RECORDS_BYTES,
} from "../../src/kafka-wire/compression.ts";
import type { CodecName } from "../../src/kafka-wire/compression.ts";
import { COMPRESSION_NAMES } from "../../src/kafka-wire/record-batch-format.ts";
import {
  readRecordBatchHeader,
  RecordBatchError,
} from "../../src/kafka-wire/record-batch-reader.ts";
import { RecordBatchWriter } from "../../src/kafka-wire/record-batch-writer.ts";
import { projectRoot } from "../brokers.ts";

const CODECS = ["gzip", "snappy", "lz4", "zstd"] as const;

/** Bytes of all kinds: nothing at all, what cannot be compressed, what repeats near and far. */
const records = fc
  .array(
    fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.integer({ min: 1, max: 2000 })),
    { minLength: 1, maxLength: 8 },
  )
  .map((parts) =>
    Buffer.concat(parts.map(([bytes, times]) => Buffer.alloc(bytes.length * times, bytes))),
  );

for (const name of CODECS) {
  test(`${name} gives back what it compressed, at any level, at once and in the thread pool`, async () => {
    await fc.assert(
      fc.asyncProperty(
        records,
        fc.option(fc.integer({ min: -1, max: 12 }), { nil: undefined }),
        async (bytes, level) => {
          const codec = await loadCodec(name, level);
          const compressed = Buffer.from(await codec.compress(bytes));
          assert.ok((await codec.decompress(compressed, MAX_RECORDS_BYTES)).equals(bytes));
          assert.ok(codec.decompressSync(compressed, MAX_RECORDS_BYTES).equals(bytes));
        },
      ),
      { numRuns: 40 },
    );
  });

  test(`${name} refuses what would come to more than the limit, without taking the memory for it`, async () => {
    const codec = await loadCodec(name);
    const bomb = Buffer.from(await codec.compress(Buffer.alloc(MAX_RECORDS_BYTES + 4096)));
    const before = process.memoryUsage.rss();
    await assert.rejects(async () => codec.decompress(bomb, 1 << 20));
    assert.throws(() => codec.decompressSync(bomb, 1 << 20));
    const grownBytes = process.memoryUsage.rss() - before;
    assert.ok(grownBytes < 32 << 20, `${grownBytes} bytes more`);
    const { batch, header } = asBatch(bomb, name);
    await assert.rejects(
      decompressRecords(batch, header),
      (error) => error instanceof RecordBatchError && /the batch at offset 0/.test(error.message),
    );
  });

  test(`${name} ends in an error or in bytes within the limit on any damage`, async () => {
    const codec = await loadCodec(name);
    const whole = Buffer.from(
      await codec.compress(Buffer.from("frames and more frames, 0123456789. ".repeat(3000))),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }),
        fc.option(fc.nat(whole.length), { nil: whole.length }),
        async (damages, length) => {
          const damaged = Buffer.from(whole.subarray(0, length));
          for (const [at, value] of damages) damaged[at % Math.max(1, length)] = value;
          const { batch, header } = asBatch(damaged, name);
          try {
            assert.ok((await decompressRecords(batch, header)).length <= MAX_RECORDS_BYTES);
          } catch (error) {
            assert.ok(error instanceof RecordBatchError, String(error));
          }
        },
      ),
      { numRuns: 500 },
    );
  });
}

/** A batch whose compressed records these bytes are. */
function asBatch(
  compressed: Buffer,
  name: CodecName,
): { batch: Buffer; header: NonNullable<ReturnType<typeof readRecordBatchHeader>> } {
  const writer = new RecordBatchWriter(Buffer.alloc(200));
  writer.append(Buffer.from("frame"), 0, 5, 1, 2, 3, Uint8Array.of(0), 1);
  writer.useCompressed(name, Buffer.concat([Buffer.alloc(61), compressed]));
  const batch = writer.seal(-1n, -1, -1);
  return { batch, header: readRecordBatchHeader(batch, 0, batch.length, true)! };
}

test("a batch whose records were compressed is itself again when they are decompressed", async () => {
  for (const name of CODECS) {
    const codec = await loadCodec(name);
    const writer = new RecordBatchWriter(Buffer.alloc(10_000));
    for (let n = 0; n < 50; n++) {
      writer.append(Buffer.alloc(100, n), 0, 100, n, 0, 3, Uint8Array.of(0), 1);
    }
    const plain = Buffer.from(writer.seal(7n, 1, 5));
    const compressed = await codec.compress(writer.records);
    writer.useCompressed(name, Buffer.concat([Buffer.alloc(61), compressed]));
    const sealed = writer.seal(7n, 1, 5);
    const { compression } = readRecordBatchHeader(sealed, 0, sealed.length, true)!;
    assert.equal(compression, name);
    const restored = decompressBatch(sealed, codec);
    // All but the checksum.
    assert.deepEqual(restored.subarray(21), plain.subarray(21));
    assert.deepEqual(restored.subarray(0, 17), plain.subarray(0, 17));
    assert.equal(decompressBatch(plain, codec), plain);
  }
});

test("gzip is what kafkajs and every other program calls so", async () => {
  const require = createRequire(import.meta.url);
  const { compress, decompress } = require("kafkajs/src/protocol/message/compression/gzip.js") as {
    compress: (encoder: { buffer: Buffer }) => Promise<Buffer>;
    decompress: (bytes: Buffer) => Promise<Buffer>;
  };
  const codec = await loadCodec("gzip");
  await fc.assert(
    fc.asyncProperty(records, async (bytes) => {
      const ours = Buffer.from(await codec.compress(bytes));
      assert.ok((await decompress(ours)).equals(bytes));
      assert.ok(gunzipSync(ours).equals(bytes));
      const theirs = await compress({ buffer: bytes });
      assert.ok((await codec.decompress(theirs, bytes.length)).equals(bytes));
      // Several members, one behind the other, are one file.
      const twice = Buffer.concat([theirs, gzipSync(bytes)]);
      assert.ok(
        codec.decompressSync(twice, 2 * bytes.length).equals(Buffer.concat([bytes, bytes])),
      );
    }),
    { numRuns: 20 },
  );
});

test("snappy is read in the Java client's framing too, whatever the size of its blocks", async () => {
  const codec = await loadCodec("snappy");
  await fc.assert(
    fc.asyncProperty(records, fc.integer({ min: 50, max: 70_000 }), async (bytes, blockBytes) => {
      const parts = [Buffer.from("82534e41505059000000000100000001", "hex")];
      for (let at = 0; at < bytes.length; at += blockBytes) {
        const block = Buffer.from(await codec.compress(bytes.subarray(at, at + blockBytes)));
        const length = Buffer.alloc(4);
        length.writeInt32BE(block.length);
        parts.push(length, block);
      }
      const framed = Buffer.concat(parts);
      assert.ok(codec.decompressSync(framed, bytes.length).equals(bytes));
      assert.throws(() => codec.decompressSync(framed, bytes.length - 1), /more than/);
      assert.throws(() => codec.decompressSync(framed.subarray(0, framed.length - 1), 1 << 24));
    }),
    { numRuns: 40 },
  );
});

test("snappy refuses a block that only states a size of gigabytes", async () => {
  const codec = await loadCodec("snappy");
  assert.throws(
    () => codec.decompressSync(Buffer.from("ffffffff0f00", "hex"), MAX_RECORDS_BYTES),
    /more than 134217728 bytes/,
  );
});

test("lz4 and zstd refuse frames that need a dictionary, are of no known kind or are cut", async () => {
  const lz4 = await loadCodec("lz4");
  const zstd = await loadCodec("zstd");
  for (const hex of [
    "",
    "04224d18",
    "02214c1800",
    "04224d1861707300000000",
    "04224d1820307300000000",
  ]) {
    assert.throws(() => lz4.decompressSync(Buffer.from(hex, "hex"), 1000), hex);
  }
  for (const hex of ["", "28b52ffd", "27b52ffd00580100", "28b52ffd0058070000"]) {
    assert.throws(() => zstd.decompressSync(Buffer.from(hex, "hex"), 1000), hex);
  }
  // A window of 2 GiB for a frame of nothing.
  assert.throws(
    () => zstd.decompressSync(Buffer.from("28b52ffd00a8010000", "hex"), MAX_RECORDS_BYTES),
    /more than/,
  );
});

test("no codec is loaded before it is needed", () => {
  const script = (name: string): string => `
    const { createRequire } = await import("node:module");
    const require = createRequire(${JSON.stringify(path.join(projectRoot, "package.json"))});
    await import(${JSON.stringify(path.join(projectRoot, "dist/src/index.js"))});
    const { loadCodec } = await import(${JSON.stringify(path.join(projectRoot, "dist/src/kafka-wire/compression.js"))});
    ${name === "none" ? "" : `await loadCodec("${name}");`}
    console.log(Object.keys(require.cache).filter((file) => /node_modules.*(snappy|lz4|zstd)/.test(file)).length);
  `;
  const count = (name: string): number => {
    const args = ["--input-type=module", "-e", script(name)];
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    assert.notEqual(stdout, "", stderr);
    return Number(stdout);
  };
  assert.equal(count("none"), 0);
  assert.ok(count("snappy") > 0);
  assert.ok(count("lz4") > 0);
});

test("a codec has the number that Kafka gave it", () => {
  assert.deepEqual([...COMPRESSION_NAMES], ["none", "gzip", "snappy", "lz4", "zstd"]);
});
