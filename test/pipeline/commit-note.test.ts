import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { joinSpans } from "../../src/kafka/offset-spans.ts";
import {
  type CommitNote,
  EMPTY_NOTE,
  formatCommitNote,
  newNoteId,
  parseCommitNote,
  withOutput,
} from "../../src/pipeline/commit-note.ts";

const arbitraryId = fc.constant(undefined).map(newNoteId);

const arbitraryNote = fc
  .record({
    offset: fc.bigInt({ min: 0n, max: 2n ** 62n }),
    line: fc.oneof(fc.constant(""), arbitraryId),
    outputs: fc.array(fc.tuple(arbitraryId, fc.nat()), { maxLength: 20 }),
    spans: fc.array(fc.tuple(fc.nat(10_000), fc.integer({ min: 1, max: 100 })), { maxLength: 30 }),
  })
  .map(({ offset, line, outputs, spans }): { offset: bigint; note: CommitNote } => {
    const done = spans.map(([from, length]) => ({
      from: offset + BigInt(from + 1),
      to: offset + BigInt(from + 1 + length),
    }));
    return { offset, note: { line, outputs: new Map(outputs), done: joinSpans(done, offset) } };
  });

test("a note is read as it was written, and is no longer than what Kafka keeps", () => {
  fc.assert(
    fc.property(arbitraryNote, ({ note, offset }) => {
      const text = formatCommitNote(note, offset);
      assert.deepEqual(parseCommitNote(text, offset), note);
      assert.ok(text.length <= 4096, `${text.length} characters`);
    }),
  );
});

test("a note with the most it can have fits into what Kafka keeps", () => {
  const outputs = Array.from({ length: 30 }, (_, n): [string, number] => [newNoteId(), 1e9 + n]);
  let note: CommitNote = { ...EMPTY_NOTE, line: newNoteId() };
  for (const [id, number] of outputs) note = withOutput(note, id, number);
  assert.equal(note.outputs.size, 20);
  const done = Array.from({ length: 5000 }, (_, n) => ({
    from: BigInt(n * 1_000_000 + 999_000),
    to: BigInt(n * 1_000_000 + 999_999),
  }));
  assert.ok(formatCommitNote({ ...note, done }, 0n).length <= 4096);
});

test("an output that is forgotten begins a new line, so that nobody concludes anything from its absence", () => {
  let note: CommitNote = { ...EMPTY_NOTE, line: "first" };
  for (let n = 0; n < 20; n++) note = withOutput(note, `output-${n}`, n);
  assert.equal(note.line, "first");
  assert.equal(withOutput(note, "output-3", 99).line, "first");
  assert.equal(withOutput(note, "output-3", 99).outputs.get("output-3"), 99);
  const more = withOutput(note, "one-more", 1);
  assert.notEqual(more.line, "first");
  assert.equal(more.outputs.has("output-0"), false);
});

test("what other clients have noted says nothing", () => {
  for (const text of ["", "rdkafka", "pcapts:2 x - -", "consumer-1 a=1"]) {
    assert.deepEqual(parseCommitNote(text, 5n), EMPTY_NOTE);
  }
});
