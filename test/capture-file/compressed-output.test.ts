import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { CompressedOutput } from "../../src/capture-file/compressed-output.ts";
import { loadCodec } from "../../src/kafka-wire/compression.ts";

for (const compression of ["gzip", "zstd"] as const) {
  // The package of zstd for older Nodes was initialised for each output, which took its memory away
  // from under the others: they wrote zeros.
  test(`several outputs of ${compression} in one process, beside a topic's codec, each write what the program reads`, async () => {
    const text = "frame after frame ".repeat(10_000);
    for (let file = 0; file < 3; file++) {
      const target = new PassThrough({ highWaterMark: 2 ** 24 });
      const output = new CompressedOutput(target, compression);
      const written = buffer(target);
      output.write(text);
      await output.flush();
      await loadCodec(compression);
      output.end(text);
      await once(output, "finish");
      const decompressed = execFileSync(compression, ["-dc"], { input: await written });
      assert.equal(decompressed.toString(), text + text);
    }
  });
}
