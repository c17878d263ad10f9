import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, randomTopicName, sharedBroker } from "../brokers.ts";
import { wrapPacket, buildTcpPacket } from "../fixtures/tcp-frames.ts";
import { buildCapture, buildUdpFrame, type TestFrame } from "../fixtures/generate.ts";
import { runProgram } from "./other-programs.ts";
import { type Ended, publish, RunningProcess, succeedPcapts } from "./pcapts-process.ts";

const FRAMES = 400;

/** What of each frame is compared; the last is the line that tshark prints of it. */
const FIELDS = `
  frame.number frame.time_epoch frame.len frame.cap_len frame.protocols eth.src eth.dst ip.src ip.dst ip.id
  ip.checksum tcp.srcport tcp.stream tcp.seq_raw tcp.len udp.srcport udp.length data.data _ws.col.Info
`
  .trim()
  .split(/\s+/)
  .flatMap((field) => ["-e", field]);

let bootstrap: string;
let scratch: string;
/** Of a user who has nothing to do with whoever runs the tests. */
let env: NodeJS.ProcessEnv;
/** Two captures, and both of them in one, in order of time. */
const original = { ethernet: "", raw: "", merged: "" };
let topic: string;
before(async () => {
  ({ bootstrap } = await sharedBroker());
  scratch = mkdtempSync(path.join(tmpdir(), "pcapts-wireshark-"));
  env = homeIn("home");
  for (const name of ["ethernet", "raw", "merged"] as const) {
    original[name] = path.join(scratch, `${name}.pcap`);
  }
  writeFileSync(original.ethernet, buildCapture({ nanosecond: true, frames: makeFrames(1, 0) }));
  writeFileSync(original.raw, buildCapture({ linkType: 101, frames: makeFrames(101, 500_000) }));
  const { ethernet, raw, merged } = original;
  await runProgram(["mergecap", "-F", "pcapng", "-w", merged, ethernet, raw]);
  topic = randomTopicName("wireshark");
  await publish(bootstrap, topic, ethernet, "--partitions", "3");
  await publish(bootstrap, topic, raw);
  const install = ["extcap", "--install", "-k", bootstrap, "--topics", `${topic}*`];
  // Under load a broker may take long; a person would not wait for it.
  await succeedPcapts([...install, "--list-timeout", "30"], { env });
});
after(() => rmSync(scratch, { recursive: true, force: true }));

function homeIn(name: string): NodeJS.ProcessEnv {
  const home = path.join(scratch, name);
  return {
    HOME: home,
    XDG_CONFIG_HOME: path.join(home, ".config"),
    WIRESHARK_CONFIG_DIR: undefined,
  };
}

function makeFrames(linkType: number, nanoseconds: number): TestFrame[] {
  return Array.from({ length: FRAMES }, (_, n) => ({
    bytes:
      n % 5 === 0 && linkType === 1
        ? buildUdpFrame(n, 60 + n)
        : wrapPacket(
            buildTcpPacket(
              { address: "10.0.0.1", port: 1024 + (n % 7) },
              { address: "10.0.0.2", port: 80 },
              "x".repeat(n % 50),
            ),
            linkType,
          ),
    seconds: 1_700_000_000 + Math.floor(n / 100),
    nanoseconds: (n % 100) * 10_000_000 + nanoseconds + (linkType === 1 ? n : 0),
  }));
}

/** tshark with the launcher in its personal folder. */
async function tshark(...args: string[]): Promise<Ended> {
  return new RunningProcess(["tshark", "-n", ...args], { env, input: Buffer.alloc(0) }).ended;
}

/** A setting of an interface, as it is named on the command line of tshark. */
function preference(of: string, setting: string, value: string): string[] {
  return ["-o", `extcap.${of.toLowerCase().replaceAll(/\W/g, "_")}.${setting}:${value}`];
}

async function dissect(file: string, ...args: string[]): Promise<string> {
  const { stdout } = await runProgram(["tshark", "-n", "-r", file, ...args]);
  return stdout.toString();
}

test("tshark -D lists topics as interfaces, and one for any other, but none that Kafka keeps for itself", async () => {
  const other = `${topic}.other`;
  await publish(bootstrap, other, original.raw);
  const { status, stdout, stderr } = await tshark("-D");
  assert.equal(status, 0, stderr);
  const listed = [...stdout.toString().matchAll(/^\d+\. (pcapts\S*) \((.*)\)$/gm)].map(
    ([, name, display]) => [name, display],
  );
  assert.deepEqual(listed, [
    ["pcapts", "Another Kafka topic"],
    [`pcapts:${topic}`, `Kafka topic ${topic}`],
    [`pcapts:${other}`, `Kafka topic ${other}`],
  ]);
  const list = ["extcap", "--extcap-interfaces", "-k", bootstrap, "--list-timeout=30"];
  const { stdout: all } = await succeedPcapts(list);
  assert.ok(!all.includes("{value=pcapts:__"), all.toString());
});

