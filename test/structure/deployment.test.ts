import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { parseAllDocuments } from "yaml";
import { parseCommandLine } from "../../src/cli/parse-command-line.ts";
import { projectRoot, pythonExecutable } from "../brokers.ts";
import { runProgram } from "../integration/other-programs.ts";
import { RunningProcess } from "../integration/pcapts-process.ts";
import { listExecStart, readUnit, readVariables, UNITS } from "../service/unit-files.ts";

/* What is installed by copying: units, their environment, the Dockerfile, the DaemonSet. */

const directory = mkdtempSync(path.join(tmpdir(), "pcapts-deployment-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const read = (name: string): string => readFileSync(path.join(projectRoot, name), "utf8");

/** A unit that runs the program of this checkout. */
function placeUnit(name: string): string {
  const file = path.join(directory, name);
  const program = path.join(projectRoot, "bin/pcapts.js");
  writeFileSync(file, readUnit(name).replaceAll("/usr/local/bin/pcapts", program));
  return file;
}

test("systemd takes the units without a word", async () => {
  const files = UNITS.map(({ name }) => placeUnit(name));
  const { stdout, stderr } = await runProgram(["systemd-analyze", "verify", "--man=no", ...files]);
  assert.equal(stdout.toString() + stderr, "");
});

for (const { name, exposure } of UNITS) {
  test(`systemd finds ${name} exposed to no more than ${exposure} of 10`, async () => {
    const threshold = [`--offline=true`, `--threshold=${exposure * 10}`];
    const command = ["systemd-analyze", "security", "--no-pager", ...threshold, placeUnit(name)];
    const { status, stdout } = await new RunningProcess(command).ended;
    assert.equal(status, 0, stdout.toString());
  });
}

for (const { name, variables } of UNITS) {
  test(`${name} runs a command line and has an environment that pcapts takes`, () => {
    const { values, environment } = parseCommandLine(
      listExecStart(name, "eth0"),
      readVariables(variables),
    );
    assert.deepEqual(environment.notes, []);
    assert.equal(values.producer, name.includes("producer"));
    assert.equal(values["log-format"], "journal");
    assert.ok(values.metrics !== undefined);
    // systemd has to wait for longer than pcapts itself does.
    const seconds = Number(/^TimeoutStopSec=(\d+)$/m.exec(readUnit(name))?.[1]);
    assert.ok(seconds > values["flush-timeout"], `${seconds}`);
  });
}

test("the consumer's files lie where its unit lets it write", () => {
  const { values } = parseCommandLine(
    listExecStart("pcapts-consumer.service", ""),
    readVariables("consumer.env"),
  );
  assert.match(readUnit("pcapts-consumer.service"), /^StateDirectory=pcapts$/m);
  assert.equal(path.dirname(values.write), "/var/lib/pcapts");
  assert.match(
    read("examples/systemd/pcapts.sysusers"),
    /^u pcapts - "pcapts" \/var\/lib\/pcapts$/m,
  );
});

/** Instructions of the Dockerfile, a line each. */
const instructions = read("Dockerfile")
  .replaceAll(/^#.*\n/gm, "")
  .replaceAll(/\\\n\s*/g, "")
  .split("\n")
  .filter((line) => line !== "")
  .map((line) => /^([A-Z]+) (.*)$/.exec(line) ?? assert.fail(`no instruction: ${line}`))
  .map(([, name = "", rest = ""]) => ({ name, rest }));

test("the Dockerfile has instructions that there are, images with versions, and files that there are", () => {
  const known = new Set(["CMD", "COPY", "ENTRYPOINT", "EXPOSE", "FROM", "RUN", "USER", "WORKDIR"]);
  assert.deepEqual(
    instructions.filter(({ name }) => !known.has(name)),
    [],
  );
  const stages: string[] = [];
  for (const { name, rest } of instructions) {
    if (name === "FROM") {
      const [, stage] =
        /^node:20-bookworm(?:-slim)?(?: AS (\w+))?$/.exec(rest) ?? assert.fail(rest);
      stages.push(stage ?? "");
    }
    if (name !== "COPY") continue;
    const [, from, files = ""] = /^(?:--from=(\w+) )?(.*) \S+$/.exec(rest) ?? assert.fail(rest);
    if (from !== undefined) assert.ok(stages.includes(from), rest);
    else
      assert.deepEqual(
        files.split(" ").filter((file) => !existsSync(path.join(projectRoot, file))),
        [],
      );
  }
  // Of what is installed nothing is root's business.
  assert.deepEqual(instructions.findLast(({ name }) => name === "USER")?.rest, "10001");
  for (const { name, rest } of instructions) {
    if (name === "CMD" || name === "ENTRYPOINT") assert.ok(Array.isArray(JSON.parse(rest)));
  }
});

test("a shell takes every RUN of the Dockerfile", async () => {
  const runs = instructions.filter(({ name }) => name === "RUN");
  assert.ok(runs.length >= 5);
  for (const { rest } of runs) await runProgram(["sh", "-n", "-c", rest]);
});

test(".dockerignore leaves out what is made, and nothing that the build needs", () => {
  const left = read(".dockerignore").trim().split("\n");
  for (const made of [".git", "dist", "node_modules", "native/prebuilds"])
    assert.ok(left.includes(made));
  for (const needed of ["src", "native", "docs", "scripts", "package.json"])
    assert.ok(!left.includes(needed));
});

const VALIDATE = `
import sys, yaml, kubernetes_validate
for document in yaml.safe_load_all(open(sys.argv[1])):
    kubernetes_validate.validate(document, sys.argv[2], strict=True)
    print(document["kind"])
`;

interface Container {
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly livenessProbe: { readonly httpGet: { readonly path: string } };
  readonly readinessProbe: { readonly httpGet: { readonly path: string } };
}

test("Kubernetes takes the DaemonSet, and pcapts its command line", async () => {
  const file = path.join(projectRoot, "examples/kubernetes/pcapts-daemonset.yaml");
  for (const version of ["1.30", "1.37"]) {
    const { stdout } = await runProgram([pythonExecutable, "-c", VALIDATE, file, version]);
    assert.equal(stdout.toString(), "Namespace\nConfigMap\nDaemonSet\n");
  }
  const [, config, daemonSet] = parseAllDocuments(readFileSync(file, "utf8")).map(
    (document) => document.toJS() as Record<string, unknown>,
  );
  const spec = (daemonSet as { spec: { template: { spec: { containers: [Container] } } } }).spec;
  const [container] = spec.template.spec.containers;
  assert.deepEqual(container.command, ["pcapts-capture"]);
  const args = container.args.map((word) => word.replace("$(NODE_NAME)", "node1"));
  const variables = (config as { data: Record<string, string> }).data;
  const { values, environment } = parseCommandLine(args, variables);
  assert.deepEqual(environment.notes, []);
  assert.deepEqual(values.interface, ["eth0"]);
  assert.match(values.metrics ?? "", /:9464$/);
  assert.equal(container.livenessProbe.httpGet.path, "/healthz");
  assert.equal(container.readinessProbe.httpGet.path, "/readyz");
});
