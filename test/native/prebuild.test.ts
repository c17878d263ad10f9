import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { loadLibpcap } from "../../src/capture/libpcap-addon.ts";
import { projectRoot } from "../brokers.ts";

/* What the addon that is shipped asks of the machine it runs on. */

const run = promisify(execFile);
const prebuilds = path.join(projectRoot, "native/prebuilds");
const builds = readdirSync(prebuilds).map((name) => path.join(prebuilds, name, "pcapts.node"));
const addonUrl = new URL("../../src/capture/libpcap-addon.js", import.meta.url).href;

test("there is a build for this machine", () => {
  assert.ok(builds.includes(path.join(prebuilds, `linux-${process.arch}`, "pcapts.node")));
});

/** What a build takes from other libraries: `name` or `name@VERSION`. */
async function symbolsOf(build: string): Promise<string[]> {
  const { stdout } = await run("readelf", ["--dyn-syms", "--wide", build]);
  return stdout
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[6] === "UND" && fields[7] !== undefined)
    .map((fields) => fields[7]!);
}

for (const build of builds) {
  const name = path.basename(path.dirname(build));

  test(`the build for ${name} runs from glibc 2.28 on`, async () => {
    const versions = (await symbolsOf(build)).flatMap((symbol) =>
      [...symbol.matchAll(/@GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor)),
    );
    assert.ok(versions.length > 20);
    assert.ok(Math.max(...versions) <= 28, `GLIBC_2.${Math.max(...versions)}`);
  });

  test(`the build for ${name} asks for nothing that musl does not have`, async () => {
    const { stdout } = await run("readelf", ["--dynamic", "--wide", build]);
    const libraries = [...stdout.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, library]) => library);
    // musl takes all of them for itself.
    const own = new Set(["libc.so.6", "libdl.so.2", "libpthread.so.0"]);
    assert.deepEqual(
      libraries.filter((library) => !own.has(library!)),
      [],
    );
    assert.deepEqual(
      (await symbolsOf(build)).filter((symbol) => /_chk(@|$)|^fcntl64|^_Z/.test(symbol)),
      [],
    );
  });
}

test("a machine without libpcap gets one sentence that says what to install", async () => {
  // A file system of its own, in which the library's names lead nowhere.
  const { libraries } = await findLibpcap();
  const hide = libraries.map((file) => `mount --bind /dev/null ${file}`).join(" && ");
  const script = `
    import { loadLibpcap } from ${JSON.stringify(addonUrl)};
    try { loadLibpcap(); } catch (error) { console.log(error.code + ": " + error.message); }`;
  const node = `exec "$0" --input-type=module -e "$1"`;
  const { stdout } = await run("unshare", [
    "--mount", "sh", "-c", `${hide} && ${node}`, process.execPath, script,
  ]);
  assert.match(
    stdout,
    /^ENGINE_UNAVAILABLE: Cannot load the capture engine "libpcap": .*libpcap\.so.* \(install libpcap: .*\)\n$/,
  );
});

async function findLibpcap(): Promise<{ libraries: string[] }> {
  const { stdout } = await run("/sbin/ldconfig", ["-p"]);
  const libraries = [...stdout.matchAll(/libpcap\.so\S* .*=> (\S+)/g)].map(([, file]) => file!);
  assert.ok(libraries.length > 0);
  return { libraries };
}

test("a package without a build for the machine says so", () => {
  const failing = (): never => {
    throw new Error("No native build was found for platform=linux arch=mips\n    loaded from: x");
  };
  assert.throws(() => loadLibpcap(failing), {
    code: "ENGINE_UNAVAILABLE",
    message:
      'Cannot load the capture engine "libpcap": there is no build for this machine ' +
      "(scripts/setup makes one in a clone)",
  });
});
