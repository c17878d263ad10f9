import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { format, resolveConfig } from "prettier";
import { formatCommandLinePage } from "../../src/config/command-line-page.ts";
import { formatConfigurationPage } from "../../src/config/configuration-page.ts";
import { PROPERTY_BY_NAME } from "../../src/config/kafka-properties.ts";
import { formatManualPage } from "../../src/config/manual-page.ts";
import { OPTION_TABLE, type OptionRow } from "../../src/config/option-table.ts";

const pathOf = (name: string): string =>
  fileURLToPath(new URL(`../../../docs/${name}`, import.meta.url));

async function formatMarkdown(name: string, text: string): Promise<string> {
  const style = await resolveConfig(pathOf(name));
  return format(text, { ...style, filepath: pathOf(name) });
}

for (const [name, formatPage] of [
  ["command-line.md", formatCommandLinePage],
  ["configuration.md", formatConfigurationPage],
] as const) {
  test(`docs/${name} is what scripts/make-docs.js makes of the tables`, async () => {
    const made = await formatMarkdown(name, formatPage());
    assert.ok((await readFile(pathOf(name), "utf8")) === made, "npm run docs makes it anew");
  });
}

test("docs/pcapts.1 is what scripts/make-docs.js makes of the tables", async () => {
  assert.ok((await readFile(pathOf("pcapts.1"), "utf8")) === formatManualPage(), "npm run docs");
});

test("docs/pcapts.1 is what man and mandoc read without a warning, where they are installed", () => {
  for (const [program, args] of [
    ["groff", ["-man", "-ww", "-Tutf8"]],
    ["mandoc", ["-T", "lint", "-W", "warning"]],
  ] as const) {
    if (!isInstalled(program)) continue;
    const found = execFileSync("sh", ["-c", '"$@" 2>&1 >/dev/null', "sh", program, ...args], {
      input: formatManualPage(),
      encoding: "utf8",
    });
    assert.equal(found, "", program);
  }
});

test("docs/pcapts.1 has every flag and every property that has a meaning", () => {
  const page = formatManualPage().replaceAll(String.raw`\-`, "-");
  for (const row of OPTION_TABLE as readonly OptionRow[]) {
    assert.ok(page.includes(String.raw`\fB--${row.long}\fR`), row.long);
  }
  for (const name of PROPERTY_BY_NAME.keys()) {
    assert.ok(page.includes(String.raw`\fB${name}\fR`), name);
  }
  for (const line of page.split("\n")) {
    assert.match(line, /^($|[^.']|\.(\\"|TH|SH|SS|TP|PP|br|B|BI|BR|IR|RB|RI)( |$))/);
  }
});

function isInstalled(program: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`]);
    return true;
  } catch {
    return false;
  }
}