test("what tshark -i dissects of a topic is what tshark -r does of the originals, both link types", async () => {
  const iface = `pcapts:${topic}`;
  const begin = preference(iface, "kafkaoffset", "begin");
  const count = ["-c", String(2 * FRAMES)];
  const live = await tshark("-i", iface, ...begin, ...count, "-T", "fields", ...FIELDS);
  assert.equal(live.status, 0, live.stderr);
  const expected = await dissect(original.merged, "-T", "fields", ...FIELDS);
  assert.equal(live.stdout.toString(), expected);
});

test("a capture filter of tshark is applied for each link type", async () => {
  const iface = `pcapts:${topic}`;
  const times = ["-T", "fields", "-e", "frame.time_epoch", "-e", "frame.protocols"];
  const expected = await dissect(original.merged, "-Y", "tcp.srcport == 1025", ...times);
  const count = expected.split("\n").length - 1;
  assert.ok(count > 50 && count < FRAMES && /\traw:/.test(expected) && /\teth:/.test(expected));
  const begin = preference(iface, "kafkaoffset", "begin");
  const some = ["-f", "tcp src port 1025", "-c", String(count)];
  const live = await tshark("-i", iface, ...begin, ...some, ...times);
  assert.equal(live.status, 0, live.stderr);
  assert.equal(live.stdout.toString(), expected);
  const wrong = await tshark("-i", iface, "-f", "no such filter", "-c", "1");
  assert.notEqual(wrong.status, 0);
  assert.match(wrong.stderr, /Cannot compile filter "no such filter"/);
});

test("two topics are captured from at once, and any other one by its name", async () => {
  const [first, second] = [randomTopicName("one"), randomTopicName("two")];
  await publish(bootstrap, first, original.ethernet);
  await publish(bootstrap, second, original.raw);
  const named = [...preference("pcapts", "topicname", first), "-i", "pcapts"];
  const both = [...named, "-i", `pcapts:${topic}`];
  const begin = ["pcapts", `pcapts:${topic}`].flatMap((of) =>
    preference(of, "kafkaoffset", "begin"),
  );
  const file = path.join(scratch, "both.pcapng");
  const { status, stderr } = await tshark(...both, ...begin, "-c", String(3 * FRAMES), "-w", file);
  assert.equal(status, 0, stderr);
  const lines = (await dissect(file, "-T", "fields", "-e", "frame.protocols")).split("\n");
  assert.equal(lines.length - 1, 3 * FRAMES);
  assert.equal(lines.filter((line) => line.startsWith("raw:")).length, FRAMES);
});

test("without a broker Wireshark starts all the same: the list says why, nothing else does", async () => {
  const address = `127.0.0.1:${await freePort()}`;
  const elsewhere = { env: homeIn("elsewhere") };
  await succeedPcapts(["extcap", "--install", "-k", address], elsewhere);
  const { status, stdout, stderr } = await new RunningProcess(["tshark", "-D"], elsewhere).ended;
  assert.equal(status, 0);
  assert.match(stdout.toString(), /pcapts \(Kafka topic \(Cannot reach Kafka at .*refused\)\)/);
  assert.deepEqual(
    stderr.split("\n").filter((line) => line !== "" && !line.startsWith("Running as user")),
    [],
  );
});

test("a capture of a topic that is not there ends tshark with an error that names it", async () => {
  const missing = preference("pcapts", "topicname", "nowhere.at.all");
  const { status, stderr } = await tshark("-i", "pcapts", ...missing, "-c", "1");
  assert.notEqual(status, 0);
  assert.match(stderr, /Cannot read topic "nowhere\.at\.all": it does not exist/);
});

test("when tshark ends, whatever captured for it ends, too", async () => {
  const { child, ended } = new RunningProcess(["tshark", "-i", `pcapts:${topic}`], { env });
  // A tshark that is interrupted before it knows its dumpcap leaves that behind, with the pipe open.
  while (listCaptures().length === 0 || listDumpcaps().length === 0) await sleep(20);
  child.kill("SIGINT");
  await ended;
  while (listCaptures().length > 0) await sleep(20);
});

/** Processes that capture the topic for Wireshark. */
function listCaptures(): string[] {
  return listProcesses((line) => line.includes("--capture") && line.includes(`pcapts:${topic}`));
}

/** Processes that take from those what they capture. */
function listDumpcaps(): string[] {
  return listProcesses(
    (line) => path.basename(line[0]!) === "dumpcap" && line.includes(`pcapts:${topic}`),
  );
}

function listProcesses(isWanted: (line: readonly string[]) => boolean): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return isWanted(readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0"));
    } catch {
      return false;
    }
  });
}
