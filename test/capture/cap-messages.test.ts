import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { CapMessageReader, writeMessageHeader } from "../../src/capture/cap-messages.ts";

function encode(kind: number, payload: Uint8Array, frameCount: number): Buffer {
  const header = Buffer.alloc(12);
  writeMessageHeader(header, kind, payload.length, frameCount);
  return Buffer.concat([header, payload]);
}

test("messages come out of pieces of any length as they went in", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(3), fc.uint8Array({ maxLength: 200 }), fc.nat()), { maxLength: 8 }),
      fc.integer({ min: 1, max: 300 }),
      async (messages, pieceBytes) => {
        const pipe = new PassThrough();
        const reader = new CapMessageReader(pipe);
        const bytes = Buffer.concat(messages.map((message) => encode(...message)));
        for (let at = 0; at < bytes.length; at += pieceBytes) {
          pipe.write(bytes.subarray(at, at + pieceBytes));
        }
        pipe.end();
        for (const [kind, payload, frameCount] of messages) {
          const message = await reader.next();
          assert.deepEqual(message, { kind, frameCount, payload: Buffer.from(payload) });
        }
        assert.equal(await reader.next(), undefined);
      },
    ),
  );
});

test("a message that is cut by the end of the pipe is none", async () => {
  const pipe = new PassThrough();
  const reader = new CapMessageReader(pipe);
  pipe.end(encode(2, Buffer.alloc(100), 1).subarray(0, 50));
  assert.equal(await reader.next(), undefined);
});

test("a pipe that breaks ends the messages", async () => {
  const pipe = new PassThrough();
  const reader = new CapMessageReader(pipe);
  const waiting = reader.next();
  pipe.destroy(new Error("read ECONNRESET"));
  assert.equal(await waiting, undefined);
});

test("the pipe is left alone while nobody asks, and emptied when its writer must end", async () => {
  const pipe = new PassThrough({ highWaterMark: 64 * 1024 });
  const reader = new CapMessageReader(pipe);
  const message = encode(2, Buffer.alloc(100_000), 1);
  let taken = 0;
  for (let n = 0; n < 100; n++) pipe.write(message, () => taken++);
  for (let n = 0; n < 200; n++) await turn();
  assert.ok(taken > 5 && taken < 20, `${taken} of 100 messages taken in`);
  reader.takeRest();
  for (let n = 0; n < 200; n++) await turn();
  assert.equal(taken, 100);
  for (let n = 0; n < 100; n++) assert.equal((await reader.next())?.payload.length, 100_000);
});
