import { type DocsBlock, writeDocsBlock } from "../../bench/docs-block.ts";

/**
 * Prints what a long test has measured, and with `PCAPTS_TEST_DOCS=1` in the environment writes it into its page.
 *
 * @param facts a line each
 * @param table rows of cells, the heading first
 */
export function writeReport(
  block: DocsBlock,
  facts: readonly string[],
  table: readonly (readonly string[])[],
): void {
  const [heading = [], ...rows] = table;
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const rule = line(heading.map((_, column) => (column === 0 ? "---" : "---:")));
  const text = [
    ...facts.map((fact) => `- ${fact}`),
    "",
    line(heading),
    rule,
    ...rows.map(line),
  ].join("\n");
  console.log(text);
  if (process.env["PCAPTS_TEST_DOCS"] === "1") writeDocsBlock(block, text);
}
