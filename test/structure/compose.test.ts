import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { parseDocument } from "yaml";
import { parseCommandLine } from "../../src/cli/parse-command-line.ts";
import { createTopic, freePort, projectRoot, pythonExecutable, startBroker } from "../brokers.ts";
import { runProgram } from "../integration/other-programs.ts";

const IMAGE_WITH_TAG = /^[a-z0-9.-]+(\/[a-z0-9._-]+)*:[\w][\w.-]*$/;
const PORT = /^(?:(?:\d{1,3}\.){3}\d{1,3}:)?(\d+):(\d+)(\/(tcp|udp))?$/;

interface Service {
  readonly image: string;
  readonly ports?: readonly string[];
  readonly environment?: Readonly<Record<string, unknown>>;
  readonly volumes?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly build?: string;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
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

/** Says what jsonschema finds wrong; the schema is that of the compose specification. */
const CHECK_SCHEMA = `
import json, sys, jsonschema
schema, document = json.load(open(sys.argv[1])), json.load(sys.stdin)
for error in jsonschema.Draft7Validator(schema).iter_errors(document):
    print(error.json_path, error.message)
`;

async function listFaults(value: unknown): Promise<string> {
  const schema = path.join(projectRoot, "test/structure/schemas/compose-spec.json");
  const command = [pythonExecutable, "-c", CHECK_SCHEMA, schema];
  return (await runProgram(command, JSON.stringify(value))).stdout.toString();
}

test("docker-compose.yml is YAML without errors or warnings, and as the compose specification has it", async () => {
  assert.deepEqual(document.errors, []);
  assert.deepEqual(document.warnings, []);
  assert.equal(await listFaults(compose), "");
  // The check finds what is wrong.
  assert.match(await listFaults({ services: { x: { imagee: "y" } } }), /imagee/);
});

test("every service names an image with its version, and ports that are ports", () => {
  for (const [name, service] of services) {
    assert.match(service.image, IMAGE_WITH_TAG, name);
    assert.doesNotMatch(service.image, /:latest$/);
    for (const port of service.ports ?? []) {
      const found = PORT.exec(port);
      assert.ok(found, `${name}: ${port}`);
      for (const number of [found[1], found[2]]) assert.ok(Number(number) < 65_536, port);
    }
  }
});

test("the command of every service of pcapts is one that pcapts accepts, and its image is the Dockerfile's", () => {
  const { version } = JSON.parse(readFileSync(path.join(projectRoot, "package.json"), "utf8")) as {
    version: string;
  };
  const own = services.filter(([, { build }]) => build !== undefined);
  assert.deepEqual(
    own.map(([name]) => name),
    ["producer", "consumer"],
  );
  for (const [name, { build, image, command = [], entrypoint }] of own) {
    assert.equal(build, ".");
    assert.equal(image, `pcapts:${version}`);
    const words = command.map((word) => word.replace(/\$\{\w+:-(\w+)\}/, "$1"));
    const { values } = parseCommandLine(words);
    assert.equal(name === "producer", values.producer);
    // Who captures needs the capability, and nobody else gets it.
    assert.deepEqual(entrypoint, values.producer ? ["pcapts-capture"] : undefined);
    assert.match(values.metrics ?? "", /:9464$/);
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

test("every service has a healthcheck, whose script Node takes where it is one", () => {
  for (const [name, { healthcheck }] of services) {
    assert.ok(healthcheck, name);
    const [kind, program, ...rest] = healthcheck.test;
    assert.equal(kind, "CMD");
    if (program !== "node") continue;
    assert.equal(rest[0], "-e");
    execFileSync(process.execPath, ["--check", "-"], { input: rest[1] ?? "" });
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
