import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import path from "node:path";
import { test } from "node:test";
import ts from "typescript";
import { projectRoot } from "../brokers.ts";

/** Which folder of src may import from which; imports of types count. Everything may import the root files. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  cli: [
    "config",
    "pipeline",
    "capture",
    "kafka",
    "broker",
    "service",
    "capture-file",
    "packet",
    "bytes",
  ],
  // The option tables build options of these; only their types are needed.
  config: ["kafka", "packet", "bytes"],
  pipeline: ["capture", "kafka", "spool", "storage", "capture-file", "packet", "bytes"],
  service: ["pipeline", "capture", "kafka", "packet", "bytes"],
  broker: ["kafka-wire", "storage", "packet", "bytes"],
  kafka: ["spool", "kafka-wire", "packet", "bytes"],
  spool: ["kafka-wire", "storage", "bytes"],
  capture: ["capture-file", "packet", "bytes"],
  "capture-file": ["packet", "bytes"],
  "kafka-wire": ["packet", "bytes"],
  packet: ["bytes"],
  storage: [],
  bytes: [],
};

/** Files of src itself that every folder may import. */
const FOR_ALL = new Set(
  ["back-off", "errors", "logger", "native-addon", "package-file", "require-package"].map(
    (name) => `src/${name}.ts`,
  ),
);

/** The library's front door imports what it exports. */
const FRONT_DOOR = "src/index.ts";

const VAGUE_NAMES = /(^|[-.])(utils?|helpers?|common|misc|types?)([-.]|$)/;

interface SourceImport {
  readonly file: string;
  readonly line: number;
  readonly specifier: string;
  readonly typeOnly: boolean;
}

interface SourceFacts {
  readonly imports: readonly SourceImport[];
  /** Uses of process, console and the like: "file:line name". */
  readonly processUses: readonly string[];
}

