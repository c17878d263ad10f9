import assert from "node:assert/strict";
import { test } from "node:test";
import { ACCEPTED_BY_NAME } from "../../src/config/accepted-properties.ts";
import {
  readEnvironment,
  variableOfFlag,
  variableOfProperty,
} from "../../src/config/environment.ts";
import { PROPERTY_BY_NAME } from "../../src/config/kafka-properties.ts";
import { OPTION_TABLE } from "../../src/config/option-table.ts";
import { REFUSED_PROPERTIES } from "../../src/config/refused-properties.ts";

const onLine = (...names: string[]): ReadonlySet<string> => new Set(names);

test("readEnvironment() takes flags behind PCAPTS_ and properties behind PCAPTS_X_", () => {
  const { values, flags, properties, notes } = readEnvironment(
    {
      PCAPTS_KAFKA_BROKER: "kafka1:9092",
      PCAPTS_HEADER_NOW: "true",
      PCAPTS_X_SASL_PASSWORD: " hush=hush ",
      PCAPTS_X_MAX_IN_FLIGHT: "2",
      HOME: "/root",
    },
    onLine(),
  );
  assert.deepEqual(Object.fromEntries(values), {
    "kafka-broker": "kafka1:9092",
    "header-now": "true",
  });
  assert.deepEqual([...flags], ["kafka-broker", "header-now"]);
  assert.deepEqual(properties, [
    { name: "sasl.password", value: "hush=hush", origin: "PCAPTS_X_SASL_PASSWORD" },
    { name: "max.in.flight", value: "2", origin: "PCAPTS_X_MAX_IN_FLIGHT" },
  ]);
  assert.deepEqual(notes, []);
});

test("readEnvironment() lets the command line win, also where flags exclude each other", () => {
  const variables = {
    PCAPTS_KAFKA_TOPIC: "env",
    PCAPTS_INTERFACE: "eth0",
    PCAPTS_WRITE: "env.pcap",
  };
  const read = (...flags: string[]): string[] => [
    ...readEnvironment(variables, onLine(...flags)).values.keys(),
  ];
  assert.deepEqual(read(), ["kafka-topic", "interface", "write"]);
  assert.deepEqual(read("kafka-topic", "read", "pretty-print"), []);
});

test("readEnvironment() counts an empty variable for nothing, and leaves those of tests alone", () => {
  const { values, properties, notes } = readEnvironment(
    { PCAPTS_SNAPLEN: "", PCAPTS_X_LINGER_MS: "", PCAPTS_TEST_KAFKA: "x", PCAPTS_BENCH_X: "x" },
    onLine(),
  );
  assert.deepEqual([values.size, properties, notes], [0, [], []]);
});

test("readEnvironment() warns of a variable that stands for nothing, without its value", () => {
  const { notes } = readEnvironment(
    { PCAPTS_KAFKA_BROKERS: "hush", PCAPTS_X_SASL_PASWORD: "hush", PCAPTS_PRODUCER: "true" },
    onLine(),
  );
  assert.deepEqual(
    notes.map(({ level }) => level),
    ["warn", "warn", "warn"],
  );
  assert.match(
    notes[0]?.text ?? "",
    /PCAPTS_KAFKA_BROKERS .*; did you mean PCAPTS_KAFKA_BROKER\?$/,
  );
  assert.match(notes[1]?.text ?? "", /did you mean PCAPTS_X_SASL_PASSWORD\?$/);
  assert.ok(notes.every(({ text }) => !text.includes("hush")));
});

test("no two flags or properties have the same variable", () => {
  const variables = [
    ...OPTION_TABLE.map((row) => variableOfFlag(row.long)),
    ...[...PROPERTY_BY_NAME.keys(), ...ACCEPTED_BY_NAME.keys(), ...REFUSED_PROPERTIES.keys()].map(
      variableOfProperty,
    ),
  ];
  assert.equal(new Set(variables).size, variables.length);
});
