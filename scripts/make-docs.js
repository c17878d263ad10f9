#!/usr/bin/env node
// Writes the pages of docs/ that are made from the tables in src/config; needs a build (npm run build).
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { format, resolveConfig } from "prettier";
import { formatCommandLinePage } from "../dist/src/config/command-line-page.js";
import { formatConfigurationPage } from "../dist/src/config/configuration-page.js";
import { formatManualPage } from "../dist/src/config/manual-page.js";

const PAGES = {
  "command-line.md": formatCommandLinePage,
  "configuration.md": formatConfigurationPage,
  "pcapts.1": formatManualPage,
};

for (const [name, formatPage] of Object.entries(PAGES)) {
  const page = fileURLToPath(new URL(`../docs/${name}`, import.meta.url));
  const style = await resolveConfig(page);
  const made = formatPage();
  const text = name.endsWith(".md") ? await format(made, { ...style, filepath: page }) : made;
  if (text === (await readFile(page, "utf8").catch(() => ""))) continue;
  await writeFile(page, text);
  console.log(`docs/${name} is made anew`);
}
