import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { BROKER_OPTION_TABLE } from "../../src/config/broker-option-table.ts";
import { parseBrokerCommandLine } from "../../src/cli/broker-command-line.ts";
import { parseListenAddress } from "../../src/config/broker-address.ts";
import { parseFsyncPolicy } from "../../src/config/fsync-policy.ts";
import { freePort } from "../brokers.ts";
import { BrokerProcess, newDataDirectory } from "../embedded-broker.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { PCAPTS, runPcapts, startPcapts } from "./pcapts-process.ts";

test("pcapts broker --help says what it is not, and has every flag, in 80 columns", async () => {
  const { status, stdout, stderr } = await runPcapts("broker", "--help");
  assert.equal(status, 0, stderr);
  assert.match(stdout, /no\s+transactions/);
  assert.match(stdout, /no security beyond loopback/);
  for (const { long } of BROKER_OPTION_TABLE) assert.ok(stdout.includes(`--${long}`), long);
});

test("flags of pcapts broker have the defaults of its table, and may be cut where they stay unique", () => {
  const values = parseBrokerCommandLine(["--segment", "4096", "--fsync=every", "--insecure"]);
  assert.equal(values["segment-bytes"], 4096);
  assert.equal(values.fsync, "every");
  assert.equal(values["insecure-listen"], true);
  assert.equal(values.listen, "127.0.0.1:9092");
  assert.equal(values["data-dir"], undefined);
  assert.deepEqual(parseListenAddress("[::1]:0", "--listen"), { host: "::1", port: 0 });
  assert.deepEqual(parseFsyncPolicy("250"), { intervalMs: 250 });
});

for (const [args, expected] of [
  [["--listen", "0.0.0.0:9092"], /does not listen on "0\.0\.0\.0".*--insecure-listen/],
  [["--listen", "a:1,b:2"], /--listen expects one HOST:PORT/],
  [["--fsync", "0"], /--fsync expects never, every or milliseconds/],
  [["--retention-hours", "-2"], /--retention-hours expects a whole number/],
  [["--dat"], /--data-dir expects DIR/],
  [["--nonsense"], /Flag "--nonsense" is not known/],
  [["now"], /takes flags alone, not "now"/],
] as const) {
  test(`pcapts broker ${args.join(" ")} is wrong use`, async () => {
    const { status, stderr } = await runPcapts("broker", ...args);
    assert.equal(status, 2, stderr);
    assert.match(stderr, expected);
    assert.match(stderr, /^usage: pcapts broker/);
  });
}

test("a port that is taken and a data directory that is in use are said, and change nothing", async () => {
  const broker = await BrokerProcess.start();
  const elsewhere = newDataDirectory();
  try {
    const taken = await runPcapts("broker", "--listen", broker.bootstrap, "--data-dir", elsewhere);
    assert.equal(taken.status, 1);
    assert.match(taken.stderr, /Cannot listen at ".*": another program listens there/);
    const inUse = await runPcapts(
      "broker",
      "--listen",
      "127.0.0.1:0",
      "--data-dir",
      broker.directory,
    );
    assert.equal(inUse.status, 1);
    assert.match(inUse.stderr, /another broker is running on it/);
    assert.equal(await broker.kill("SIGTERM"), 0);
    assert.ok(existsSync(path.join(broker.directory, "clean-shutdown")));
    // The lock is gone with the process, also when it was killed.
    await broker.start();
    await broker.kill();
    await broker.start();
  } finally {
    await broker.remove();
    rmSync(elsewhere, { recursive: true });
  }
});

test("a data directory that cannot be made is said", async () => {
  const { status, stderr } = await runPcapts("broker", "--data-dir", "/proc/nothing/here");
  assert.equal(status, 1);
  assert.match(stderr, /Cannot use the data directory "\/proc\/nothing\/here"/);
});

test("--embedded serves the producer that says it, and keeps what it published", async () => {
  const dataHome = newDataDirectory();
  const address = `localhost:${await freePort()}`;
  const env = { XDG_DATA_HOME: dataHome };
  const frames = Array.from({ length: 50 }, (_, n) => ({ bytes: buildUdpFrame(n, 100) }));
  try {
    for (let run = 0; run < 2; run++) {
      const producer = startPcapts(["-p", "-r", "-", "-k", address, "--embedded"], env);
      producer.child.stdin.end(buildCapture({ frames }));
      const { status, stderr } = await producer.ended;
      assert.equal(status, 0, stderr);
      assert.match(stderr, /acknowledged 50 \+/);
    }
    const broker = await BrokerProcess.start([], path.join(dataHome, "pcapts/broker"));
    const args = ["-c", "-o", "begin", "-e", "-k", broker.bootstrap, "-w", "/dev/null"];
    assert.match((await runPcapts(...args)).stderr, /read 100 record\(s\)/);
    await broker.kill();
  } finally {
    rmSync(dataHome, { recursive: true });
  }
});

for (const [how, source, expected] of [
  ["a source that is missing", ["-r", "/nonexistent.pcap"], 1],
  ["wrong use that is found late", ["-i", "lo", "-i", "lo"], 2],
  ["a signal while it waits for its source", ["-r", "-"], 0],
] as const) {
  test(`--embedded closes its broker in order after ${how}`, async () => {
    const dataHome = newDataDirectory();
    const args = ["-p", ...source, "-k", `127.0.0.1:${await freePort()}`, "--embedded"];
    const { child, ended } = startPcapts(args, { XDG_DATA_HOME: dataHome });
    if (expected === 0) {
      child.stderr.on("data", (text: Buffer) => {
        if (text.includes("listens at")) child.kill("SIGTERM");
      });
    }
    try {
      const { status, stderr } = await ended;
      assert.equal(status, expected, stderr);
      assert.ok(existsSync(path.join(dataHome, "pcapts/broker/clean-shutdown")), stderr);
    } finally {
      rmSync(dataHome, { recursive: true });
    }
  });
}

test("where nothing listens at the default address, the message names pcapts broker and docker-compose.yml", async () => {
  // In a network of its own, because somebody's Kafka may listen in this one.
  const command = `ip link set lo up && exec "$0" "$1" -c --connect-timeout 0.5 -e`;
  const { status, stderr } = spawnSync(
    "unshare",
    ["--net", "sh", "-c", command, process.execPath, PCAPTS],
    { encoding: "utf8" },
  );
  assert.equal(status, 1, stderr);
  assert.match(stderr, /nothing listens there: .*pcapts broker.*docker-compose\.yml/);
});
