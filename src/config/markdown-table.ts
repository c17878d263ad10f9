/**
 * A Markdown table, its columns not yet aligned.
 *
 * @param head titles of the columns
 * @param rows as many cells in each
 * @returns whole lines
 */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
  return line(head) + line(head.map(() => "---")) + rows.map(line).join("");
}
