// Bundles the command line: dist/src/cli/start.js and what it imports become dist/cli. Of packages only those are
// taken in that every run loads as ES modules, with their licences.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { build } from "esbuild";

const OUTPUT = "dist/cli";
const TAKEN_IN = new Set(["yargs"]);

/** A long run loads these late: their names stay the same when the program is upgraded under it. */
const CODECS = ["zstd", "lz4", "snappy", "gzip"].map((name) => `kafka-wire/${name}-codec`);
const COMPRESSED_FILES = ["zstd", "lz4"].map((name) => `capture-file/${name}-bytes`);

const { dependencies, optionalDependencies } = JSON.parse(readFileSync("package.json", "utf8"));
const packages = Object.keys({ ...dependencies, ...optionalDependencies });

rmSync(OUTPUT, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: ["cli/start", ...CODECS, ...COMPRESSED_FILES].map((name) => `dist/src/${name}.js`),
  entryNames: "[name]",
  outdir: OUTPUT,
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  external: packages.filter((name) => !TAKEN_IN.has(name)),
  metafile: true,
  logLevel: "warning",
});

const folders = Object.keys(metafile.inputs).flatMap(
  (file) => /^node_modules\/(?:.*node_modules\/)?(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? [],
);
const licences = [...new Set(folders)].toSorted().map((folder) => {
  const name = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
  if (name === undefined) throw new Error(`${folder} has no licence`);
  return `${path.basename(folder)}\n\n${readFileSync(path.join(folder, name), "utf8").trim()}\n`;
});
writeFileSync(path.join(OUTPUT, "LICENSES.txt"), licences.join("\n---\n\n"));
