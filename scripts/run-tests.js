// Runs the compiled tests with node's own runner: one Kafka for all of them,
// started only when one of them asks for it, and stopped whatever happens. It
// has secure listeners beside the plain one when a test asks for those.
// A skipped or unfinished (todo) test is a failure here.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { constants } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);

const CONCURRENCY = 2;
const SUMMARY_LINE = /^ℹ (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([\d.]+)$/;

/** Where the shared servers come from. */
const PROVIDERS = new Set(["dist/test/brokers.js", "dist/test/secure-cluster.js"]);

const args = process.argv.slice(2);
const long = args.includes("--long");
const wanted = args.filter((argument) => argument !== "--long");
// A test or a file (node counts a file as one) that takes longer hangs.
const timeoutMs = long ? 1_800_000 : 300_000;

const tests = testFiles(wanted);
if (tests.length === 0) fail("no test file to run");
const compiled = tests.map((file) => path.join("dist", file.replace(/\.ts$/, ".js")));
for (const file of compiled) {
  if (!existsSync(file)) fail(`${file} is missing: npm run build`);
}

let broker;
let runner;
let stoppedBy;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    if (stoppedBy !== undefined) process.exit(128 + constants.signals[signal]);
    stoppedBy = signal;
    runner?.kill("SIGTERM");
  });
}

let status = 1;
try {
  status = await run();
} finally {
  await broker?.remove();
}
process.exit(stoppedBy === undefined ? status : 128 + constants.signals[stoppedBy]);

async function run() {
  const env = { ...process.env };
  delete env["FORCE_COLOR"];
  delete env["NODE_TEST_CONTEXT"];
  const begin = performance.now();
  const ready = (what) =>
    console.log(`${what} after ${((performance.now() - begin) / 1000).toFixed(1)} s`);
  const brokers = await import(pathToFileURL("dist/test/brokers.js").href);
  if (compiled.some((file) => asksFor("sharedSecureCluster", file))) {
    const secure = await import(pathToFileURL("dist/test/secure-cluster.js").href);
    const cluster = await secure.startSecureCluster();
    broker = cluster;
    ready(`Kafka with secure listeners ready at ${cluster.bootstrap.PLAINTEXT}`);
    env[secure.SHARED_SECURE_CLUSTER_VARIABLE] = cluster.factsFile;
    env[brokers.SHARED_BROKER_VARIABLE] ||= cluster.bootstrap.PLAINTEXT;
  } else if (
    compiled.some((file) => asksFor("sharedBroker", file)) &&
    !env[brokers.SHARED_BROKER_VARIABLE]
  ) {
    broker = await brokers.startBroker();
    ready(`Kafka ready at ${broker.bootstrap}`);
    env[brokers.SHARED_BROKER_VARIABLE] = broker.bootstrap;
  }
  if (stoppedBy !== undefined) return 1;

  runner = spawn(
    process.execPath,
    [
      "--test",
      "--test-reporter=spec",
      "--test-reporter-destination=stdout",
      `--test-concurrency=${long ? 1 : CONCURRENCY}`,
      `--test-timeout=${timeoutMs}`,
      ...compiled,
    ],
    { env, stdio: ["ignore", "pipe", "inherit"] },
  );
  const exited = once(runner, "exit");

  // node prints what failed after its summary; the summary shall be last.
  const summary = new Map();
  for await (const line of createInterface({ input: runner.stdout })) {
    const found = SUMMARY_LINE.exec(line);
    if (found === null) console.log(line);
    else summary.set(found[1], found[2]);
  }
  const [code] = await exited;

  const left = ["skipped", "todo"].filter((name) => summary.get(name) !== "0");
  if (summary.size === 0) console.log("node was stopped before it printed its summary");
  else if (left.length > 0)
    console.log(`tests were left out, which is a failure: ${left.join(", ")}`);
  for (const [name, value] of summary) console.log(`ℹ ${name} ${value}`);
  return code === 0 && left.length === 0 ? 0 : code || 1;
}

/** Test sources of the arguments, else all; those of test/long only when asked for. */
function testFiles(names) {
  const everything = readdirSync("test", { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => path.join("test", name))
    .toSorted();
  if (names.length === 0) {
    return everything.filter((file) => file.startsWith(path.join("test", "long", "/")) === long);
  }
  return names.flatMap((name) => {
    const source = path
      .relative(root, path.resolve(process.env["INIT_CWD"] ?? root, name))
      .replace(/^dist\//, "")
      .replace(/\.js$/, ".ts");
    if (!existsSync(source)) fail(`no such test: ${name}`);
    if (!statSync(source).isDirectory()) return [source];
    return everything.filter((file) => file.startsWith(path.join(source, "/")));
  });
}

/** Whether a compiled test, or a file beside the tests that it imports, calls `sharedX`. */
function asksFor(name, file, seen = new Set()) {
  if (seen.has(file) || PROVIDERS.has(file)) return false;
  seen.add(file);
  const code = readFileSync(file, "utf8");
  if (new RegExp(`\\b${name}\\(`).test(code)) return true;
  for (const [, specifier] of code.matchAll(/\bfrom\s+"(\.[^"]+)"|\bimport\("(\.[^"]+)"\)/g)) {
    if (specifier === undefined) continue;
    const target = path.join(path.dirname(file), specifier);
    if (target.startsWith(path.join("dist", "test", "/")) && existsSync(target)) {
      if (asksFor(name, target, seen)) return true;
    }
  }
  return false;
}

function fail(message) {
  console.error(`test: ${message}`);
  process.exit(2);
}
