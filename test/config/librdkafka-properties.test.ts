import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { ACCEPTED_BY_NAME, ACCEPTED_PROPERTIES } from "../../src/config/accepted-properties.ts";
import {
  isSecretProperty,
  PROPERTY_BY_NAME,
  PROPERTY_TABLE,
  type PropertyRow,
} from "../../src/config/kafka-properties.ts";
import { PROGRAM_PROPERTIES, REFUSED_PROPERTIES } from "../../src/config/refused-properties.ts";
import { parseValue, type ValueKind } from "../../src/config/value-kind.ts";
import { pythonExecutable } from "../brokers.ts";

/** A line of librdkafka's own table. */
interface LibrdkafkaProperty {
  readonly name: string;
  readonly mode: "both" | "producer" | "consumer";
  readonly range: string;
  readonly default: string;
  readonly type: string;
  readonly aliasOf: string | undefined;
}

/** What librdkafka calls the type of a value, and what it is here. */
const TYPES: Readonly<Record<string, readonly ValueKind["type"][]>> = {
  // Of some texts librdkafka's help alone says what they may be.
  string: ["text", "list", "choice"],
  "pattern list": ["text"],
  integer: ["integer"],
  float: ["decimal"],
  boolean: ["boolean"],
  "enum value": ["choice"],
  "CSV flags": ["list", "text"],
};

/** What `conf_properties_show` of the wheel's library prints: newer than the distribution's. */
const SHOW_PROPERTIES = `
import ctypes, glob, os, confluent_kafka
root = os.path.dirname(os.path.dirname(confluent_kafka.__file__))
library = ctypes.CDLL(glob.glob(os.path.join(root, "confluent_kafka.libs", "librdkafka*"))[0])
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
library.rd_kafka_conf_properties_show.argtypes = [ctypes.c_void_p]
library.rd_kafka_conf_properties_show(libc.fdopen(1, b"w"))
libc.fflush(None)
`;

/** Both, because a newer one drops names that scripts still carry. */
const LISTS = {
  kcat: readList("kcat", ["-X", "list"]),
  "confluent-kafka": readList(pythonExecutable, ["-c", SHOW_PROPERTIES]),
};

function readList(program: string, args: readonly string[]): readonly LibrdkafkaProperty[] {
  const seen = new Set<string>();
  const properties: LibrdkafkaProperty[] = [];
  for (const line of execFileSync(program, args, { encoding: "utf8" }).split("\n")) {
    const cells = line.split("|").map((cell) => cell.trim());
    const [name = "", mode = "", range = "", value = "", , ...about] = cells;
    const type = /\*Type: ([^*]+)\*/.exec(about.join("|"))?.[1];
    // A name that the client and the topic both have counts as the client's, which comes first.
    if (type === undefined || seen.has(name)) continue;
    seen.add(name);
    properties.push({
      name,
      mode: mode === "P" ? "producer" : mode === "C" ? "consumer" : "both",
      range,
      default: value,
      type,
      aliasOf: /Alias for `([^`]+)`/.exec(about.join("|"))?.[1],
    });
  }
  return properties;
}

for (const [source, list] of Object.entries(LISTS)) {
  test(`every property that ${source} lists is known`, () => {
    assert.ok(list.length > 150, `${list.length} properties`);
    assert.deepEqual(
      list
        .map(({ name }) => name)
        .filter(
          (name) =>
            !PROPERTY_BY_NAME.has(name) &&
            !ACCEPTED_BY_NAME.has(name) &&
            !REFUSED_PROPERTIES.has(name),
        ),
      [],
    );
  });

  test(`properties that ${source} lists have the same type here, unless their row says why not`, () => {
    for (const { name, type } of list) {
      const row: PropertyRow | undefined = PROPERTY_BY_NAME.get(name) ?? ACCEPTED_BY_NAME.get(name);
      if (row === undefined || (row.differs !== undefined && name.endsWith("acks"))) continue;
      assert.ok(TYPES[type]?.includes(row.value.type), `${name}: ${type}, here ${row.value.type}`);
    }
  });

  test(`properties with a meaning have the default and the range that ${source} lists`, () => {
    for (const property of list) {
      const row = PROPERTY_BY_NAME.get(property.name);
      if (row === undefined || row.differs !== undefined) continue;
      assert.equal(row.default ?? "", property.default, property.name);
      const [min, max] = property.range.split(" .. ").map(Number);
      if (row.value.type !== "integer" && row.value.type !== "decimal") continue;
      assert.deepEqual([row.value.min, row.value.max], [min, max], property.name);
    }
  });

  test(`aliases are those that ${source} lists`, () => {
    const rowOf = (name: string): object | undefined =>
      PROPERTY_BY_NAME.get(name) ?? ACCEPTED_BY_NAME.get(name);
    for (const { name, aliasOf } of list) {
      if (aliasOf === undefined || REFUSED_PROPERTIES.has(name)) continue;
      assert.equal(rowOf(name), rowOf(aliasOf), `${name} is ${aliasOf}`);
    }
  });

  test(`choices that ${source} lists are taken, or said to be not there yet`, () => {
    for (const { name, type, range } of list) {
      const row = PROPERTY_BY_NAME.get(name) ?? ACCEPTED_BY_NAME.get(name);
      if (row === undefined || range === "" || !["enum value", "CSV flags"].includes(type))
        continue;
      for (const choice of range.split(",").map((text) => text.trim())) {
        try {
          parseValue(row.value, choice, name);
        } catch (error) {
          assert.match((error as Error).message, /is not there yet/, `${name}=${choice}`);
        }
      }
    }
  });

  test(`what ${source} sets by calls alone is refused with that reason`, () => {
    assert.deepEqual(
      list
        .filter(({ type }) => type === "see dedicated API")
        .map(({ name }) => name)
        .filter((name) => !PROGRAM_PROPERTIES.includes(name)),
      [],
    );
  });
}

test("the mode of a property is librdkafka's, unless it is the topic's or was widened since", () => {
  for (const { name, mode } of LISTS["confluent-kafka"]) {
    const row = PROPERTY_BY_NAME.get(name) ?? ACCEPTED_BY_NAME.get(name);
    // librdkafka lets a consumer set these too, and does not read them there.
    if (row === undefined || (mode === "both" && row.mode === "producer")) continue;
    assert.equal(row.mode, mode, name);
  }
});

test("each property stands in one table, once, in no other than its own", () => {
  const names = [
    ...[...PROPERTY_TABLE, ...ACCEPTED_PROPERTIES].flatMap((row: PropertyRow) => [
      row.name,
      ...(row.aliases ?? []),
    ]),
    ...REFUSED_PROPERTIES.keys(),
  ];
  assert.deepEqual(
    names.filter((name, index) => names.indexOf(name) !== index),
    [],
  );
});

test("the defaults of all properties are values that they accept", () => {
  for (const row of [...PROPERTY_TABLE, ...ACCEPTED_PROPERTIES] as readonly PropertyRow[]) {
    if (row.default === undefined) continue;
    assert.doesNotThrow(() => parseValue(row.value, row.default ?? "", row.name));
  }
});

test("isSecretProperty() tells secrets from settings", () => {
  const names = [
    ...PROPERTY_BY_NAME.keys(),
    ...ACCEPTED_BY_NAME.keys(),
    ...REFUSED_PROPERTIES.keys(),
  ];
  assert.deepEqual(names.filter(isSecretProperty).toSorted(), [
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
    "sasl.oauthbearer.client.credentials.client.secret",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.token",
    "sasl.password",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
    "ssl_key",
  ]);
});
