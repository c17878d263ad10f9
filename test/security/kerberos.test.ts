import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { createTopic, projectRoot, randomTopicName, runKafkaTool } from "../brokers.ts";
import { readCapture } from "../capture-frames.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { PCAPTS, RunningProcess, startPcapts } from "../integration/pcapts-process.ts";
import { sharedSecureCluster } from "../secure-cluster.ts";
import { createVethPair, type VethPair } from "../system/veth-pair.ts";
import { type Properties, saslProperties } from "./properties.ts";
import {
  bothRefusals,
  consumerLine,
  numberedCapture,
  producerLine,
  publishWith,
  readWith,
  refusalOf,
  succeed,
  usageErrorOf,
} from "./secure-runs.ts";

const cluster = await sharedSecureCluster();
const { realm } = cluster;
const BROKER = cluster.bootstrap.SASL_PLAINTEXT;

let scratch: string;
let veth: VethPair;
before(async () => {
  scratch = mkdtempSync(path.join(tmpdir(), "pcapts-kerberos-"));
  symlinkSync(PCAPTS, path.join(scratch, "pcapts"));
  veth = await createVethPair();
});
after(async () => {
  await veth.remove();
  rmSync(scratch, { recursive: true, force: true });
});

async function newTopic(): Promise<string> {
  const topic = randomTopicName("pcap");
  await createTopic(cluster.bootstrap.PLAINTEXT, topic);
  return topic;
}

/** The three properties of Pycapa's README. */
function pycapaProperties(user: "packets" | "visitor" = "packets"): Properties {
  return {
    "bootstrap.servers": BROKER,
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.kerberos.keytab": cluster.keytabs[user],
    "sasl.kerberos.principal": `${user}@${realm.name}`,
  };
}

