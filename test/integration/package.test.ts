import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { projectRoot, randomTopicName, sharedBroker } from "../brokers.ts";
import { assertSameFrames, readCapture } from "../capture-frames.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { createVethPair } from "../system/veth-pair.ts";
import {
  assertNoStackTrace,
  type Ended,
  eventually,
  RunningProcess,
  runPcapts,
  startPcapts,
} from "./pcapts-process.ts";

/*
 * The package as it would be published: packed, installed into an empty prefix, used from there.
 * Install scripts are off, as npm may have them: `cap` is there without its addon, the libpcap engine is built.
 */

let scratch: string;
let prefix: string;
let tarball: string;

const installed = (): string => path.join(prefix, "lib/node_modules/pcapts");
const program = (): [string] => [path.join(prefix, "bin/pcapts")];

async function run(cwd: string, ...command: readonly string[]): Promise<Ended> {
  // npm tells the scripts that it runs about itself, and a nested npm would take that for its own.
  const env = Object.fromEntries(
    Object.keys(process.env)
      .filter((name) => /^npm_/i.test(name))
      .map((name) => [name, undefined]),
  );
  const ended = await new RunningProcess(command, { input: Buffer.alloc(0), cwd, env }).ended;
  assert.equal(ended.status, 0, `${command.join(" ")}\n${ended.stdout.toString()}${ended.stderr}`);
  return ended;
}

before(async () => {
  scratch = mkdtempSync(path.join(tmpdir(), "pcapts-package-"));
  prefix = path.join(scratch, "prefix");
  mkdirSync(prefix);
  // What the tests run is what is packed: building again would change files under other tests.
  const npm = ["npm", "--ignore-scripts", "--loglevel=error"];
  await run(projectRoot, ...npm, "pack", "--pack-destination", scratch);
  const name = readdirSync(scratch).find((each) => each.endsWith(".tgz")) ?? "";
  tarball = path.join(scratch, name);
  await run(scratch, ...npm, "install", "-g", "--prefix", prefix, "--prefer-offline", tarball);
});
after(() => rmSync(scratch, { recursive: true, force: true }));

