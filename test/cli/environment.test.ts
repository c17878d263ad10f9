import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { readKafkaSettings } from "../../src/cli/command-settings.ts";
import type { CommandLogger } from "../../src/cli/logging.ts";
import { parseCommandLine } from "../../src/cli/parse-command-line.ts";
import type { KafkaSettings } from "../../src/config/kafka-settings.ts";
import { PcaptsError } from "../../src/errors.ts";
import { silentLogger } from "../../src/logger.ts";
import { startPcapts } from "./pcapts-process.ts";

const silent: CommandLogger = {
  ...silentLogger,
  answer: () => {},
  report: () => {},
  limitDebug: () => {},
  showStatus: () => {},
};

async function resolve(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  logger = silent,
): Promise<KafkaSettings> {
  return readKafkaSettings(parseCommandLine(argv, env), "consumer", logger);
}

test("the command line wins over the environment, that over --config, that over the default", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "pcapts-"));
  try {
    const file = path.join(folder, "kafka.conf");
    await writeFile(file, "bootstrap.servers=file:1\nfetch.min.bytes=10\nfetch.wait.max.ms=10\n");
    const argv = ["-c", "--config", file];
    const env = { PCAPTS_X_FETCH_MIN_BYTES: "20", PCAPTS_X_FETCH_WAIT_MAX_MS: "20" };
    const { fetcher } = await resolve([...argv, "-X", "fetch.min.bytes=30"], env);
    assert.deepEqual([fetcher.minBytes, fetcher.maxWaitMs, fetcher.maxBytes], [30, 20, 52_428_800]);

    const brokers = async (
      flags: readonly string[],
      variables: Readonly<Record<string, string>>,
    ): Promise<string | undefined> =>
      (await resolve([...argv, ...flags], variables)).client.brokers[0]?.host;
    const both = { PCAPTS_KAFKA_BROKER: "flag", PCAPTS_X_BOOTSTRAP_SERVERS: "property" };
    assert.equal(await brokers([], {}), "file");
    assert.equal(await brokers([], { PCAPTS_KAFKA_BROKER: "flag" }), "flag");
    assert.equal(await brokers([], both), "property");
    assert.equal(await brokers(["-k", "line"], both), "line");
    assert.equal(await brokers(["-k", "line", "-X", "bootstrap.servers=x"], both), "x");
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("PCAPTS_CONFIG names the file, and a missing one is named in its error", async () => {
  await assert.rejects(
    resolve(["-c"], { PCAPTS_CONFIG: "/nowhere/kafka.conf" }),
    (error) =>
      error instanceof PcaptsError &&
      error.code === "FILE_NOT_READABLE" &&
      error.message.includes('"/nowhere/kafka.conf"'),
  );
});

test("a flag from the environment counts as given, with its default replaced", () => {
  const { values, given } = parseCommandLine(["-c"], {
    PCAPTS_KAFKA_OFFSET: "begin",
    PCAPTS_EXIT_AT_END: "1",
    PCAPTS_HEADER_NOW: "false",
    PCAPTS_LOG_LEVEL: "debug",
  });
  assert.equal(values["kafka-offset"], "begin");
  assert.equal(values["exit-at-end"], true);
  assert.equal(values["header-now"], false);
  assert.equal(values["log-level"], "DEBUG");
  assert.ok(given.has("kafka-offset"));
  assert.equal(
    parseCommandLine(["-c", "-o", "end"], { PCAPTS_KAFKA_OFFSET: "begin" }).values["kafka-offset"],
    "end",
  );
});

test("a wrong value in the environment is a usage error that names the variable", async () => {
  for (const [env, message] of [
    [{ PCAPTS_SNAPLEN: "many" }, /^PCAPTS_SNAPLEN expects a whole number of bytes/],
    [{ PCAPTS_FROM: "soon" }, /^PCAPTS_FROM expects a time such as/],
    [{ PCAPTS_AUTOSTOP: "files:2" }, /^PCAPTS_AUTOSTOP expects duration:SECONDS/],
    [{ PCAPTS_X_ACKS: "7" }, /^PCAPTS_X_ACKS acks expects -1 or 1, not "7"/],
    [
      { PCAPTS_X_SECURITY_PROTOCOL: "SASL_SSL", PCAPTS_X_SASL_MECHANISM: "PLAIN" },
      /^sasl\.mechanism=PLAIN needs sasl\.username: give it with -X sasl\.username=$/,
    ],
  ] as const) {
    await assert.rejects(
      async () => resolve(["-c"], env),
      (error) => {
        assert.ok(error instanceof PcaptsError && error.code === "USAGE");
        assert.match(error.message, message);
        return true;
      },
    );
  }
});

test("a variable that stands for nothing is warned of and changes nothing", async () => {
  const warnings: string[] = [];
  await resolve(
    ["-c"],
    { PCAPTS_COLOUR: "x" },
    { ...silent, warn: (text) => void warnings.push(text) },
  );
  assert.deepEqual(warnings, [
    "Environment variable PCAPTS_COLOUR stands for no flag and no property",
  ]);
});

test("pcapts reads the environment it is started in", async () => {
  const { child, ended } = startPcapts(["-c"], { PCAPTS_KAFKA_BROKER: ":1", PCAPTS_WRITE: "x" });
  child.stdin.end();
  const { status, stderr } = await ended;
  assert.equal(status, 2);
  assert.match(stderr, /in ":1" the host is missing/);
});
