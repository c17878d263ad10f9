import assert from "node:assert/strict";
import { once } from "node:events";
import { spawn } from "node:child_process";
import { test } from "node:test";

const LOGGING = new URL("../../src/cli/logging.js", import.meta.url).href;

/** What a logger of its own process leaves on standard error. */
async function log(level: string, contexts: readonly string[] | undefined): Promise<string[]> {
  const child = spawn(
    process.execPath,
    [
      "--input-type=module",
      "--eval",
      `import { createLogger } from ${JSON.stringify(LOGGING)};
      const logger = await createLogger({ level: "${level}", format: "json", color: false });
      logger.limitDebug(${JSON.stringify(contexts)});
      logger.debug("of fetch", "fetch");
      logger.debug("of cgrp", "cgrp");
      logger.debug("of nothing");
      logger.info("information");`,
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let text = "";
  child.stderr.on("data", (bytes: Buffer) => (text += bytes.toString()));
  await once(child, "close");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as { msg: string }).msg);
}

test("debug contexts choose among the messages of DEBUG", async () => {
  const everything = ["of fetch", "of cgrp", "of nothing", "information"];
  assert.deepEqual(await log("DEBUG", undefined), everything);
  assert.deepEqual(await log("DEBUG", ["topic", "all"]), everything);
  assert.deepEqual(await log("DEBUG", ["fetch"]), ["of fetch", "of nothing", "information"]);
});

test("debug contexts bring no message of DEBUG to a higher level", async () => {
  assert.deepEqual(await log("INFO", ["all"]), ["information"]);
});