const files = readdirSync(path.join(projectRoot, "src"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => `src/${name.split(path.sep).join("/")}`)
  .toSorted();

const facts = new Map(files.map((file) => [file, readFacts(file)]));
const imports = [...facts.values()].flatMap((fact) => fact.imports);

test("imports between folders of src go down only, type imports included", () => {
  const wrong: string[] = [];
  for (const { file, line, specifier } of imports) {
    if (!specifier.startsWith(".") || file === FRONT_DOOR) continue;
    const target = path.posix.join(path.posix.dirname(file), specifier);
    const from = folderOf(file);
    const to = folderOf(target);
    const allowed =
      FOR_ALL.has(target) ||
      (from !== undefined && (from === to || (to !== undefined && ARROWS[from]?.includes(to))));
    if (!allowed) wrong.push(`${file}:${line} imports ${target}`);
  }
  assert.deepEqual(wrong, []);
});

test("config takes only types from kafka", () => {
  const wrong = imports
    .filter(({ file, specifier, typeOnly }) => {
      return folderOf(file) === "config" && specifier.startsWith("../kafka/") && !typeOnly;
    })
    .map(({ file, line }) => `${file}:${line}`);
  assert.deepEqual(wrong, []);
});

test("every folder of src has its arrows", () => {
  const folders = new Set(files.map(folderOf).filter((folder) => folder !== undefined));
  assert.deepEqual(
    [...folders].filter((folder) => !(folder in ARROWS)),
    [],
  );
});

test("src imports only packages that an installation brings along", () => {
  const manifest = JSON.parse(readFileSync(path.join(projectRoot, "package.json"), "utf8")) as {
    dependencies: Record<string, string>;
    optionalDependencies: Record<string, string>;
  };
  const installed = { ...manifest.dependencies, ...manifest.optionalDependencies };
  const wrong = imports
    .filter(({ specifier }) => !specifier.startsWith(".") && !isBuiltin(specifier))
    .filter(({ specifier }) => !(packageOf(specifier) in installed))
    .map(({ file, line, specifier }) => `${file}:${line} imports ${specifier}`);
  assert.deepEqual(wrong, []);
});

test("kafkajs is loaded in src/kafka/kafkajs-modules.ts alone", () => {
  const importers = imports
    .filter(({ specifier }) => packageOf(specifier) === "kafkajs")
    // --version reads it.
    .filter(({ specifier }) => specifier !== "kafkajs/package.json")
    .map(({ file }) => file)
    .filter((file) => !/^src\/kafka\/[^/]+\.d\.ts$/.test(file));
  assert.deepEqual(
    importers.filter((file) => file !== "src/kafka/kafkajs-modules.ts"),
    [],
  );
});

test("the addon of native/ is loaded in src/native-addon.ts alone", () => {
  const loaders = imports
    .filter(({ specifier }) => /^node-gyp-build$|\.node$|(^|\/)native\//.test(specifier))
    .map(({ file, specifier }) => `${file} ${specifier}`);
  assert.deepEqual(loaders, ["src/native-addon.ts node-gyp-build"]);
});

/** A program of its own; and libkrb5 reads the environment, nothing else tells it what to use. */
const MAY_USE_PROCESS = new Set(["src/capture/cap-child.ts", "src/kafka/kerberos-environment.ts"]);

test("process and console are used in src/cli, by the capture child and for libkrb5 alone", () => {
  const uses = [...facts]
    .filter(([file]) => folderOf(file) !== "cli" && !MAY_USE_PROCESS.has(file))
    .flatMap(([, fact]) => fact.processUses);
  assert.deepEqual(uses, []);
});

test("no file has a name that says nothing", () => {
  const all = ["src", "test", "bench"].flatMap((folder) =>
    readdirSync(path.join(projectRoot, folder), { recursive: true, encoding: "utf8" }),
  );
  assert.deepEqual(
    all.filter((name) => {
      const base = path.basename(name).replace(/\.(d|test)?\.?[a-z]+$/, "");
      // link-types.ts is about types of links; types.ts is about nothing.
      return VAGUE_NAMES.test(base) && !/.-types?$/.test(base);
    }),
    [],
  );
});

/** Folder of src that a file lies in; undefined for files of src itself. */
function folderOf(file: string): string | undefined {
  return /^(?:src\/)?([^/]+)\//.exec(file.replace(/^src\/(?=[^/]+$)/, ""))?.[1];
}

/** `a/b` is package `a`, `@a/b/c` is `@a/b`. */
function packageOf(specifier: string): string {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

function readFacts(file: string): SourceFacts {
  const text = readFileSync(path.join(projectRoot, file), "utf8");
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ESNext, true);
  const found: SourceImport[] = [];
  const processUses: string[] = [];
  const lineOf = (node: ts.Node): number =>
    source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
  const add = (node: ts.Node, specifier: ts.Node | undefined, typeOnly: boolean): void => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return;
    found.push({ file, line: lineOf(node), specifier: specifier.text, typeOnly });
    if (/^(node:)?(process|console)$/.test(specifier.text)) {
      processUses.push(`${file}:${lineOf(node)} imports ${specifier.text}`);
    }
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      const onlyTypes = node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword;
      add(node, node.moduleSpecifier, onlyTypes);
    } else if (ts.isExportDeclaration(node)) {
      add(node, node.moduleSpecifier, node.isTypeOnly);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node, node.argument.literal, true);
    } else if (ts.isCallExpression(node) && isImportCall(node)) {
      add(node, node.arguments[0], false);
    } else if (ts.isIdentifier(node) && isGlobalUse(node)) {
      processUses.push(`${file}:${lineOf(node)} ${node.text}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { imports: found, processUses };
}

/** `import("x")`, `requirePackage("x")`, and the like with `.resolve`. */
function isImportCall(call: ts.CallExpression): boolean {
  const callee = call.expression;
  return (
    callee.kind === ts.SyntaxKind.ImportKeyword || /^require(Package)?(\.|$)/.test(callee.getText())
  );
}

/** An identifier that means the global, not a property or a name of the file's own. */
function isGlobalUse(node: ts.Identifier): boolean {
  if (node.text !== "process" && node.text !== "console") return false;
  const parent = node.parent;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isPropertyAssignment(parent)) return parent.initializer === node;
  return (parent as ts.Node & { readonly name?: ts.Node }).name !== node;
}
