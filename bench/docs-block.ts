import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { projectRoot } from "../test/brokers.ts";

/** Blocks of docs/benchmarks.md that measuring fills in. */
export type DocsBlock = "table 1" | "table 2" | "live";

/** Puts what was measured into docs/benchmarks.md. */
export function writeDocsBlock(block: DocsBlock, content: string): void {
  const file = path.join(projectRoot, "docs/benchmarks.md");
  writeFileSync(file, replaceDocsBlock(readFileSync(file, "utf8"), block, content));
}

/**
 * Replaces what stands between a block's two marks.
 * @param document Markdown with `<!-- table 1: begin -->` and `<!-- table 1: end -->`, each once
 * @throws RangeError when a mark is missing
 */
export function replaceDocsBlock(document: string, block: DocsBlock, content: string): string {
  const [begin, end] = [`<!-- ${block}: begin -->`, `<!-- ${block}: end -->`];
  const from = document.indexOf(begin);
  const to = document.indexOf(end, from);
  if (from < 0 || to < 0) throw new RangeError(`no block between ${begin} and ${end}`);
  return `${document.slice(0, from + begin.length)}\n\n${content.trim()}\n\n${document.slice(to)}`;
}
