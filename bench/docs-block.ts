import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { projectRoot } from "../test/brokers.ts";

/** Blocks that measuring fills in, and the pages they stand in. */
const BLOCK_PAGES = {
  "table 1": "docs/benchmarks.md",
  "table 2": "docs/benchmarks.md",
  brokers: "docs/benchmarks.md",
  live: "docs/live-benchmarks.md",
  outages: "docs/outages.md",
  soak: "docs/outages.md",
  drain: "docs/outages.md",
} as const;

/** Name of a block, as its marks say it. */
export type DocsBlock = keyof typeof BLOCK_PAGES;

/** Puts what was measured into its page. */
export function writeDocsBlock(block: DocsBlock, content: string): void {
  const file = path.join(projectRoot, BLOCK_PAGES[block]);
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
