import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { runPcapts } from "./pcapts-process.ts";

/**
 * Command line, and what standard error must say. All of them exit 2 and print nothing else.
 * Those that differ only in the flag are in parse-command-line.test.ts, without a process each.
 */
const WRONG: readonly (readonly [string, RegExp])[] = [
  ["", /One of -p, --producer and -c, --consumer is needed/],
  ["-p -c -i eth0", /-p, --producer and -c, --consumer exclude each other/],
  ["-p", /A producer needs a source: -i, --interface X .*, -r, --read FILE, or --read-listen PORT/],
  ["-p -i eth0 -r x.pcap", /-i, --interface, -r, --read and --read-listen exclude each other/],
  [
    "-p --read-listen 0.0.0.0:0",
    /--read-listen does not take "0\.0\.0\.0": whoever reaches it may send .*--insecure-listen/,
  ],
  ["-p -i eth0 -s -1", /-s, --snaplen expects a whole number of bytes from 0 to 262144, not "-1"/],
  ["-p -r x --overload drop-new", /--overload goes with -i, --interface/],
  [
    "-p -i eth0 --overload sample:1",
    /--overload expects drop-new, truncate:N .* or sample:K .* not "sample:1"/,
  ],
  ["-p -i eth0 --spool-size 1G", /--spool-size goes with --spool-dir DIR/],
  [
    "-p -i eth0 --spool-dir x --spool-size 0",
    /--spool-size expects bytes, or a number with K, M, G or T .* not "0"/,
  ],
  ["-c -m 1.5", /-m, --max-packets expects a whole number, 0 or more, not "1.5"/],
  ["-c -k :9092", /-k, --kafka-broker expects .* in ":9092" the host is missing/],
  ["-c -o yesterday", /-o, --kafka-offset expects begin, end, stored, a time/],
  ["-c -o stored", /-o stored needs a consumer group: name it with -X group\.id=NAME/],
  ["-c -X group.id=g -X max.poll.interval.ms=1", /max\.poll\.interval\.ms=1 must not be below/],
  ["-c -X linger.ms", /-X expects KEY=VALUE, not "linger\.ms"/],
  [
    "-p -r x -X linger.mz=5",
    /-X linger\.mz is not a property that is known; did you mean linger\.ms\?/,
  ],
  ["-p -r x -X linger.ms=soon", /-X linger\.ms expects a number of ms from 0 to 900000/],
  ["-p -r x -X acks=1 -X enable.idempotence=true", /acks=1 contradicts enable\.idempotence=true/],
  [
    "-c -X security.protocol=SASL",
    /-X security\.protocol expects plaintext, ssl, sasl_plaintext or sasl_ssl, not "SASL"/,
  ],
  ["-c 10", /-c is --consumer and takes no number: .* say -m 10/],
  ["-c --kafka-boker x", /Flag "--kafka-boker" is not known; did you mean --kafka-broker\?/],
  ["-c --from 2026-01-02 --to 2026-01-01", /--from "2026-01-02" is not before --to "2026-01-01"/],
  ["-c -w x.pcap -b size:3", /-b, --ring-buffer expects filesize:KB .*, not "size:3"/],
  ["-c -w x.pcap -b files:3", /-b files:N keeps N files: say when one is full/],
  ["-c -w x.pcap -C 0", /-C, --rotate-size expects millions of bytes/],
  ["-c -w x.pcap -W 3", /-W, --rotate-count goes with -C, --rotate-size or -G/],
  ["-p -i lo -i lo", /-i, --interface names "lo" twice/],
  ["-p -i TCP@", /-i, --interface expects TCP@HOST:PORT: in "TCP@" the host is missing/],
  ["-p -i TCP@a -i TCP@a:57012", /-i, --interface names "TCP@a:57012" twice/],
  ["-p -r package.json --monitor", /--monitor follows a folder: "package.json" is none/],
  [
    "-p -i lo -a files:2",
    /-a, --autostop expects duration:SECONDS, .*; a producer writes no files/,
  ],
];

test("wrong use exits 2 and says on standard error what was expected", async (t) => {
  for (const [line, message] of WRONG) {
    await t.test(`pcapts ${line}`, async () => {
      const ended = await runPcapts(...line.split(" ").filter((word) => word !== ""));
      assert.equal(ended.status, 2);
      assert.equal(ended.stdout, "");
      assert.match(ended.stderr, /^usage: pcapts .*\npcapts: error: .*\npcapts --help .*\n$/);
      assert.match(ended.stderr, message);
    });
  }
});

test("a secret is printed neither when it is refused nor when it is misspelt", async () => {
  for (const text of ["ssl_key=hush", "sasl.pasword=hush", "sasl.password:hush"]) {
    const ended = await runPcapts("-c", "-ll", "DEBUG", "-X", text);
    assert.equal(ended.status, 2);
    assert.ok(!ended.stderr.includes("hush"), ended.stderr);
  }
});

test("a property file that cannot be read exits 1, a wrong line in it exits 2", async () => {
  const missing = await runPcapts("-c", "--config", "/nonexistent/lab.conf");
  assert.equal(missing.status, 1);
  assert.match(
    missing.stderr,
    /Cannot read the property file "\/nonexistent\/lab\.conf": no such file or directory/,
  );
  const directory = await mkdtemp(path.join(tmpdir(), "pcapts-"));
  try {
    const file = path.join(directory, "lab.conf");
    await writeFile(file, "# the lab\nlinger.ms=soon\n");
    const wrong = await runPcapts("-p", "-r", "x", "--config", file);
    assert.equal(wrong.status, 2);
    assert.match(wrong.stderr, /lab\.conf line 2 linger\.ms expects a number of ms/);
  } finally {
    await rm(directory, { recursive: true });
  }
});
