import { randomBytes } from "node:crypto";
import type { OffsetSpan } from "../kafka/offset-spans.ts";

/** What is noted beside an offset that a group commits. */
export interface CommitNote {
  /**
   * The same from commit to commit, as long as each of a partition's was made by who had read the note
   * of the one before: then nothing is missing in `outputs`. Empty when nobody has begun.
   */
  readonly line: string;
  /**
   * Outputs that have frames before the offset, by their ids, newest first, each with the number of
   * the point in it that was committed last.
   */
  readonly outputs: ReadonlyMap<string, number>;
  /** Records behind the offset that are dealt with already, in order. */
  readonly done: readonly OffsetSpan[];
}

/*
 * The note is the metadata of a committed offset, text that Kafka keeps beside it:
 *
 *   pcapts:1 SP line SP outputs SP ranges
 *   line     random; - for none
 *   outputs  id=number, with commas between; - for none
 *   ranges   records passed over+records dealt with, with commas between; - for none
 *
 *   pcapts:1 s0Jq8_Wd Zk3m_9xA=17,b0Qw5-Yt=3 4+12,1+30
 */
const FIRST_WORD = "pcapts:1";
const NONE = "-";

/** A note is far below the 4,096 characters that Kafka keeps. */
const MOST_OUTPUTS = 20;

/** So much of it may be ranges; frames of those that are left out would be there twice after a crash. */
const LONGEST_RANGES = 3000;

/** A note that says nothing. */
export const EMPTY_NOTE: CommitNote = { line: "", outputs: new Map(), done: [] };

/** @param offset that is committed: ranges are told from there */
export function formatCommitNote({ line, outputs, done }: CommitNote, offset: bigint): string {
  let at = offset;
  let ranges = "";
  for (const { from, to } of done) {
    const text = `${ranges === "" ? "" : ","}${from - at}+${to - from}`;
    if (ranges.length + text.length > LONGEST_RANGES) break;
    ranges += text;
    at = to;
  }
  const known = [...outputs].map(([id, number]) => `${id}=${number}`);
  return [FIRST_WORD, line || NONE, known.join(",") || NONE, ranges || NONE].join(" ");
}

/** @returns an empty note for what other clients have written there */
export function parseCommitNote(text: string, offset: bigint): CommitNote {
  const [first, line = "", outputs = "", ranges = ""] = text.split(" ");
  if (first !== FIRST_WORD) return EMPTY_NOTE;
  let at = offset;
  const done = [...ranges.matchAll(/(\d+)\+(\d+)/g)].map(([, skipped = "", count = ""]) => {
    const from = at + BigInt(skipped);
    at = from + BigInt(count);
    return { from, to: at };
  });
  const known = [...outputs.matchAll(/([\w-]+)=(\d+)/g)];
  return {
    line: line === NONE ? "" : line,
    outputs: new Map(known.map(([, id = "", number]) => [id, Number(number)])),
    done,
  };
}

/** A name that nobody else has. */
export function newNoteId(): string {
  return randomBytes(6).toString("base64url");
}

/** What is noted when a point of an output is committed behind what is noted already. */
export function withOutput(note: CommitNote, id: string, number: number): CommitNote {
  const others = [...note.outputs].filter(([other]) => other !== id);
  // Where one has to be forgotten, nobody may conclude anything from its absence.
  const line = others.length < MOST_OUTPUTS ? note.line : newNoteId();
  return { ...note, line, outputs: new Map([[id, number], ...others.slice(0, MOST_OUTPUTS - 1)]) };
}
