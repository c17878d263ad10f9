import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { DirectoryLock } from "../../src/storage/directory-lock.ts";
import { projectRoot } from "../brokers.ts";

const directory = mkdtempSync(path.join(tmpdir(), "pcapts-lock-"));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));

const moduleFile = path.join(projectRoot, "dist/src/storage/directory-lock.js");

/** Another process tries to take the directory, and has it until it is killed. */
async function tryElsewhere(...prefix: string[]): Promise<{ said: string; kill(): Promise<void> }> {
  const script = `
    import { DirectoryLock } from ${JSON.stringify(moduleFile)};
    const lock = await DirectoryLock.takeWhole(${JSON.stringify(directory)}, "test");
    console.log(lock === undefined ? "refused" : "taken");
    setInterval(() => lock, 1000);`;
  const [file, ...args] = [...prefix, process.execPath, "--input-type=module", "--eval", script];
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] });
  const closed = once(child, "close");
  const [said] = (await once(createInterface(child.stdout), "line")) as [string];
  return {
    said,
    kill: async () => {
      child.kill("SIGKILL");
      await closed;
    },
  };
}

for (const [where, ...prefix] of [
  ["the same network"],
  ["a container with a network of its own", "unshare", "--net"],
] as const) {
  test(`a directory is one process's alone: another in ${where} is refused until it is killed`, async () => {
    const owner = await tryElsewhere(...prefix);
    assert.equal(owner.said, "taken");
    assert.equal(await DirectoryLock.takeWhole(directory, "test"), undefined);
    await owner.kill();
    const lock = await DirectoryLock.takeWhole(directory, "test");
    assert.ok(lock !== undefined);
    // What is started meanwhile does not keep it.
    const bystander = spawn("sleep", ["60"], { stdio: "ignore" });
    const other = await tryElsewhere(...prefix);
    assert.equal(other.said, "refused");
    await other.kill();
    await lock.release();
    const next = await tryElsewhere(...prefix);
    assert.equal(next.said, "taken");
    await next.kill();
    bystander.kill();
  });
}

test("locks for several purposes do not meet where the directory is not taken as a whole", async () => {
  const locks = await Promise.all(
    ["one", "other"].map((purpose) => DirectoryLock.take(directory, purpose)),
  );
  assert.ok(locks.every((lock) => lock !== undefined));
  assert.equal(await DirectoryLock.take(directory, "one"), undefined);
  for (const lock of locks) await lock?.release();
});
