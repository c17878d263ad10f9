import assert from "node:assert/strict";
import { once } from "node:events";
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { debugContextOf } from "../../src/cli/debug-context.ts";
import { projectRoot } from "../brokers.ts";

const LOGGING = new URL("../../src/cli/logging.js", import.meta.url).href;

/** What a logger of its own process leaves on standard error. */
async function log(level: string, contexts: readonly string[] | undefined): Promise<string[]> {
  const lines = await write(
    "json",
    level,
    `logger.limitDebug(${JSON.stringify(contexts)});
      logger.debug("of fetch", "fetch");
      logger.debug("group: joining again");
      logger.debug("of nothing");
      logger.info("information");`,
  );
  return lines.map((line) => (JSON.parse(line) as { msg: string }).msg);
}

/** The lines that a process of its own leaves on standard error. */
async function write(
  format: "json" | "text",
  level: string,
  script: string,
  color = false,
): Promise<string[]> {
  const child = spawn(
    process.execPath,
    [
      "--input-type=module",
      "--eval",
      `import { createLogger } from ${JSON.stringify(LOGGING)};
      const logger = createLogger({ level: "${level}", format: "${format}", color: ${color} });
      ${script}`,
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let text = "";
  child.stderr.on("data", (bytes: Buffer) => (text += bytes.toString()));
  await once(child, "close");
  return text.trimEnd().split("\n");
}

test("debug contexts choose among the messages of DEBUG", async () => {
  const everything = ["of fetch", "group: joining again", "of nothing", "information"];
  assert.deepEqual(await log("DEBUG", undefined), everything);
  assert.deepEqual(await log("DEBUG", ["topic", "all"]), everything);
  assert.deepEqual(await log("DEBUG", ["fetch"]), ["of fetch", "of nothing", "information"]);
});

test("debug contexts bring no message of DEBUG to a higher level", async () => {
  assert.deepEqual(await log("INFO", ["all"]), ["information"]);
});

test("counters are fields of a message in JSON, null where they are unknown, and text has the message alone", async () => {
  const script = `
    logger.report("reported", { captured: 3, leftInRing: null });
    logger.answer("answered", { interface: "eth0", captured: 3 });`;
  const [reported, answered] = (await write("json", "INFO", script)).map(
    (line) => JSON.parse(line) as Record<string, unknown>,
  );
  assert.deepEqual(
    [reported?.["level"], reported?.["msg"], reported?.["captured"], reported?.["leftInRing"]],
    ["INFO", "reported", 3, null],
  );
  assert.deepEqual([answered?.["msg"], answered?.["interface"]], ["answered", "eth0"]);
  const text = await write("text", "INFO", script);
  assert.deepEqual(
    text.map((line) => line.replace(/^.{23} /, "")),
    ["INFO: reported", "INFO: answered"],
  );
  // What was asked for is answered at every level.
  assert.deepEqual((await write("text", "ERROR", script)).length, 1);
});

test("a line of text begins with the local time, and its level may be coloured", async () => {
  const beforeMs = Date.now();
  const [line] = await write("text", "INFO", `logger.warn("mind");`, true);
  const [date, time, level, ...message] = line!.split(" ");
  assert.deepEqual([level, message], ["\u001b[33mWARN\u001b[39m:", ["mind"]]);
  const saidMs = Date.parse(`${date}T${time}`);
  assert.ok(beforeMs <= saidMs && saidMs <= Date.now(), line);
});

test("debugContextOf() tells what the library's messages are about", () => {
  for (const [message, context] of [
    ["kafkajs Connection: Request Metadata(key: 3, version: 5)", "protocol"],
    ["kafkajs Connection: Connecting", "broker"],
    ["kafkajs SaslAuthenticator-PLAIN: x", "security"],
    ["Connecting to Kafka; {}", "broker"],
    ["group: heartbeat: x", "cgrp"],
    ["fetching: x, trying again", "fetch"],
    ["publishing: x, trying again", "msg"],
    ["partition 3: NOT_LEADER, sending again", "msg"],
    ["Clean shutdown process started", undefined],
  ] as const) {
    assert.equal(debugContextOf(message), context, message);
  }
});

test("debugContextOf() knows the beginning of every message of DEBUG in src/kafka", () => {
  const folder = path.join(projectRoot, "src/kafka");
  for (const name of readdirSync(folder)) {
    const code = readFileSync(path.join(folder, name), "utf8");
    for (const [, text = ""] of code.matchAll(/\.debug\(\s*[`"]([^`"]*)/g)) {
      const message = text.replaceAll(/\$\{[^}]*\}/g, "1");
      assert.notEqual(debugContextOf(message), undefined, `${name}: ${text}`);
    }
  }
});
