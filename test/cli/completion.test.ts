import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { formatCompletion, type Shell } from "../../src/cli/completion.ts";
import { PROPERTY_BY_NAME } from "../../src/config/kafka-properties.ts";
import { OPTION_TABLE, type OptionRow } from "../../src/config/option-table.ts";
import { runPcapts } from "./pcapts-process.ts";

const SHELLS: readonly Shell[] = ["bash", "zsh", "fish"];

let folder = "";
before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "pcapts-"));
  await writeFile(path.join(folder, "a capture.pcap"), "");
  for (const shell of SHELLS) {
    await writeFile(path.join(folder, `completion.${shell}`), formatCompletion(shell));
  }
});
after(() => rm(folder, { recursive: true }));

/** What bash offers at the end of a line, which is not run interactively: compopt has nothing to set. */
function completeInBash(line: string): string[] {
  const script = `source completion.bash
    compopt() { :; }
    COMP_LINE=$1 COMP_POINT=\${#1}
    _pcapts
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync("bash", ["-c", script, "bash", line], { cwd: folder, encoding: "utf8" })
    .split("\n")
    .filter((word) => word !== "");
}

test("pcapts --completion SHELL prints the script of that shell, and of no other", async () => {
  const [bash, tcsh] = await Promise.all([
    runPcapts("--completion", "bash"),
    runPcapts("--completion", "tcsh"),
  ]);
  assert.equal(bash.status, 0);
  assert.equal(bash.stdout, formatCompletion("bash"));
  assert.equal(tcsh.status, 2);
  assert.match(tcsh.stderr, /--completion expects bash, zsh or fish, not "tcsh"/);
});

test("bash completes flags, choices, positions, properties and their values", () => {
  assert.deepEqual(completeInBash("pcapts --log-"), ["--log-level", "--log-format"]);
  assert.deepEqual(completeInBash("pcapts -c -ll D"), ["DEBUG"]);
  assert.deepEqual(completeInBash("pcapts --log-format=js"), ["json"]);
  assert.deepEqual(completeInBash("pcapts -o "), ["begin", "end", "stored"]);
  assert.deepEqual(completeInBash("pcapts -X ling"), ["linger.ms="]);
  assert.deepEqual(completeInBash("pcapts -Xling"), ["-Xlinger.ms="]);
  assert.deepEqual(completeInBash("pcapts -X isolation.level=read_c"), ["read_committed"]);
  assert.deepEqual(completeInBash("pcapts -X enable.idempotence="), ["true", "false"]);
  assert.deepEqual(completeInBash("pcapts --kafka-property=compression.type=g"), ["gzip"]);
  assert.ok(completeInBash("pcapts -p -i ").includes("lo"));
});

test("bash completes the files of -r, -w and --config, one with a blank too", () => {
  for (const flag of ["-r", "--read", "-w", "--config"]) {
    assert.deepEqual(completeInBash(`pcapts ${flag} a`), ["a capture.pcap"], flag);
  }
  assert.deepEqual(completeInBash("pcapts --read=a"), ["a capture.pcap"]);
});

test("bash offers every flag that there is, and nothing behind one that takes free text", () => {
  const present = (OPTION_TABLE as readonly OptionRow[]).filter((row) => !row.comesLater);
  assert.deepEqual(
    completeInBash("pcapts -").toSorted(),
    present.flatMap((row) => [`--${row.long}`, ...(row.short ? [row.short] : [])]).toSorted(),
  );
  assert.deepEqual(completeInBash("pcapts -t "), []);
  assert.deepEqual(completeInBash("pcapts -c "), []);
});

test("the scripts are what their shells can read, where they are installed", () => {
  for (const shell of SHELLS) {
    const { status, stderr, error } = spawnSync(shell, ["-n", `completion.${shell}`], {
      cwd: folder,
      encoding: "utf8",
    });
    if (error !== undefined && shell !== "bash") continue;
    assert.equal(stderr, "", shell);
    assert.equal(status, 0, shell);
  }
});

test("the scripts have every flag and property, and quotes that close", () => {
  for (const shell of SHELLS) {
    const script = formatCompletion(shell);
    for (const row of (OPTION_TABLE as readonly OptionRow[]).filter((each) => !each.comesLater)) {
      assert.ok(script.includes(shell === "fish" ? `-l ${row.long} ` : `--${row.long}`), row.long);
    }
    for (const name of PROPERTY_BY_NAME.keys()) assert.ok(script.includes(name), name);
    const lines = script.split("\n").filter((line) => !line.startsWith("#"));
    for (const line of lines) {
      const quotes = line.replaceAll(String.raw`'\''`, "").replaceAll(String.raw`\'`, "");
      assert.equal(quotes.split("'").length % 2, 1, `${shell}: ${line}`);
    }
  }
});
