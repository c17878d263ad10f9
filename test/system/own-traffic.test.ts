import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { createTopic, randomTopicName, sharedBroker } from "../brokers.ts";
import { readCapture } from "../capture-frames.ts";
import { buildCapture } from "../fixtures/generate.ts";
import { buildTcpPacket, wrapPacket } from "../fixtures/tcp-frames.ts";
import {
  consume,
  PCAPTS,
  readLedger,
  startPcapts,
  type Ledger,
  type RunningProcess,
} from "../integration/pcapts-process.ts";
import { tunnelKafka } from "./kafka-tunnel.ts";
import { createVethPair, type VethPair } from "./veth-pair.ts";

/*
 * pcapts runs in a network namespace whose loopback leads to Kafka and carries nothing else, so
 * that every frame on it is either a test's or pcapts's own.
 */

const run = promisify(execFile);
const LIMIT = { timeout: 60_000 };
const ETHERNET_HEADER_BYTES = 14;
const DATAGRAM_PORT = 20_053;
const ECHO_PORT = 20_007;

let bootstrap: string;
let kafkaPort: number;
let veth: VethPair;
let closeTunnel: () => Promise<void>;
before(async () => {
  ({ bootstrap } = await sharedBroker());
  kafkaPort = Number(bootstrap.split(":")[1]);
  veth = await createVethPair();
  closeTunnel = await tunnelKafka(veth, bootstrap);
});
after(async () => {
  await closeTunnel();
  await veth.remove();
});

/** Starts a producer in the namespace and waits until it captures. */
async function capture(
  t: TestContext,
  topic: string,
  args: readonly string[],
): Promise<RunningProcess> {
  await createTopic(bootstrap, topic);
  const running = startPcapts(["-p", "-k", bootstrap, "-t", topic, "-ll", "DEBUG", ...args], {
    command: veth.inside([process.execPath, PCAPTS]),
  });
  t.after(() => running.child.kill("SIGKILL"));
  await running.says(/Starting packet capture/);
  if (args.includes("cap")) {
    // Its process begins a moment later, and says so at DEBUG.
    for (const [n, name] of args.entries()) {
      if (args[n - 1] === "-i") await running.says(new RegExp(`captures on interface "${name}"`));
    }
  }
  return running;
}

/** Asks for the counts until so many frames are in Kafka. */
async function untilAcknowledged(running: RunningProcess, count: number): Promise<Ledger> {
  for (;;) {
    const said = running.stderr.length;
    running.child.kill("SIGUSR1");
    await running.says(new RegExp(`^[^]{${said}}[^]*queued \\d+`));
    const ledger = readLedger(running.stderr);
    if (ledger.acknowledged >= count) return ledger;
  }
}

async function stop(running: RunningProcess): Promise<Ledger> {
  running.child.kill("SIGTERM");
  const { status, stderr } = await running.ended;
  assert.equal(status, 0, stderr);
  return readLedger(stderr);
}

/** Runs a script of Node's in the namespace. */
async function runInside(script: string): Promise<string> {
  return (await veth.exec([process.execPath, "-e", script])).stdout;
}

/** Sends datagrams over the namespace's loopback to a socket that takes them. */
async function sendDatagrams(count: number): Promise<void> {
  await runInside(`
    const receiver = require("node:dgram").createSocket("udp4");
    let left = ${count};
    receiver.on("message", () => --left === 0 && receiver.close());
    receiver.bind(${DATAGRAM_PORT}, "127.0.0.1", () => {
      const sender = require("node:dgram").createSocket("udp4");
      for (let n = 1; n <= ${count}; n++) {
        sender.send("datagram", ${DATAGRAM_PORT}, "127.0.0.1", () => n === ${count} && sender.close());
      }
    });`);
}

/** Sends packets in Ethernet frames into the namespace, over the veth pair. */
async function sendFrames(frames: readonly Buffer[]): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "own-traffic-"));
  const path = join(directory, "sent.pcap");
  await writeFile(path, buildCapture({ frames: frames.map((bytes) => ({ bytes })) }));
  await run("tcpreplay", ["-q", "--topspeed", `--intf1=${veth.name}`, path]);
  await rm(directory, { recursive: true });
}

/** The packets of a topic of Ethernet frames. */
async function readPackets(topic: string): Promise<Buffer[]> {
  const { linkType, frames } = readCapture(await consume(bootstrap, topic));
  assert.equal(linkType, 1);
  return frames.map(({ bytes }) => bytes.subarray(ETHERNET_HEADER_BYTES));
}

/** Source and destination, which TCP and UDP have at the same place. */
function portsOf(packet: Buffer): [number, number] {
  const start = (packet[0]! & 0xf) * 4;
  return [packet.readUInt16BE(start), packet.readUInt16BE(start + 2)];
}

function sortedHex(packets: readonly Buffer[]): string[] {
  return packets.map((packet) => packet.toString("hex")).toSorted();
}

