import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteReader } from "../../src/bytes/byte-reader.ts";
import { INT64 } from "../../src/kafka-wire/message-grammar.ts";
import { PieceWriter } from "../../src/kafka-wire/piece-writer.ts";

test("every INT64 that can be read can be written, the largest and the smallest exactly", () => {
  for (const value of [2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n, -1n, 0n]) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(value);
    const read = INT64.form.read(new ByteReader(bytes), 0, false);
    const writer = new PieceWriter();
    INT64.form.write(writer, read, 0, false);
    assert.deepEqual(Buffer.concat(writer.finish()), bytes, `${value}`);
  }
});
