import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { normaliseArgv } from "../../src/config/normalise-argv.ts";
import { OPTION_TABLE, type OptionRow } from "../../src/config/option-table.ts";
import { PcaptsError } from "../../src/errors.ts";

const normal = (line: string): string[] => normaliseArgv(line.split(" "));

const refused = (line: string, message: RegExp): void => {
  assert.throws(
    () => normal(line),
    (error) => {
      assert.ok(error instanceof PcaptsError);
      assert.equal(error.code, "USAGE");
      assert.match(error.message, message);
      return true;
    },
  );
};

test("normaliseArgv() spells a value the same way however it was attached", () => {
  for (const line of ["-s 0", "-s0", "-s=0", "--snaplen 0", "--snaplen=0", "--snap 0"]) {
    assert.deepEqual(normal(line), ["--snaplen=0"], line);
  }
});

test("normaliseArgv() takes -pp and -ll for names, with and without a space", () => {
  assert.deepEqual(normal("-pp 10"), ["--pretty-print=10"]);
  assert.deepEqual(normal("-pp10"), ["--pretty-print=10"]);
  assert.deepEqual(normal("-p -pp 1"), ["--producer", "--pretty-print=1"]);
  assert.deepEqual(normal("-ll debug"), ["--log-level=debug"]);
  assert.deepEqual(normal("-lldebug"), ["--log-level=debug"]);
});

test("normaliseArgv() keeps every -X in order and its value whole", () => {
  assert.deepEqual(normal("-Xa=b -X c=d=e -X=f=g"), [
    "--kafka-property=a=b",
    "--kafka-property=c=d=e",
    "--kafka-property=f=g",
  ]);
});

test("normaliseArgv() lets the last of a repeated scalar win", () => {
  assert.deepEqual(normal("-t one -c --kafka-topic=two"), ["--consumer", "--kafka-topic=two"]);
});

test("normaliseArgv() takes a dash and a digit for a value, and a lone dash for a file", () => {
  assert.deepEqual(normal("-o -5m -m -1 -r -"), [
    "--kafka-offset=-5m",
    "--max-packets=-1",
    "--read=-",
  ]);
});

test("normaliseArgv() takes any value behind an equals sign", () => {
  assert.deepEqual(normaliseArgv(["--sensor=-x", "--write=", "--config=a b\nc"]), [
    "--sensor=-x",
    "--write=",
    "--config=a b\nc",
  ]);
});

test("normaliseArgv() accepts a long name cut where it is unique", () => {
  assert.deepEqual(normal("--kafka-b host --interf eth0"), [
    "--kafka-broker=host",
    "--interface=eth0",
  ]);
});

test("normaliseArgv() gives a name cut as in Pycapa to Pycapa's flag", () => {
  assert.deepEqual(normal("--prod --i eth0 --l debug --max 3"), [
    "--producer",
    "--interface=eth0",
    "--log-level=debug",
    "--max-packets=3",
  ]);
});

test("normaliseArgv() lists what an ambiguous name could be", () => {
  refused("--kafka x", /"--kafka" is ambiguous: it could be --kafka-broker, --kafka-topic, /);
  refused("--part 3", /it could be --partitions, --partitioner$/);
});

test("normaliseArgv() takes a full name for itself though it begins another", () => {
  assert.deepEqual(normal("--pretty-print 3"), ["--pretty-print=3"]);
});

test("normaliseArgv() takes no for a part of a name, not for a negation", () => {
  assert.deepEqual(normal("--no-promiscuous-mode"), ["--no-promiscuous-mode"]);
  refused("--no-producer", /Flag "--no-producer" is not known/);
});

test("normaliseArgv() puts words behind the flags, wherever they stood", () => {
  assert.deepEqual(normal("tcp -p port -i eth0 80"), [
    "--producer",
    "--interface=eth0",
    "--",
    "tcp",
    "port",
    "80",
  ]);
  assert.deepEqual(normal("-p -- -c --help"), ["--producer", "--", "-c", "--help"]);
});

test("normaliseArgv() answers -c 10 and -c10 with -m 10", () => {
  refused("-c 10", /to stop after 10 frames, say -m 10$/);
  refused("-c10", /to stop after 10 frames, say -m 10$/);
  assert.deepEqual(normal("-c ip"), ["--consumer", "--", "ip"]);
});

test("normaliseArgv() refuses grouped short flags and says why", () => {
  refused("-pi eth0", /"-pi" is not known: short flags are not grouped, .* write -p by itself$/);
  refused("-ce", /short flags are not grouped/);
  refused("-producer", /write --producer$/);
});

test("normaliseArgv() names the flag whose value is missing", () => {
  refused("-c -t", /^-t, --kafka-topic expects NAME, but nothing follows it/);
  refused("-t -c", /^-t, --kafka-topic expects NAME, but "-c" is a flag/);
  refused("-t --", /but "--" is a flag/);
});

test("normaliseArgv() refuses a value where none is wanted", () => {
  refused("--producer=yes", /^-p, --producer takes no value, but "yes" was given/);
});

test("normaliseArgv() suggests the nearest flag", () => {
  refused("--kafka-boker x", /"--kafka-boker" is not known; did you mean --kafka-broker\?$/);
  refused("--topik=x", /Flag "--topik" is not known/);
  refused("-g", /^Flag "-g" is not known/);
});

test("normaliseArgv() keeps every interface and every condition to stop, in order", () => {
  assert.deepEqual(normal("-i eth1 -aduration:5 -i eth0 -a packets:3"), [
    "--interface=eth1",
    "--autostop=duration:5",
    "--interface=eth0",
    "--autostop=packets:3",
  ]);
});

const rows: readonly OptionRow[] = OPTION_TABLE;
const token = fc.oneof(
  fc.constantFrom(
    ...rows.flatMap((row) => [`--${row.long}`, `--${row.long}=v`, row.short ?? "-c"]),
    "--",
    "-",
    "-5m",
    "-pp10",
    "--l",
    "10",
  ),
  fc.string({ maxLength: 8 }),
  fc.string({ maxLength: 8 }).map((text) => `-${text}`),
  fc.string({ maxLength: 8 }).map((text) => `--${text}`),
);

test("normaliseArgv() throws nothing but usage errors, and its result is its own normal form", () => {
  let normalised = 0;
  fc.assert(
    fc.property(fc.array(token, { maxLength: 8 }), (argv) => {
      let once: string[];
      try {
        once = normaliseArgv(argv);
      } catch (error) {
        assert.ok(error instanceof PcaptsError && error.code === "USAGE", String(error));
        return;
      }
      normalised++;
      assert.deepEqual(normaliseArgv(once), once);
    }),
    { numRuns: 3000 },
  );
  assert.ok(normalised > 100, `only ${normalised} command lines were right`);
});

test("normaliseArgv() keeps every value as it was written", () => {
  const valued = rows.filter((row) => row.value.type !== "switch");
  fc.assert(
    fc.property(fc.constantFrom(...valued), fc.string(), (row, value) => {
      assert.deepEqual(normaliseArgv([`--${row.long}=${value}`]), [`--${row.long}=${value}`]);
    }),
  );
});