for (const engine of ["libpcap", "cap"] as const) {
  describe(`engine ${engine}`, () => {
    const interfaces = (...names: readonly string[]): string[] => [
      "--engine",
      engine,
      "--immediate-mode",
      ...names.flatMap((name) => ["-i", name]),
    ];

    test("what is published through the captured interface makes no frames", LIMIT, async (t) => {
      const topic = randomTopicName();
      const running = await capture(t, topic, interfaces("lo"));
      // Each round is published while the next one comes.
      for (let sent = 3; sent <= 30; sent += 3) {
        await sendDatagrams(3);
        const { captured } = await untilAcknowledged(running, sent);
        assert.equal(captured, sent);
      }
      const { captured } = await stop(running);
      assert.equal(captured, 30);
      const own = `src host 127.0.0.1 and dst host 127.0.0.1 and tcp port ${kafkaPort}`;
      const said = running.stderr.split("\n").filter((line) => line.includes("own traffic"));
      assert.equal(said.length, 1, running.stderr);
      assert.ok(said[0]!.endsWith(`Leaving out this host's own traffic to Kafka: not (${own})`));
      for (const packet of await readPackets(topic)) {
        assert.equal(portsOf(packet)[1], DATAGRAM_PORT);
      }
    });

    test("with --capture-self one frame makes ever more", LIMIT, async (t) => {
      const topic = randomTopicName();
      const running = await capture(t, topic, [...interfaces("lo"), "--capture-self", "-m", "60"]);
      await sendDatagrams(1);
      const { status, stderr } = await running.ended;
      assert.equal(status, 0, stderr);
      assert.doesNotMatch(stderr, /own traffic/);
      assert.equal(readLedger(stderr).captured, 60);
      const packets = await readPackets(topic);
      assert.equal(packets.length, 60);
      assert.ok(packets.filter((packet) => portsOf(packet).includes(kafkaPort)).length >= 59);
    });

    test("another connection between the same addresses stays", LIMIT, async (t) => {
      const topic = randomTopicName();
      const running = await capture(t, topic, interfaces("lo"));
      const echo = await runInside(`
        const { connect, createServer } = require("node:net");
        const server = createServer((socket) => socket.pipe(socket));
        server.listen(${ECHO_PORT}, "127.0.0.1", () => {
          const client = connect(${ECHO_PORT}, "127.0.0.1");
          client.on("data", (data) => process.stdout.write(data)).on("close", () => server.close());
          client.end("to be captured");
        });`);
      assert.equal(echo, "to be captured");
      // Three to connect, the text each way, two to end it, at least.
      await untilAcknowledged(running, 7);
      await stop(running);
      const packets = await readPackets(topic);
      for (const packet of packets) assert.ok(portsOf(packet).includes(ECHO_PORT));
      assert.equal(packets.filter((packet) => packet.includes("to be captured")).length, 2);
    });

    test(
      "frames of other hosts to the broker's port stay; those like ours do not, tagged or not",
      LIMIT,
      async (t) => {
        const topic = randomTopicName();
        const running = await capture(t, topic, interfaces(veth.peer));
        const broker = { address: "127.0.0.1", port: kafkaPort };
        const here = { address: "127.0.0.1", port: 45_678 };
        const others = ["10.0.0.7", "127.0.0.2"].map((address) => ({ address, port: 45_678 }));
        const kept = [
          ...others.flatMap((other) => [
            buildTcpPacket(other, broker),
            buildTcpPacket(broker, other),
          ]),
          buildTcpPacket(here, { ...broker, port: kafkaPort - 1 }),
        ];
        const left = [buildTcpPacket(here, broker), buildTcpPacket(broker, here)];
        await sendFrames([
          ...left.flatMap((packet) => [wrapPacket(packet, 1), wrapPacket(packet, 1, 5)]),
          ...kept.map((packet) => wrapPacket(packet, 1)),
        ]);
        await untilAcknowledged(running, kept.length);
        await stop(running);
        assert.deepEqual(sortedHex(await readPackets(topic)), sortedHex(kept));
      },
    );

    test("of several interfaces each leaves it out", LIMIT, async (t) => {
      const topic = randomTopicName();
      const running = await capture(t, topic, interfaces("lo", veth.peer));
      const broker = { address: "127.0.0.1", port: kafkaPort };
      const kept = buildTcpPacket({ address: "10.0.0.7", port: 45_678 }, broker);
      const left = buildTcpPacket({ address: "127.0.0.1", port: 45_678 }, broker);
      await sendFrames([left, kept].map((packet) => wrapPacket(packet, 1)));
      await sendDatagrams(3);
      await untilAcknowledged(running, 4);
      await sendDatagrams(3);
      await untilAcknowledged(running, 7);
      const { captured } = await stop(running);
      assert.equal(captured, 7);
      const packets = await readPackets(topic);
      assert.equal(packets.filter((packet) => packet.equals(kept)).length, 1);
      assert.equal(packets.filter((packet) => portsOf(packet)[1] === DATAGRAM_PORT).length, 6);
    });

    test("on any, whose frames are cooked, it is left out as well", LIMIT, async (t) => {
      const topic = randomTopicName();
      const running = await capture(t, topic, interfaces("any"));
      await sendDatagrams(3);
      await untilAcknowledged(running, 3);
      await sendDatagrams(3);
      await untilAcknowledged(running, 6);
      await stop(running);
      const { linkType, frames } = readCapture(await consume(bootstrap, topic));
      assert.ok([113, 276].includes(linkType), String(linkType));
      for (const { bytes } of frames) assert.match(bytes.toString("latin1"), /datagram$/);
    });
  });
}
