#!/usr/bin/env node
// Writes docs/command-line.md from the option table; needs a build (npm run build).
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { format, resolveConfig } from "prettier";
import { formatCommandLinePage } from "../dist/src/config/command-line-page.js";

const page = fileURLToPath(new URL("../docs/command-line.md", import.meta.url));
const style = await resolveConfig(page);
const text = await format(formatCommandLinePage(), { ...style, filepath: page });
if (text !== (await readFile(page, "utf8").catch(() => ""))) {
  await writeFile(page, text);
  console.log("docs/command-line.md is made anew");
}
