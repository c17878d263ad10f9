import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { parseDocument } from "yaml";
import { createTopic, freePort, projectRoot, startBroker } from "../brokers.ts";

// The part of the compose specification (https://github.com/compose-spec/compose-spec) that the
// file uses; a key that is not here has to be looked up there first.
const TOP_LEVEL_KEYS = new Set(["name", "services", "volumes", "networks"]);
const SERVICE_KEYS = new Set([
  "image",
  "ports",
  "environment",
  "volumes",
  "healthcheck",
  "restart",
  "stop_grace_period",
  "depends_on",
  "command",
]);
const HEALTHCHECK_KEYS = new Set(["test", "interval", "timeout", "start_period", "retries"]);
const RESTART_POLICIES = new Set(["no", "always", "on-failure", "unless-stopped"]);
const DURATION = /^(\d+(us|ms|s|m|h))+$/;
const IMAGE_WITH_TAG = /^[a-z0-9.-]+(\/[a-z0-9._-]+)*:[\w][\w.-]*$/;
const PORT = /^(?:(?:\d{1,3}\.){3}\d{1,3}:)?(\d+):(\d+)(\/(tcp|udp))?$/;

interface Service {
  readonly image: string;
  readonly ports?: readonly string[];
  readonly environment?: Readonly<Record<string, unknown>>;
  readonly volumes?: readonly string[];
  readonly healthcheck?: Readonly<Record<string, unknown>>;
  readonly restart?: string;
  readonly stop_grace_period?: string;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes?: Readonly<Record<string, unknown>>;
}

const document = parseDocument(readFileSync(path.join(projectRoot, "docker-compose.yml"), "utf8"), {
  strict: true,
  uniqueKeys: true,
});
const compose = document.toJS() as Compose;
const services = Object.entries(compose.services);

/** Broker properties that the image makes of its environment: KAFKA_NODE_ID is node.id. */
function propertiesOf(service: Service | undefined): Record<string, string> {
  return Object.fromEntries(
    Object.entries(service?.environment ?? {})
      .filter(([name]) => name.startsWith("KAFKA_"))
      .map(([name, value]) => [
        name.slice("KAFKA_".length).toLowerCase().replaceAll("_", "."),
        String(value),
      ]),
  );
}

test("docker-compose.yml is YAML without errors, warnings or keys that the specification lacks", () => {
  assert.deepEqual(document.errors, []);
  assert.deepEqual(document.warnings, []);
  const unknown = [
    ...Object.keys(compose).filter((key) => !TOP_LEVEL_KEYS.has(key)),
    ...services.flatMap(([, service]) => [
      ...Object.keys(service).filter((key) => !SERVICE_KEYS.has(key)),
      ...Object.keys(service.healthcheck ?? {}).filter((key) => !HEALTHCHECK_KEYS.has(key)),
    ]),
  ];
  assert.deepEqual(unknown, []);
});

test("every service names an image with its version, ports that are ports and a restart policy", () => {
  for (const [name, service] of services) {
    assert.match(service.image, IMAGE_WITH_TAG, name);
    assert.doesNotMatch(service.image, /:latest$/);
    for (const port of service.ports ?? []) {
      const found = PORT.exec(port);
      assert.ok(found, `${name}: ${port}`);
      for (const number of [found[1], found[2]]) assert.ok(Number(number) < 65_536, port);
    }
    if (service.restart !== undefined) assert.ok(RESTART_POLICIES.has(service.restart));
    if (service.stop_grace_period !== undefined) assert.match(service.stop_grace_period, DURATION);
  }
});

test("environment values are text, so that YAML cannot turn them into something else", () => {
  for (const [, service] of services) {
    for (const [name, value] of Object.entries(service.environment ?? {})) {
      assert.equal(typeof value, "string", name);
      assert.match(name, /^[A-Z][A-Z0-9_]*$/);
    }
  }
});

test("healthchecks have a command, times and a number of retries", () => {
  for (const [name, { healthcheck }] of services) {
    assert.ok(healthcheck, name);
    const command = healthcheck["test"] as readonly string[];
    assert.equal(command[0], "CMD");
    assert.ok(command.length > 1);
    for (const key of ["interval", "timeout", "start_period"]) {
      assert.match(String(healthcheck[key]), DURATION, `${name}: ${key}`);
    }
    assert.ok(Number.isInteger(healthcheck["retries"]));
  }
});

test("named volumes are declared, and each declared one is used", () => {
  const used = services.flatMap(([, service]) =>
    (service.volumes ?? [])
      .map((volume) => volume.split(":")[0] ?? "")
      .filter((source) => !/^[./~]/.test(source)),
  );
  assert.deepEqual([...new Set(used)].toSorted(), Object.keys(compose.volumes ?? {}).toSorted());
});

test("Kafka's log lies in its volume, and both listeners are advertised where they are reached", () => {
  const kafka = compose.services["kafka"];
  const properties = propertiesOf(kafka);
  assert.deepEqual(kafka?.volumes, [`kafka-data:${properties["log.dirs"]}`]);
  assert.deepEqual(kafka?.ports, ["127.0.0.1:9092:9092"]);
  assert.equal(
    properties["advertised.listeners"],
    "HOST://localhost:9092,CONTAINERS://kafka:19092",
  );
});

test("real Kafka knows every property of the file and serves with them", async () => {
  const properties = propertiesOf(compose.services["kafka"]);
  const containerPort = await freePort();
  const broker = await startBroker({
    properties: ({ port, controllerPort, directory }) =>
      Object.fromEntries(
        Object.entries(properties).map(([name, value]) => [
          name,
          value
            .replaceAll(/\b9092\b/g, String(port))
            .replaceAll(/\b19092\b/g, String(containerPort))
            .replaceAll(/\b9093\b/g, String(controllerPort))
            .replaceAll("//kafka:", "//localhost:")
            .replaceAll("/var/lib/kafka/data", path.join(directory, "data")),
        ]),
      ),
  });
  try {
    const known = new Set(
      [...broker.log().matchAll(/^\t([a-z0-9.]+) = /gm)].map(([, name]) => name),
    );
    assert.deepEqual(
      Object.keys(properties).filter((name) => !known.has(name)),
      [],
    );
    await createTopic(broker.bootstrap, "served");
  } finally {
    await broker.remove();
  }
});
