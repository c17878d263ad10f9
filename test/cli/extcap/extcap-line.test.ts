import assert from "node:assert/strict";
import { test } from "node:test";
import { ExtcapLine } from "../../../src/cli/extcap/extcap-line.ts";
import { EXTCAP_OPTION_TABLE } from "../../../src/config/extcap-option-table.ts";
import { PROPERTY_BY_NAME } from "../../../src/config/kafka-properties.ts";
import { parseValue } from "../../../src/config/value-kind.ts";
import { PcaptsError } from "../../../src/errors.ts";

/** As Wireshark calls it for a capture. */
const CAPTURE = ["--capture", "--extcap-interface", "pcapts:web", "--fifo", "/tmp/fifo"];

test("settings of Wireshark's dialog are those of a consumer that writes pcapng in order of time", () => {
  const kafka = ["--kafka-broker", "kafka1:9092,kafka2", "--config", "/tmp/a b.conf"];
  const range = ["--kafka-offset", "-5m", "--to", "-1s"];
  const properties = ["--properties", "group.id=desk  fetch.wait.max.ms=100"];
  const line = new ExtcapLine([...CAPTURE, ...kafka, ...range, ...properties]);
  const { values, given } = line.asConsumer({});
  assert.equal(values.consumer, true);
  assert.equal(values["kafka-topic"], "web");
  assert.equal(values["kafka-offset"], "-5m");
  assert.equal(values["kafka-broker"], "kafka1:9092,kafka2");
  assert.equal(values.to, "-1s");
  assert.equal(values.config, "/tmp/a b.conf");
  assert.equal(values["file-type"], "pcapng");
  assert.equal(values["connect-timeout"], 10);
  assert.deepEqual(values["kafka-property"], ["group.id=desk", "fetch.wait.max.ms=100"]);
  assert.ok(given.has("ordered") && given.has("kafka-offset"));
});

test("what stands first, in the launcher, gives way to what Wireshark says behind it", () => {
  const launcher = ["--kafka-broker=kafka1", "--kafka-offset=begin", "--kafka-property=a.b=1"];
  const line = new ExtcapLine([...launcher, ...CAPTURE, "--kafka-offset", "end"]);
  const { values } = line.asConsumer({});
  assert.deepEqual(
    [values["kafka-broker"], values["kafka-offset"], values["kafka-property"]],
    ["kafka1", "end", ["a.b=1"]],
  );
});

test("an empty field of the dialog is nothing said, so that launcher, environment and defaults count", () => {
  const empty = ["--kafka-offset", "", "--filter", "", "--kafka-broker", "", "--properties", ""];
  const line = new ExtcapLine(["--kafka-broker=kafka1", ...CAPTURE, ...empty]);
  const { values, given } = line.asConsumer({ PCAPTS_KAFKA_OFFSET: "begin", PCAPTS_WRITE: "/x" });
  assert.equal(values["kafka-broker"], "kafka1");
  assert.equal(values["kafka-offset"], "begin");
  assert.equal(values.write, "-");
  assert.ok(!given.has("filter"));
});

test("a value that begins with a dash is a value behind its flag, also a password", () => {
  const line = new ExtcapLine([...CAPTURE, "--sasl-password", "--secret", "--sasl-username", "-u"]);
  assert.deepEqual(line.asConsumer({}).values["kafka-property"], [
    "sasl.username=-u",
    "sasl.password=--secret",
  ]);
});

test("selectors leave everything as it is until something is chosen", () => {
  const chosen = ["--security-protocol", "sasl_ssl", "--sasl-mechanism", "configured"];
  const line = new ExtcapLine([...CAPTURE, ...chosen]);
  assert.deepEqual(line.asConsumer({}).values["kafka-property"], ["security.protocol=sasl_ssl"]);
});

test("Wireshark's capture filter and that of the dialog have to match both", () => {
  const filterOf = (...args: string[]): string | undefined =>
    new ExtcapLine([...CAPTURE, ...args]).asConsumer({}).values.filter;
  assert.equal(filterOf("--extcap-capture-filter", "tcp or udp"), "tcp or udp");
  assert.equal(filterOf("--filter", "port 80"), "port 80");
  assert.equal(
    filterOf("--extcap-capture-filter", "tcp or udp", "--filter", "port 80"),
    "(tcp or udp) and (port 80)",
  );
});

test("the topic is that of the interface; where it is none, the one that was chosen, or named", () => {
  const topicOf = (...args: string[]): string =>
    new ExtcapLine(args).asConsumer({ PCAPTS_KAFKA_TOPIC: "env" }).values["kafka-topic"];
  assert.equal(topicOf("--extcap-interface", "pcapts:a.b", "--kafka-topic", "c"), "a.b");
  assert.equal(topicOf("--extcap-interface", "pcapts", "--kafka-topic", "c"), "c");
  const named = ["--topic-name", "d"];
  assert.equal(topicOf("--extcap-interface", "pcapts", "--kafka-topic", "c", ...named), "d");
  assert.equal(topicOf("--extcap-interface", "pcapts"), "env");
  assert.throws(() => topicOf("--extcap-interface", "eth0"), /expects pcapts:TOPIC or pcapts/);
});

test("what is changed in the tool bar stands above the dialog, as long as it is not empty", () => {
  const line = new ExtcapLine([...CAPTURE, "--kafka-offset", "end", "--filter", "tcp"]);
  const changed = new Map([
    ["topic-name", "mail"],
    ["kafka-offset", "begin"],
    ["filter", ""],
  ]);
  const { values } = line.asConsumer({}, changed);
  assert.deepEqual(
    [values["kafka-topic"], values["kafka-offset"], values.filter],
    ["mail", "begin", "tcp"],
  );
});

test("wrong flags and values are usage errors that name them", () => {
  for (const [args, expected] of [
    [["--instal"], undefined],
    [["--nonsense"], /Flag "--nonsense" is not known/],
    [["now"], /pcapts extcap takes flags alone, not "now"/],
    [["--kafka-offset", "bgin"], /--kafka-offset expects begin/],
    [["--list-timeout", "-1"], /--list-timeout expects a number of seconds/],
    [["--topic-name", "a b"], /--topic-name expects a topic name/],
  ] as const) {
    const read = (): void => {
      const line = new ExtcapLine(args);
      for (const { long } of EXTCAP_OPTION_TABLE) line.text(long);
      line.asConsumer({});
    };
    if (expected === undefined) read();
    else {
      assert.throws(read, (error) => {
        assert.ok(error instanceof PcaptsError && error.code === "USAGE");
        assert.match(error.message, expected);
        return true;
      });
    }
  }
});

test("EXTCAP_OPTION_TABLE has names of its own, defaults that fit, and properties that there are", () => {
  const names = EXTCAP_OPTION_TABLE.flatMap(({ long, short }) => [long, ...(short ? [short] : [])]);
  assert.deepEqual(new Set(names).size, names.length);
  for (const { long, value, default: assumed, property, field } of EXTCAP_OPTION_TABLE) {
    if (assumed !== undefined) parseValue(value, assumed, long);
    if (property !== undefined) assert.ok(PROPERTY_BY_NAME.has(property), long);
    // Wireshark makes names of preferences of these, in which dashes are left out.
    if (field !== undefined) assert.match(long, /^[a-z-]+$/);
  }
});
