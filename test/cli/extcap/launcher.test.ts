import assert from "node:assert/strict";
import { spawnSync, type SpawnSyncReturns } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, beforeEach, test } from "node:test";
import { PCAPTS } from "../pcapts-process.ts";

const scratch = mkdtempSync(path.join(tmpdir(), "pcapts-launcher-"));
after(() => rmSync(scratch, { recursive: true }));

let home: string;
beforeEach(() => {
  home = mkdtempSync(path.join(scratch, "home of 'a user' "));
});

const inHome = (...parts: string[]): string => path.join(home, ...parts);
const OLD = ".config/wireshark/extcap/pcapts";
const NEW = ".local/lib/wireshark/extcap/pcapts";

/** Runs pcapts extcap with a home of its own; `PATH` has nothing but what is put into it. */
function extcap(args: readonly string[], programs: Record<string, string> = {}) {
  const bin = mkdtempSync(path.join(scratch, "bin-"));
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(path.join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  return spawnSync(process.execPath, [PCAPTS, "extcap", ...args], {
    encoding: "utf8",
    cwd: home,
    env: { HOME: home, PATH: bin },
  });
}

/** Runs a launcher as a desktop might: without a PATH, from another folder. */
function launch(launcher: string, ...args: string[]): SpawnSyncReturns<string> {
  return spawnSync(launcher, args, { encoding: "utf8", cwd: "/", env: { HOME: home } });
}

const CONFIG = ["--extcap-config", "--extcap-interface", "pcapts:web"];

test("--install without tshark writes where each version of Wireshark looks, and says so", () => {
  const { status, stdout, stderr } = extcap(["--install"]);
  assert.equal(status, 0, stderr);
  assert.ok(stdout.includes(`Wrote ${inHome(NEW)}\nWrote ${inHome(OLD)}\n`), stdout);
  assert.match(stdout, /tshark -D/);
  assert.equal(readFileSync(inHome(OLD), "utf8"), readFileSync(inHome(NEW), "utf8"));
  assert.equal(statSync(inHome(OLD)).mode & 0o777, 0o700);
});

for (const [version, folders, expected] of [
  [
    "4.0",
    "Personal configuration:\t$HOME/conf/wireshark\nExtcap path:\t/usr/lib/extcap",
    "conf/wireshark/extcap",
  ],
  [
    "4.2",
    "Personal configuration:\t$HOME/conf\nPersonal Extcap path:\t$HOME/lib/extcap",
    "lib/extcap",
  ],
] as const) {
  test(`--install asks tshark, which names the folder as that of ${version} does`, () => {
    const tshark = `[ "$1 $2" = "-G folders" ] && cat <<END\n${folders}\nEND`;
    const cat = `while IFS= read -r line; do printf '%s\\n' "$line"; done`;
    const { status, stdout, stderr } = extcap(["--install"], { tshark, cat });
    assert.equal(status, 0, stderr);
    assert.ok(stdout.startsWith(`Wrote ${inHome(expected, "pcapts")}\n`), stdout);
    assert.ok(!existsSync(inHome(OLD)));
  });
}

test("the launcher runs with no PATH and from anywhere, and has the settings it was made with", () => {
  writeFileSync(inHome("it's kafka.conf"), "client.id=wireshark\n");
  const settings = ["-k", "127.0.0.1:1", "--config", "it's kafka.conf", "-o", "-5m", "-X", "a=$b"];
  const { status, stderr } = extcap(["--install", ...settings, "--folder", "here"]);
  assert.equal(status, 2, "a property that is not known is said at once");
  assert.match(stderr, /-X a is not a property that is known/);
  settings.splice(-1, 1, "client.rack=$b `c`");
  assert.equal(extcap(["--install", ...settings, "--folder", "here"]).status, 0);
  const listed = launch(inHome("here/pcapts"), "--extcap-interfaces", "--extcap-version=4.0");
  assert.equal(listed.stderr, "");
  assert.equal(listed.status, 0);
  assert.match(
    listed.stdout,
    /^interface \{value=pcapts\}\{display=Kafka topic \(.*127\.0\.0\.1:1/m,
  );
  const { stdout } = launch(inHome("here/pcapts"), ...CONFIG);
  assert.match(stdout, /\{call=--kafka-offset\}.*\{placeholder=-5m\}/);
});

test("the launcher answers for settings itself, and leaves it to pcapts once that is newer", () => {
  extcap(["--install", "-f", "tcp port 80", "--folder", "here"]);
  const launcher = inHome("here/pcapts");
  // The interface that is no topic has more of them.
  const ofAny = ["--extcap-config", "--extcap-interface", "pcapts"];
  const itself = launch(launcher, ...CONFIG);
  const any = launch(launcher, ...ofAny);
  utimesSync(launcher, 0, 0);
  const byPcapts = launch(launcher, ...CONFIG);
  assert.match(itself.stdout, /^arg \{number=0\}\{call=--kafka-broker\}\{display=Broker\}/);
  assert.match(itself.stdout, /\{call=--filter\}.*\{placeholder=tcp port 80\}/);
  assert.equal(byPcapts.stdout, itself.stdout);
  assert.equal(any.stdout, launch(launcher, ...ofAny).stdout);
  assert.match(any.stdout, /\{call=--kafka-topic\}.*\{reload=true\}/);
  assert.ok(!itself.stdout.includes("--kafka-topic"));
});

test("--install again replaces the launcher, --uninstall takes it away and says where there was none", () => {
  extcap(["--install"]);
  extcap(["--install", "-k", "kafka2"]);
  assert.match(readFileSync(inHome(OLD), "utf8"), /--kafka-broker=kafka2/);
  rmSync(inHome(NEW));
  const { status, stdout } = extcap(["--uninstall"]);
  assert.equal(status, 0);
  assert.equal(stdout, `Removed ${inHome(OLD)}\nThere is no ${inHome(NEW)}\n`);
  assert.ok(!existsSync(inHome(OLD)));
});

test("a file that pcapts has not made is left alone, and a folder that cannot be made is said", () => {
  mkdirSync(inHome("here"));
  writeFileSync(inHome("here/pcapts"), "mine");
  for (const action of ["--install", "--uninstall"]) {
    const { status, stderr } = extcap([action, "--folder", "here"]);
    assert.equal(status, 1);
    assert.match(stderr, /Cannot write ".*here\/pcapts": there is a file that .* has not made/);
  }
  assert.equal(readFileSync(inHome("here/pcapts"), "utf8"), "mine");
  const { status, stderr } = extcap(["--install", "--folder", "here/pcapts"]);
  assert.equal(status, 1);
  assert.match(
    stderr,
    /Cannot write ".*here\/pcapts\/pcapts": .*; --folder DIR names another place/,
  );
});

test("pcapts extcap alone says who calls it; its help has every flag", () => {
  const alone = extcap([]);
  assert.equal(alone.status, 2);
  assert.match(alone.stderr, /^usage: pcapts extcap .*\n.*--install makes it known there/);
  const help = extcap(["--help"]);
  assert.equal(help.status, 0);
  for (const flag of ["--install", "--kafka-offset", "--extcap-capture-filter"]) {
    assert.ok(help.stdout.includes(flag), flag);
  }
});
