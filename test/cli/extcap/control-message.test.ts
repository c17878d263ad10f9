import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  CONTROL,
  type ControlMessage,
  ControlReader,
  encodeControl,
} from "../../../src/cli/extcap/control-message.ts";

test("encodeControl() writes what Wireshark's guide shows", () => {
  assert.equal(encodeControl(2, CONTROL.SET, "begin").toString("hex"), "540000070201626567696e");
  assert.equal(encodeControl(0, CONTROL.INITIALIZED, "").toString("hex"), "540000020000");
});

test("encodeControl() cuts a text that is longer than a message may be", () => {
  const message = encodeControl(5, CONTROL.ADD, "x".repeat(100_000));
  assert.equal(message.length, 6 + 65_535);
  assert.equal(message.readUIntBE(1, 3), 65_537);
});

test("ControlReader puts messages together however the pipe cuts them", () => {
  const message = fc.record(
    {
      control: fc.nat(255),
      command: fc.nat(255),
      payload: fc.string({ unit: "grapheme", maxLength: 300 }),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(message), fc.array(fc.integer({ min: 1, max: 40 })), (sent, cuts) => {
      const bytes = Buffer.concat(
        sent.map(({ control, command, payload }) => encodeControl(control, command, payload)),
      );
      const reader = new ControlReader();
      const got: ControlMessage[] = [];
      for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const end = at + (cuts[turn % Math.max(cuts.length, 1)] ?? bytes.length);
        got.push(...reader.read(bytes.subarray(at, end)));
        at = end;
      }
      assert.deepEqual(got, sent);
    }),
  );
});

test("ControlReader lets go of what is no message, and keeps no more than one", () => {
  const reader = new ControlReader();
  assert.deepEqual(reader.read(Buffer.from("garbage that is no message")), []);
  const message = encodeControl(1, CONTROL.SET, "tcp");
  assert.deepEqual(reader.read(message), [{ control: 1, command: CONTROL.SET, payload: "tcp" }]);
});
