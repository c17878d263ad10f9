/** Blocks of docs/benchmarks.md that measuring fills in. */
export type DocsBlock = "table 1" | "table 2";

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
