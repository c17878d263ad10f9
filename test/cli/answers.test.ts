import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { promisify } from "node:util";
import { OPTION_TABLE, type OptionRow } from "../../src/config/option-table.ts";
import { PCAPTS, runPcapts } from "./pcapts-process.ts";

const run = promisify(execFile);
const rows: readonly OptionRow[] = OPTION_TABLE;

test("--version names pcapts, Node, libpcap, kafkajs and kerberos on standard output", async () => {
  const manifest = JSON.parse(
    readFileSync(new URL("../../../package.json", import.meta.url), "utf8"),
  ) as { version: string; dependencies: { kafkajs: string } };
  const ended = await runPcapts("--version");
  assert.equal(ended.status, 0);
  assert.equal(ended.stderr, "");
  const [pcapts, node, libpcap, kafkajs, kerberos] = ended.stdout.trimEnd().split("\n");
  assert.equal(pcapts, `pcapts ${manifest.version}`);
  assert.equal(node, `Node ${process.versions.node}`);
  assert.match(libpcap ?? "", /^libpcap \d+\.\d+/);
  assert.equal(kafkajs, `kafkajs ${manifest.dependencies.kafkajs}`);
  assert.match(kerberos ?? "", /^kerberos \d+\.\d+/);
});

test("--help fits a screen of 80 columns and 50 lines and has three examples", async () => {
  const ended = await runPcapts("--help");
  assert.equal(ended.status, 0);
  assert.equal(ended.stderr, "");
  const lines = ended.stdout.trimEnd().split("\n");
  assert.ok(lines.length <= 50, `${lines.length} lines`);
  assert.deepEqual(
    lines.filter((line) => line.length > 80 || line !== line.trimEnd()),
    [],
  );
  assert.equal(lines.filter((line) => line.startsWith("  pcapts -")).length, 3);
});

test("--help all has every flag of the table in 80 columns", async () => {
  const { status, stdout } = await runPcapts("--help", "all");
  assert.equal(status, 0);
  assert.deepEqual(
    stdout.split("\n").filter((line) => line.length > 80),
    [],
  );
  for (const row of rows) assert.match(stdout, new RegExp(`--${row.long}\\b`));
});

test("-h, an abbreviated --help and --help beside a mistake all print the same help", async () => {
  const { stdout } = await runPcapts("--help");
  for (const args of [["-h"], ["--hel"], ["--bogus", "--help"], ["-p", "-c", "-h"]]) {
    const ended = await runPcapts(...args);
    assert.equal(ended.status, 0, args.join(" "));
    assert.equal(ended.stdout, stdout, args.join(" "));
  }
});

test("--help behind -- is a word, not a question", async () => {
  const ended = await runPcapts("-p", "-i", "eth0", "--", "--help");
  assert.equal(ended.status, 2);
});

test("an answer that nobody reads is a quiet exit 0", async () => {
  const child = spawn(process.execPath, [PCAPTS, "--help", "all"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout.destroy();
  let stderr = "";
  child.stderr.on("data", (bytes: Buffer) => (stderr += bytes.toString()));
  const [status] = (await once(child, "close")) as [number];
  assert.equal(status, 0);
  assert.equal(stderr, "");
});

test("-D lists interfaces, as text that begins with a number and as JSON", async () => {
  const [text, json] = await Promise.all([runPcapts("-D"), runPcapts("-D", "--json")]);
  assert.equal(text.status, 0);
  assert.match(text.stdout, /^\d+\.lo .*\bLoopback\b/m);
  const list = JSON.parse(json.stdout) as { index: number; name: string }[];
  assert.deepEqual(
    text.stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.split(" ", 1)[0]),
    list.map((each) => `${each.index}.${each.name}`),
  );
});

test("-D says of an interface what tcpdump -D says", async () => {
  const [ours, theirs] = await Promise.all([runPcapts("-D"), run("tcpdump", ["-D"])]);
  // Interfaces come and go while other tests run; these stay.
  for (const name of ["any", "lo"]) {
    const lineOf = (text: string): string => {
      const line = text.split("\n").find((each) => new RegExp(`^\\d+\\.${name} `).test(each));
      return /\[.*\]/.exec(line ?? "")?.[0] ?? "";
    };
    assert.match(lineOf(ours.stdout), /^\[Up, Running/);
    assert.equal(lineOf(ours.stdout), lineOf(theirs.stdout));
  }
});
