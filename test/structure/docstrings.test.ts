import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import ts from "typescript";
import { projectRoot } from "../brokers.ts";

// typedoc checks classes, interfaces, types and variables. It does not tell functions from
// methods, and a method such as readInt16() says all with its name.
test("every exported function of src has a docstring", () => {
  const missing = readdirSync(path.join(projectRoot, "src"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
    .flatMap((name) => undocumentedFunctions(path.join("src", name)));
  assert.deepEqual(missing, []);
});

function undocumentedFunctions(file: string): string[] {
  const text = readFileSync(path.join(projectRoot, file), "utf8");
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ESNext, true);
  const documented = new Set<string>();
  const exported = source.statements.filter(
    (statement): statement is ts.FunctionDeclaration =>
      ts.isFunctionDeclaration(statement) &&
      (ts.getCombinedModifierFlags(statement) & ts.ModifierFlags.Export) !== 0,
  );
  // One docstring serves all overloads.
  for (const { name } of exported.filter((f) => ts.getJSDocCommentsAndTags(f).length > 0)) {
    documented.add(name?.text ?? "");
  }
  return exported
    .map(({ name }) => name?.text ?? "")
    .filter((name) => !documented.has(name))
    .map((name) => `${file} ${name}()`);
}
