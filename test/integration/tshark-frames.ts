import assert from "node:assert/strict";
import { runProgram } from "./other-programs.ts";
import { RunningProcess } from "./pcapts-process.ts";

const FIELDS = ["time_epoch", "len", "cap_len", "encap_type", "md5_hash"];

/**
 * What tshark reads of each frame: time, lengths, link type, and a hash of its bytes.
 *
 * @param file whole, or cut: then the frames before the cut
 */
export async function readFrames(file: string): Promise<string[]> {
  const command = ["tshark", "-n", "-r", file, "-o", "frame.generate_md5_hash:TRUE"];
  const columns = ["-T", "fields", "-E", "separator=/s"];
  const fields = FIELDS.flatMap((field) => ["-e", `frame.${field}`]);
  const { stdout } = await new RunningProcess([...command, ...columns, ...fields], {
    input: Buffer.alloc(0),
  }).ended;
  return (
    stdout
      .toString()
      .split("\n")
      // tshark lists blocks of unknown types, too; they have no link type.
      .filter((line) => line !== "" && !line.includes("  "))
      // A simple packet has no time; in Kafka it has 0.
      .map((line) => (line.startsWith(" ") ? `0.000000000${line}` : line))
  );
}

/** What capinfos says of the order of a file's frames. */
export async function isInOrder(file: string): Promise<boolean> {
  const { stdout } = await runProgram(["capinfos", "-o", file]);
  return /Strict time order:\s+True/.test(stdout.toString());
}

/** Fails unless both have the same lines, each as often, in whatever order; shows the first that differ. */
export function assertSameFrames(actual: readonly string[], expected: readonly string[]): void {
  const surplus = new Map<string, number>();
  for (const line of actual) surplus.set(line, (surplus.get(line) ?? 0) + 1);
  for (const line of expected) surplus.set(line, (surplus.get(line) ?? 0) - 1);
  const differing = [...surplus].filter(([, count]) => count !== 0);
  const shown = differing.slice(0, 20).map(([line, count]) => `${count > 0 ? "+" : "-"} ${line}`);
  assert.equal(differing.length, 0, `${differing.length} differ, such as\n${shown.join("\n")}`);
}
