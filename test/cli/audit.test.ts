import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAuditCommandLine } from "../../src/cli/audit-command-line.ts";
import { AUDIT_OPTION_TABLE } from "../../src/config/audit-option-table.ts";
import { runPcapts } from "./pcapts-process.ts";

/* The command line of `pcapts audit`; test/system/audit.test.ts has audits. */

test("parseAuditCommandLine() reads its flags, and the environment's where it has none", () => {
  const { line, ledgerTopic, json } = parseAuditCommandLine(
    ["-t", "frames", "--sens", "probe1", "--json"],
    {
      PCAPTS_LEDGER_TOPIC: "books",
      PCAPTS_KAFKA_BROKER: "kafka1:9092",
      // Of the consumer on the same machine, and nothing to an audit.
      PCAPTS_WRITE: "/var/lib/pcapts/x.pcap",
      PCAPTS_PRETTY_PRINT: "1",
    },
  );
  assert.equal(ledgerTopic, "books");
  assert.equal(json, true);
  assert.equal(line.values["kafka-topic"], "frames");
  assert.equal(line.values["kafka-broker"], "kafka1:9092");
  assert.equal(line.values.sensor, "probe1");
  assert.equal(line.values.write, "-");
  assert.deepEqual(line.environment.notes, []);
});

test("parseAuditCommandLine() refuses what is not its own", () => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ["", /needs --ledger-topic NAME/],
    ["--ledger-topic books tcp", /takes flags alone, not "tcp"/],
    ["--ledger-topic books -w out.pcap", /-w/],
    ["--ledger-topic books --producer", /--producer/],
    ["--ledger-topic pcap", /name the same topic/],
    ["--ledger-topic b/ooks", /--ledger-topic/],
  ];
  for (const [text, reason] of refused) {
    const argv = text.split(" ").filter((word) => word !== "");
    assert.throws(
      () => parseAuditCommandLine(argv),
      (error) => error instanceof Error && reason.test(error.message),
      text,
    );
  }
});

test("pcapts audit has a help of its own, and wrong use names it", async () => {
  const { status, stdout } = await runPcapts("audit", "--help");
  assert.equal(status, 0);
  for (const { long } of AUDIT_OPTION_TABLE) assert.match(stdout, new RegExp(`--${long}\\b`));
  assert.deepEqual(
    stdout.split("\n").filter((line) => line.length > 80),
    [],
  );
  const wrong = await runPcapts("audit", "-k", "localhost:1");
  assert.equal(wrong.status, 2);
  assert.match(
    wrong.stderr,
    /^usage: pcapts audit .*\n.*needs --ledger-topic NAME.*\npcapts audit --help/,
  );
});