test("Pycapa's command line works with its two access lists and nothing more", async () => {
  const metron = randomTopicName("metron");
  const principal = realm.addPrincipal(metron);
  const keytab = realm.keytab(metron);
  const topic = randomTopicName("pycapa");
  const group = randomTopicName("pycapa-group");
  await createTopic(cluster.bootstrap.PLAINTEXT, topic);
  for (const resource of [
    ["--topic", topic],
    ["--group", group],
  ]) {
    const line = ["--add", "--allow-principal", `User:${metron}`, ...resource];
    runKafkaTool("4.3.0", "org.apache.kafka.tools.AclCommand", [
      "--bootstrap-server",
      cluster.bootstrap.PLAINTEXT,
      ...line,
    ]);
  }
  const shell = (line: string): RunningProcess =>
    new RunningProcess(["bash", "-c", line], {
      cwd: scratch,
      env: {
        ...realm.environment(),
        PATH: `${scratch}:${process.env["PATH"]}`,
        X: veth.name,
        B: BROKER,
        T: topic,
        G: group,
        K: keytab,
        N: principal,
      },
    });
  const producer = shell(
    "exec pcapts --producer --interface $X --kafka-broker $B --kafka-topic $T --max-packets 10 " +
      "-X security.protocol=SASL_PLAINTEXT -X sasl.kerberos.keytab=$K -X sasl.kerberos.principal=$N",
  );
  await producer.says(/Starting packet capture/);
  const frames = Array.from({ length: 10 }, (_, n) => buildUdpFrame(n, 60));
  await veth.send(buildCapture({ frames: frames.map((bytes) => ({ bytes })) }), ["--pps=1000"]);
  const produced = succeed(await producer.ended);
  assert.match(produced.stderr, /Connecting to Kafka; \{.*"security.protocol":"SASL_PLAINTEXT"/i);
  assert.match(produced.stderr, /'10' packet\(s\) in, '10' packet\(s\) out/);

  const consumer = shell(
    "exec pcapts --consumer --kafka-broker $B --kafka-topic $T --kafka-offset begin --max-packets 10 " +
      "-X group.id=$G -X security.protocol=SASL_PLAINTEXT -X sasl.kerberos.keytab=$K " +
      "-X sasl.kerberos.principal=$N",
  );
  const consumed = succeed(await consumer.ended);
  assert.deepEqual(
    readCapture(consumed.stdout).frames.map(({ bytes }) => bytes),
    frames,
  );
});

test("a ticket of kinit is used where no keytab is given", async () => {
  const topic = await newTopic();
  const properties = {
    "bootstrap.servers": BROKER,
    "security.protocol": "SASL_PLAINTEXT",
  };
  const capture = numberedCapture(20);
  const env = realm.kinit("packets");
  await publishWith(properties, topic, capture, env);
  assert.deepEqual(await readWith(properties, topic, env), capture);
});

test("sasl.kerberos.service.name names the broker's principal", async () => {
  const sentences = await bothRefusals(
    { ...pycapaProperties(), "sasl.kerberos.service.name": "elsewhere" },
    { env: realm.environment() },
  );
  for (const sentence of sentences) {
    assert.match(sentence, /elsewhere\/localhost/);
    assert.match(sentence, /sasl\.kerberos\.service\.name/);
  }
});

test("a ticket that has expired is refused with kinit as the remedy", async () => {
  const env = realm.kinit("packets", "-l", "1s");
  while (hasTicket(env)) await new Promise((resolve) => setTimeout(resolve, 50));
  const { "sasl.kerberos.keytab": _, ...properties } = pycapaProperties();
  for (const sentence of await bothRefusals(properties, { env })) {
    assert.match(sentence, /expired/i);
    assert.match(sentence, /kinit/);
  }
});

function hasTicket(env: NodeJS.ProcessEnv): boolean {
  try {
    execFileSync("klist", ["-s"], { env: { ...process.env, ...env } });
    return true;
  } catch {
    return false;
  }
}

test("no ticket and no keytab is refused with both remedies", async () => {
  const { "sasl.kerberos.keytab": _, ...properties } = pycapaProperties();
  for (const sentence of await bothRefusals(properties, { env: realm.environment() })) {
    assert.match(sentence, /GSSAPI/);
    assert.match(sentence, /kinit/);
    assert.match(sentence, /sasl\.kerberos\.keytab/);
  }
});

test("a keytab that is not there, or is none, is named", async () => {
  const missing = path.join(scratch, "missing.keytab");
  const refusals = [
    [missing, /no such file/i],
    [PCAPTS, /keytab/],
  ] as const;
  for (const [file, reason] of refusals) {
    const properties = { ...pycapaProperties(), "sasl.kerberos.keytab": file };
    const line = producerLine(properties, "pcap-none");
    const sentence = await usageErrorOf(line, { env: realm.environment() });
    assert.ok(sentence.includes(file), sentence);
    assert.match(sentence, /sasl\.kerberos\.keytab/);
    assert.match(sentence, reason);
  }
});

test("a keytab without the principal is refused with those it holds", async () => {
  const sentences = await bothRefusals(
    { ...pycapaProperties(), "sasl.kerberos.principal": `absent@${realm.name}` },
    { env: realm.environment() },
  );
  for (const sentence of sentences) {
    assert.match(sentence, /absent@PCAPTS\.TEST/);
    assert.match(sentence, /\bpackets@PCAPTS\.TEST/);
  }
});

test("a principal whose key was changed since the keytab was made is refused with that reason", async () => {
  const user = randomTopicName("rekeyed");
  const principal = realm.addPrincipal(user);
  const keytab = realm.keytab(user);
  realm.changeKey(user);
  const sentences = await bothRefusals(
    {
      ...pycapaProperties(),
      "sasl.kerberos.keytab": keytab,
      "sasl.kerberos.principal": principal,
    },
    { env: realm.environment() },
  );
  for (const sentence of sentences) {
    assert.ok(sentence.includes(principal), sentence);
    assert.match(sentence, /key/);
  }
});

test("a KDC that does not answer is named as the reason", async () => {
  const env = await realm.environmentWithoutKdc();
  for (const sentence of await bothRefusals(pycapaProperties(), { env })) {
    assert.match(sentence, /KDC/);
    assert.match(sentence, /PCAPTS\.TEST/);
  }
});

// A thread that waits for a KDC holds up every exit: for half a minute the process took no signal.
test("a run that waits for a silent KDC can be interrupted", async (t) => {
  const overTcp = createServer();
  await once(overTcp.listen(0, "127.0.0.1"), "listening");
  const { port } = overTcp.address() as AddressInfo;
  const overUdp = createSocket("udp4");
  overUdp.bind(port, "127.0.0.1");
  t.after(() => {
    overTcp.close();
    overUdp.close();
  });
  const line = consumerLine(pycapaProperties(), randomTopicName("pcap"));
  const consumer = startPcapts(line, { env: realm.environmentWithKdcAt(port) });
  await once(overUdp, "message");
  const interrupting = setInterval(() => consumer.child.kill("SIGINT"), 300);
  const { status, stderr } = await consumer.ended;
  clearInterval(interrupting);
  assert.equal(status, "SIGINT", stderr);
});

test("without the package kerberos GSSAPI is refused in one sentence, and everything else works", async () => {
  const command = [process.execPath, copyWithoutKerberos()] as const;
  const env = realm.environment();
  const topic = await newTopic();
  for (const line of [
    producerLine(pycapaProperties(), topic),
    consumerLine(pycapaProperties(), topic),
  ]) {
    const sentence = await refusalOf(line, { command, env });
    assert.match(sentence, /GSSAPI/);
    assert.match(sentence, /"kerberos"/);
    assert.match(sentence, /npm install kerberos/);
  }
  const properties = saslProperties(cluster, "SASL_SSL", "SCRAM-SHA-512");
  const capture = numberedCapture(5);
  const producer = startPcapts(producerLine(properties, topic), { command, env, input: capture });
  assert.equal((await producer.ended).status, 0);
  const consumer = startPcapts(consumerLine(properties, topic), { command, env });
  assert.deepEqual(succeed(await consumer.ended).stdout, capture);
});

/** The program beside all packages but one; the path of its bin/pcapts.js. */
function copyWithoutKerberos(): string {
  const copy = path.join(scratch, "without-kerberos");
  mkdirSync(path.join(copy, "node_modules"), { recursive: true });
  for (const part of ["bin", "dist/cli", "dist/src", "package.json"]) {
    cpSync(path.join(projectRoot, part), path.join(copy, part), { recursive: true });
  }
  const packages = path.join(projectRoot, "node_modules");
  for (const name of readdirSync(packages)) {
    if (name === "kerberos" || name.startsWith(".")) continue;
    symlinkSync(path.join(packages, name), path.join(copy, "node_modules", name));
  }
  return path.join(copy, "bin/pcapts.js");
}