test("the package holds the program, its docs and its licence, and neither tests nor sources", () => {
  const files = readdirSync(installed(), { recursive: true, encoding: "utf8" }).filter(
    (file) => !file.startsWith("node_modules"),
  );
  for (const file of [
    "bin/pcapts.js",
    "dist/cli/LICENSES.txt",
    "dist/cli/start.js",
    "dist/src/index.js",
    "dist/src/index.d.ts",
    "docs/command-line.md",
    "native/binding.gyp",
    "native/capture.c",
    `native/prebuilds/linux-${process.arch}/pcapts.node`,
    "package.json",
    "LICENSE",
    "README.md",
    "CHANGELOG.md",
  ]) {
    assert.ok(files.includes(file), `${file} is missing`);
  }
  assert.deepEqual(
    files.filter((file) => /^(test|bench|src|scripts|dist\/(test|bench))\//.test(file)),
    [],
  );
  assert.equal(existsSync(path.join(installed(), "node_modules/cap/build")), false);
});

test("--version and --help of the installed program work", async () => {
  const { version } = JSON.parse(readFileSync(path.join(projectRoot, "package.json"), "utf8")) as {
    version: string;
  };
  const [versions, help] = await Promise.all([
    runPcapts(["--version"], { command: program() }),
    runPcapts(["--help"], { command: program() }),
  ]);
  assert.equal(versions.status, 0, versions.stderr);
  assert.match(
    versions.stdout.toString(),
    new RegExp(`^pcapts ${version.replaceAll(".", "\\.")}\n`),
  );
  assert.equal(help.status, 0, help.stderr);
  assert.match(help.stdout.toString(), /--kafka-broker/);
});

test("the installed program publishes and consumes", async () => {
  const { bootstrap } = await sharedBroker();
  const topic = randomTopicName();
  const input = buildCapture({
    frames: Array.from({ length: 500 }, (_, n) => ({ bytes: buildUdpFrame(n, 100) })),
  });
  const line = ["-k", bootstrap, "-t", topic];
  const published = await runPcapts(["-p", "-r", "-", ...line], { command: program(), input });
  assert.equal(published.status, 0, published.stderr);
  const consumed = await runPcapts(["-c", "-o", "begin", "-e", ...line], { command: program() });
  assert.equal(consumed.status, 0, consumed.stderr);
  assertSameFrames(readCapture(consumed.stdout).frames, readCapture(input).frames);
});

test("the installed program captures from an interface, although no install script ran", async () => {
  const { bootstrap } = await sharedBroker();
  const topic = randomTopicName();
  const veth = await createVethPair();
  try {
    const listed = await runPcapts(["-D"], { command: program() });
    assert.match(listed.stdout.toString(), new RegExp(`^\\d+\\.${veth.name} \\[Up, Running`, "m"));

    const frames = Array.from({ length: 200 }, (_, n) => ({ bytes: buildUdpFrame(n, 100) }));
    const line = ["-k", bootstrap, "-t", topic];
    const producer = startPcapts(["-p", "-i", veth.name, "-m", "200", ...line], {
      command: program(),
    });
    await producer.says(/Starting packet capture/);
    await eventually("the end of the capture", async () => {
      await veth.send(buildCapture({ frames }), ["--pps=5000"]);
      return producer.child.exitCode !== null;
    });
    const { status, stderr } = await producer.ended;
    assert.equal(status, 0, stderr);
    assert.match(stderr, /with libpcap \d+\.\d+\.\d+: capture times and drops by the kernel/);
    const consumed = await runPcapts(["-c", "-o", "begin", "-e", ...line], { command: program() });
    assert.equal(consumed.status, 0, consumed.stderr);
    assert.equal(readCapture(consumed.stdout).frames.length, 200);
  } finally {
    await veth.remove();
  }
});

test("engine cap without its addon is refused in one sentence that says how to build it", async () => {
  const { status, stderr } = await runPcapts(["-p", "-i", "lo", "--engine", "cap"], {
    command: program(),
  });
  assert.equal(status, 1, stderr);
  assertNoStackTrace(stderr);
  const errors = stderr.split("\n").filter((line) => line.includes(" ERROR: "));
  assert.equal(errors.length, 1, stderr);
  assert.match(errors[0]!, /\bcap\b.*npm/);
});

test("a project imports the library and pcapts/pcap-writer, with their types", async () => {
  const project = path.join(scratch, "project");
  mkdirSync(path.join(project, "node_modules"), { recursive: true });
  // What `npm install` of the same tarball would put there.
  await run(project, "ln", "-s", installed(), "node_modules/pcapts");
  writeFileSync(path.join(project, "package.json"), '{"type":"module","private":true}');
  writeFileSync(
    path.join(project, "main.ts"),
    `import { PassThrough, type Writable } from "node:stream";
import { encodeKey, decodeKey, PcaptsError } from "pcapts";
import { PcapWriter } from "pcapts/pcap-writer";

const output: Writable = new PassThrough();
const writer = new PcapWriter(output, { linkType: 1, snapLengthBytes: 262144, nanosecond: false });
await writer.end();
const header = (output as PassThrough).read() as Uint8Array;
const key = encodeKey(decodeKey(Uint8Array.of(0, 6, 10, 36, 24, 32, 34, 67)));
console.log(JSON.stringify({ header: Buffer.from(header).toString("hex"), key: Buffer.from(key).toString("hex"), time: decodeKey(key).toString(), error: new PcaptsError("USAGE", "x").exitCode }));
`,
  );
  writeFileSync(
    path.join(project, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        target: "es2023",
        module: "node20",
        strict: true,
        skipLibCheck: true,
        types: ["node"],
        typeRoots: [path.join(projectRoot, "node_modules/@types")],
      },
      files: ["main.ts"],
    }),
  );
  await run(project, process.execPath, path.join(projectRoot, "node_modules/typescript/bin/tsc"));
  const { stdout } = await run(project, process.execPath, "main.js");
  assert.deepEqual(JSON.parse(stdout.toString()), {
    header: "d4c3b2a10200040000000000000000000000040001000000",
    key: "00060a2418202243",
    time: "1700000000123459",
    error: 2,
  });
});
